"""The states of a TCP connection as a table (RFC 9293 section 3.3.2, figure 5).

Rules
- An input is an event that the connection has already judged: RECV_FIN is a FIN whose sequence
  number is next, RECV_RST one that passed section 3.10.7's checks. This table decides the next
  state and nothing else; what to send is the connection's business.
- Inputs of the application that a state has no entry for are its caller's mistake: LocalError.
- Inputs of the peer without an entry cannot follow from an acceptable segment: PeerError.
- A FIN seen again (a retransmission) changes nothing but is no error, so it has entries.
- The figure's arrow from SYN-RECEIVED back to LISTEN is absent: here a listener is an object of
  its own and outlives the connections that it makes.
"""

from enum import Enum, auto

from omtcp.errors import LocalError, PeerError


class State(Enum):
    """RFC 9293 section 3.3.2."""

    __hash__ = object.__hash__  # there is one of each, and Enum's own goes by the name, slowly

    CLOSED = auto()
    LISTEN = auto()
    SYN_SENT = auto()
    SYN_RECEIVED = auto()
    ESTABLISHED = auto()
    FIN_WAIT_1 = auto()
    FIN_WAIT_2 = auto()
    CLOSE_WAIT = auto()
    CLOSING = auto()
    LAST_ACK = auto()
    TIME_WAIT = auto()


class Input(Enum):
    """What may happen to a connection."""

    __hash__ = object.__hash__

    LISTEN = auto()
    SEND_SYN = auto()
    CLOSE = auto()
    ABORT = auto()
    RECV_SYN = auto()
    RECV_SYN_ACK = auto()
    RECV_ACK_OF_SYN = auto()
    RECV_FIN = auto()
    RECV_ACK_OF_FIN = auto()
    RECV_FIN_ACK_OF_FIN = auto()
    """A FIN, in a segment that acknowledges ours as well."""
    RECV_RST = auto()
    TIMEOUT = auto()
    """The time that this state may last is over: 2·MSL in TIME-WAIT, R2 of every path otherwise."""


_S, _I = State, Input

APPLICATION_INPUTS = frozenset({_I.LISTEN, _I.SEND_SYN, _I.CLOSE, _I.ABORT})
PEER_INPUTS = frozenset(
    {
        _I.RECV_SYN,
        _I.RECV_SYN_ACK,
        _I.RECV_ACK_OF_SYN,
        _I.RECV_FIN,
        _I.RECV_ACK_OF_FIN,
        _I.RECV_FIN_ACK_OF_FIN,
        _I.RECV_RST,
    }
)

_ENDS = {_I.RECV_RST: _S.CLOSED, _I.ABORT: _S.CLOSED, _I.TIMEOUT: _S.CLOSED}
"""From any state of a connection under way (sections 3.10.5, 3.10.7.4 and 3.10.8)."""

TRANSITIONS: dict[State, dict[Input, State]] = {
    _S.CLOSED: {_I.LISTEN: _S.LISTEN, _I.SEND_SYN: _S.SYN_SENT, _I.ABORT: _S.CLOSED},
    _S.LISTEN: {
        _I.RECV_SYN: _S.SYN_RECEIVED,
        _I.SEND_SYN: _S.SYN_SENT,
        _I.CLOSE: _S.CLOSED,
        _I.ABORT: _S.CLOSED,
        _I.RECV_RST: _S.LISTEN,
    },
    _S.SYN_SENT: {
        _I.RECV_SYN: _S.SYN_RECEIVED,  # simultaneous open, figure 7
        _I.RECV_SYN_ACK: _S.ESTABLISHED,
        _I.CLOSE: _S.CLOSED,
        **_ENDS,
    },
    _S.SYN_RECEIVED: {
        _I.RECV_ACK_OF_SYN: _S.ESTABLISHED,
        _I.RECV_SYN_ACK: _S.ESTABLISHED,  # the other half of a simultaneous open
        _I.RECV_FIN: _S.CLOSE_WAIT,
        _I.CLOSE: _S.FIN_WAIT_1,
        **_ENDS,
    },
    _S.ESTABLISHED: {_I.RECV_FIN: _S.CLOSE_WAIT, _I.CLOSE: _S.FIN_WAIT_1, **_ENDS},
    _S.FIN_WAIT_1: {
        _I.RECV_ACK_OF_FIN: _S.FIN_WAIT_2,
        _I.RECV_FIN: _S.CLOSING,
        _I.RECV_FIN_ACK_OF_FIN: _S.TIME_WAIT,
        **_ENDS,
    },
    _S.FIN_WAIT_2: {_I.RECV_FIN: _S.TIME_WAIT, **_ENDS},
    _S.CLOSE_WAIT: {_I.CLOSE: _S.LAST_ACK, _I.RECV_FIN: _S.CLOSE_WAIT, **_ENDS},
    _S.CLOSING: {
        _I.RECV_ACK_OF_FIN: _S.TIME_WAIT,
        _I.RECV_FIN_ACK_OF_FIN: _S.TIME_WAIT,
        _I.RECV_FIN: _S.CLOSING,
        **_ENDS,
    },
    _S.LAST_ACK: {
        _I.RECV_ACK_OF_FIN: _S.CLOSED,
        _I.RECV_FIN_ACK_OF_FIN: _S.CLOSED,
        _I.RECV_FIN: _S.LAST_ACK,
        **_ENDS,
    },
    _S.TIME_WAIT: {
        _I.RECV_FIN: _S.TIME_WAIT,
        _I.RECV_FIN_ACK_OF_FIN: _S.TIME_WAIT,
        **_ENDS,
    },
}

CAN_SEND = frozenset({_S.ESTABLISHED, _S.CLOSE_WAIT})
"""The application may write (what it wrote before CLOSE is still sent afterwards)."""
CAN_RECEIVE = frozenset({_S.ESTABLISHED, _S.FIN_WAIT_1, _S.FIN_WAIT_2})
"""The peer may still send new data."""
SYNCHRONIZED = frozenset(State) - {_S.CLOSED, _S.LISTEN, _S.SYN_SENT}
"""We know both ends' sequence numbers: section 3.10.7.4 treats segments alike in these states.

SYN-RECEIVED is among them, though the peer may not know ours yet.
"""
FIN_SENT = frozenset({_S.FIN_WAIT_1, _S.FIN_WAIT_2, _S.CLOSING, _S.LAST_ACK, _S.TIME_WAIT})
"""The application has closed its direction."""


def advance(state: State, happened: Input) -> State:
    """The state that follows.

    Raises LocalError if the application, or a timer, may not do this now; PeerError if the peer
    may not.
    """
    following = TRANSITIONS[state].get(happened)
    if following is not None:
        return following
    error = PeerError if happened in PEER_INPUTS else LocalError
    raise error(f"{happened.name} in state {state.name}")


def mermaid() -> str:
    """The table as a Mermaid state diagram, without the resets and aborts of every state."""
    lines = ["stateDiagram-v2", "    [*] --> CLOSED"]
    for state, row in TRANSITIONS.items():
        labels: dict[State, list[str]] = {}
        for happened, following in row.items():
            ends = happened in _ENDS and state is not State.TIME_WAIT
            if not ends and following is not state:
                labels.setdefault(following, []).append(happened.name)
        lines += [f"    {state.name} --> {to.name}: {', '.join(by)}" for to, by in labels.items()]
    return "\n".join(lines) + "\n"
