"""An endpoint survives whatever arrives, in any state, at any time, with any application.

Hypothesis draws a dialogue: segments that are nearly right or far off, pauses, and the
application's verbs. After each step everything that is due is drained, with bounds, and the
invariants are checked.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from omtcp.core.config import Config, Mode
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.state import State
from omtcp.errors import LocalError
from omtcp.wire.seq import SEQ_MODULUS, seq_add
from omtcp.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment

HERE, THERE = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
MS, SECOND = 1_000_000, 1_000_000_000
PORTS = (80, 81)
MAX_SENT = 400
"""Segments that one step may draw from one connection; a super-segment counts once."""

anywhere = st.integers(0, SEQ_MODULUS - 1)
near = st.sampled_from([0, 0, 0, 0, -1, 1, 1448, -1448, 65_535]) | st.integers(-70_000, 70_000)
common = st.sampled_from(
    [SYN, ACK, ACK, ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN | ACK, FIN, SYN | FIN, 0]
)


@dataclass(frozen=True)
class Inject:
    """A segment; offsets count from what would be right at that moment."""

    which: int
    flags: int
    seq: int
    ack: int
    ack_from: str
    length: int
    window: int
    sack: tuple[tuple[int, int], ...]
    timestamps: tuple[int, int] | None
    mss: int | None
    scale: int | None
    sack_permitted: bool


@dataclass(frozen=True)
class Wait:
    """Time passes, up to the next deadline if `exactly` does not say how long."""

    exactly: int | None


@dataclass(frozen=True)
class Application:
    """A verb of the application."""

    which: int
    verb: str
    size: int


injections = st.builds(
    Inject,
    which=st.integers(0, 5),
    flags=common | st.integers(0, 255),
    seq=near | anywhere,
    ack=near | anywhere,
    ack_from=st.sampled_from(["nxt", "nxt", "una", "middle"]),
    length=st.sampled_from([0, 0, 0, 1, 100, 1448, 5000]),
    window=st.sampled_from([0, 1, 100, 512, 65_535]),
    sack=st.lists(st.tuples(near, near) | st.tuples(anywhere, anywhere), max_size=4).map(tuple),
    timestamps=st.none() | st.tuples(st.sampled_from([0, 5, 1 << 31]) | anywhere, anywhere),
    mss=st.sampled_from([None, 0, 1, 64, 536, 1460, 65_535]),
    scale=st.sampled_from([None, 0, 7, 14, 255]),
    sack_permitted=st.booleans(),
)
waits = st.builds(
    Wait, st.none() | st.sampled_from([1, MS, 40 * MS, 300 * MS, SECOND, 10 * SECOND])
)
applications = st.builds(
    Application,
    which=st.integers(0, 5),
    verb=st.sampled_from(
        ["write", "write", "write", "close", "abort", "read", "too_big", "connect"]
    ),
    size=st.sampled_from([1, 68, 500, 1448, 20_000, 200_000]),
)
steps = st.lists(injections | injections | waits | applications, max_size=60)


class Fuzzed:
    """An endpoint, and what was seen of it."""

    def __init__(self, mode: Mode, paths: int, *, timestamps: bool) -> None:
        self.now = 10 * SECOND
        self.end = Endpoint(
            Config(
                mode=mode,
                timestamps=timestamps,
                syn_backlog=4,
                time_wait_ns=2 * SECOND,
                user_timeout_ns=5 * SECOND,
                orphan_timeout_ns=5 * SECOND,
                keepalive_ns=20 * SECOND,
                keepalive_interval_ns=SECOND,
                keepalive_probes=3,
            ),
            HERE,
            [1500] * paths,
            secret=b"0123456789abcdef",
            random=Random(1).random,
            sink=lambda now, connection, event: None,
        )
        self.end.listen(80)

    def step(self, step: Inject | Wait | Application) -> None:
        """Do it, then everything that follows from it."""
        if isinstance(step, Inject):
            self.end.handle_segment(self.now, THERE, self._segment(step))
        elif isinstance(step, Wait):
            self._wait(step)
        else:
            self._apply(step)
        self.drain()
        self.check()

    def _pick(self, which: int) -> Connection | None:
        known = list(self.end.connections.values())
        return known[which % len(known)] if known and which < 5 else None

    def _segment(self, step: Inject) -> Segment:
        connection = self._pick(step.which)
        source, destination = 1000 + step.which % 2, PORTS[step.which // 4 % 2]
        seq, ack, iss = 500, 0, 0
        if connection is not None:
            flow, composer = connection.flow, connection._composer
            source, destination, iss = flow.remote_port, flow.local_port, composer.iss + 1
            if composer.agreement is not None:
                seq = composer.irs + 1 + connection._receiver.rcv_nxt
            if connection.sender is not None:
                una, nxt = connection.sender.board.una, connection.sender.board.nxt
                ack = {"una": una, "nxt": nxt, "middle": (una + nxt) // 2}[step.ack_from]
        return Segment(
            source,
            destination,
            seq_add(seq, step.seq),
            seq_add(iss, ack + step.ack),
            step.flags,
            step.window,
            mss=step.mss if step.flags & SYN else None,
            window_scale=step.scale if step.flags & SYN else None,
            sack_permitted=step.sack_permitted and bool(step.flags & SYN),
            sack=tuple((seq_add(iss, ack + a), seq_add(iss, ack + b)) for a, b in step.sack),
            timestamps=step.timestamps,
            payload=(bytes(step.length),) if step.length else (),
            length=step.length,
        )

    def _wait(self, step: Wait) -> None:
        at = self.end.poll_timeout()
        if step.exactly is not None:
            self.now += step.exactly
        elif at is not None:
            self.now = max(self.now, at)
        self.end.handle_timeout(self.now)

    def _apply(self, step: Application) -> None:
        if step.verb == "connect":
            self.end.connect(self.now, THERE, 1000)
            return
        connection = self._pick(step.which)
        if connection is None:
            return
        if step.verb == "write":
            with contextlib.suppress(LocalError):  # write after close, and nothing else
                connection.write(bytes(step.size))
        elif step.verb == "close":
            connection.close()
        elif step.verb == "abort":
            connection.abort()
        elif step.verb == "read":
            assert len(connection.read(step.size)) <= step.size
        elif step.verb == "too_big" and connection.sender is not None:
            seq = seq_add(connection._composer.iss, 1 + connection.sender.board.una)
            connection.handle_too_big(self.now, seq, step.size)
        self.end.touch(connection)

    def drain(self) -> None:
        """What the driver does."""
        for _ in range(20):
            while self.end.poll_accept() is not None:
                pass
            replies = 0
            while self.end.poll_reply() is not None:
                replies += 1
            assert replies <= 2
            ready = self.end.poll_ready()
            if not ready:
                return
            for connection in ready:
                self._drain_connection(connection)
        raise AssertionError("connections are never done")

    def _drain_connection(self, connection: Connection) -> None:
        sent = 0
        while (transmit := connection.poll_transmit(self.now)) is not None:
            sent += 1
            assert sent <= MAX_SENT, "no end of segments"
            segment = transmit.segment
            assert 0 <= segment.seq < SEQ_MODULUS
            assert 0 <= segment.ack < SEQ_MODULUS
            assert 0 <= segment.window <= 0xFFFF
            assert segment.length == sum(map(len, segment.payload))
            assert transmit.segment_size > 0
            assert len(segment.sack) <= 4
        while connection.poll_event() is not None:
            pass
        self.end.settle(self.now, connection)

    def check(self) -> None:
        """What must hold at any time."""
        assert len(self.end._half_open) <= 4
        for connection in self.end.connections.values():
            assert connection.state is not State.CLOSED
            sender = connection.sender
            if sender is None:
                continue
            board = sender.board
            assert 0 <= board.una <= board.nxt <= sender.window.end
            covered = board.flights.total + board.lost.total + board.sacked.total
            assert covered == board.nxt - board.una, "each byte is in exactly one place"
            for subflow in sender.subflows:
                assert subflow.controller.cwnd >= min(subflow.mss, subflow.controller.mss)

    def settle(self) -> None:
        """Left alone, every connection comes to rest."""
        for connection in list(self.end.connections.values()):
            connection.close()
            self.end.touch(connection)
        self.drain()
        for _ in range(3000):
            at = self.end.poll_timeout()
            if at is None:
                break
            self.now = max(self.now, at)
            self.end.handle_timeout(self.now)
            self.drain()
        assert not self.end.connections, "a connection outlives its peer"


@settings(max_examples=150)
@given(
    st.sampled_from(list(Mode)),
    st.integers(1, 3),
    st.booleans(),
    steps,
)
def test_whatever_arrives(
    mode: Mode, paths: int, timestamps: bool, script: list[Inject | Wait | Application]
) -> None:
    fuzzed = Fuzzed(mode, paths, timestamps=timestamps)
    for step in script:
        fuzzed.step(step)
    fuzzed.settle()


STATES = {
    State.SYN_SENT: "",
    State.SYN_RECEIVED: "s",
    State.ESTABLISHED: "sa",
    State.FIN_WAIT_1: "sac",
    State.FIN_WAIT_2: "sacA",
    State.CLOSE_WAIT: "saf",
    State.CLOSING: "sacf",
    State.LAST_ACK: "safc",
    State.TIME_WAIT: "sacAf",
}
"""How to get there: s SYN, a its ACK, c close, A ACK of our FIN, f FIN."""


def _reach(state: State) -> Fuzzed:
    fuzzed = Fuzzed(Mode.PRIMARY, 2, timestamps=False)
    plain = Inject(0, ACK, 0, 0, "nxt", 0, 512, (), None, 1460, 7, True)
    if state is State.SYN_SENT:
        fuzzed.step(Application(0, "connect", 0))
    for letter in STATES[state]:
        if letter == "c":
            fuzzed.step(Application(0, "close", 0))
        elif letter == "s":
            fuzzed.step(Inject(0, SYN, 0, 0, "nxt", 0, 512, (), None, 1460, 7, True))
        elif letter == "f":
            ack_from = "una" if state is State.CLOSING else "nxt"
            fuzzed.step(Inject(0, ACK | FIN, 0, 0, ack_from, 0, 512, (), None, None, None, False))
        else:
            fuzzed.step(plain)
    (connection,) = fuzzed.end.connections.values()
    assert connection.state is state
    return fuzzed


@settings(max_examples=200)
@given(st.sampled_from(list(STATES)), injections, injections)
def test_every_kind_of_segment_in_every_state(state: State, first: Inject, second: Inject) -> None:
    fuzzed = _reach(state)
    fuzzed.step(first)
    fuzzed.step(second)
    fuzzed.settle()
