"""The table against RFC 9293's figure 5, pair by pair."""

import pytest

from omtcp.core.state import (
    APPLICATION_INPUTS,
    CAN_RECEIVE,
    CAN_SEND,
    FIN_SENT,
    PEER_INPUTS,
    SYNCHRONIZED,
    TRANSITIONS,
    Input,
    State,
    advance,
    mermaid,
)
from omtcp.errors import LocalError, PeerError

I, S = Input, State  # noqa: E741 - as short as the figure's labels


@pytest.mark.parametrize(
    ("name", "start", "inputs", "path"),
    [
        (
            "client that closes first",
            S.CLOSED,
            [I.SEND_SYN, I.RECV_SYN_ACK, I.CLOSE, I.RECV_ACK_OF_FIN, I.RECV_FIN, I.TIMEOUT],
            [S.SYN_SENT, S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2, S.TIME_WAIT, S.CLOSED],
        ),
        (
            "server that closes last",
            S.CLOSED,
            [
                I.LISTEN,
                I.RECV_SYN,
                I.RECV_ACK_OF_SYN,
                I.RECV_FIN,
                I.CLOSE,
                I.RECV_ACK_OF_FIN,
            ],
            [S.LISTEN, S.SYN_RECEIVED, S.ESTABLISHED, S.CLOSE_WAIT, S.LAST_ACK, S.CLOSED],
        ),
        (
            "simultaneous open",
            S.CLOSED,
            [I.SEND_SYN, I.RECV_SYN, I.RECV_ACK_OF_SYN],
            [S.SYN_SENT, S.SYN_RECEIVED, S.ESTABLISHED],
        ),
        (
            "simultaneous close",
            S.ESTABLISHED,
            [I.CLOSE, I.RECV_FIN, I.RECV_ACK_OF_FIN, I.TIMEOUT],
            [S.FIN_WAIT_1, S.CLOSING, S.TIME_WAIT, S.CLOSED],
        ),
        (
            "FIN and the acknowledgment of ours in one segment",
            S.FIN_WAIT_1,
            [I.RECV_FIN_ACK_OF_FIN, I.RECV_FIN, I.TIMEOUT],
            [S.TIME_WAIT, S.TIME_WAIT, S.CLOSED],
        ),
        (
            "closed before the handshake ends",
            S.SYN_RECEIVED,
            [I.CLOSE, I.RECV_ACK_OF_FIN],
            [S.FIN_WAIT_1, S.FIN_WAIT_2],
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_lives(name: str, start: State, inputs: list[Input], path: list[State]) -> None:
    state, seen = start, []
    for happened in inputs:
        state = advance(state, happened)
        seen.append(state)
    assert seen == path, name


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("happened", Input)
def test_every_pair(state: State, happened: Input) -> None:
    if happened in TRANSITIONS[state]:
        assert advance(state, happened) in State
    elif happened in PEER_INPUTS:
        with pytest.raises(PeerError, match=state.name):
            advance(state, happened)
    else:
        with pytest.raises(LocalError, match=happened.name):
            advance(state, happened)


def test_every_connection_can_be_aborted_reset_and_timed_out() -> None:
    for state in State:
        assert advance(state, I.ABORT) is S.CLOSED
        if state not in (S.CLOSED, S.LISTEN):
            assert advance(state, I.RECV_RST) is S.CLOSED
            assert advance(state, I.TIMEOUT) is S.CLOSED
    assert advance(S.LISTEN, I.RECV_RST) is S.LISTEN


def test_every_state_is_reachable_and_leads_back_to_closed() -> None:
    def reachable(start: State) -> set[State]:
        seen, todo = {start}, [start]
        while todo:
            for following in TRANSITIONS[todo.pop()].values():
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return seen

    assert reachable(S.CLOSED) == set(State)
    for state in State:
        assert S.CLOSED in reachable(state)


def test_only_one_close() -> None:
    for state in FIN_SENT:
        with pytest.raises(LocalError):
            advance(state, I.CLOSE)


def test_sets_agree_with_the_table() -> None:
    assert APPLICATION_INPUTS.isdisjoint(PEER_INPUTS)
    for state in CAN_SEND:
        assert advance(state, I.CLOSE) in FIN_SENT
    for state in CAN_RECEIVE:
        assert advance(state, I.RECV_FIN) not in CAN_RECEIVE
    assert CAN_SEND | CAN_RECEIVE | FIN_SENT | {S.SYN_RECEIVED} == SYNCHRONIZED


def test_diagram() -> None:
    diagram = mermaid()
    assert diagram.startswith("stateDiagram-v2\n")
    assert "    FIN_WAIT_1 --> TIME_WAIT: RECV_FIN_ACK_OF_FIN\n" in diagram
    assert "    ESTABLISHED --> CLOSE_WAIT: RECV_FIN\n" in diagram
    assert "    TIME_WAIT --> CLOSED: RECV_RST, ABORT, TIMEOUT\n" in diagram
    assert diagram.count("RST") == 1
    arrows = [line for line in diagram.splitlines() if "-->" in line]
    assert len(arrows) == len(set(arrows))
    for state in State:
        assert any(line.split(":")[0].endswith(f"--> {state.name}") for line in arrows)
