"""The parts of the sending side, joined as the sender joins them; the test chooses what happens.

Ranges are written in segments: `bench.sack((3, 5))` is a block over the fourth and fifth segment.
"""

from __future__ import annotations

from typing import TypeVar

from omtcp.core.config import Config
from omtcp.core.congestion import make_controller
from omtcp.core.ledger import Ledger
from omtcp.core.pings import Pings
from omtcp.core.recovery import Recovery
from omtcp.core.rtt import RttEstimator
from omtcp.core.scoreboard import Scoreboard, Send
from omtcp.core.send_buffer import SendBuffer
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event

MSS = 1000
MS = 1_000_000
SECOND = 1000 * MS

E = TypeVar("E", bound=Event)


def settle_rtt(subflow: Subflow, rtt_ms: float, now: int = 0) -> None:
    """Teach `subflow` a round trip without variance."""
    rtt_ns = int(rtt_ms * MS)
    for count in range(90):
        subflow.rtt.on_sample(now - (90 - count) * rtt_ns, rtt_ns)
    assert (subflow.rtt.srtt_ns, subflow.rtt.rttvar_ns) == (rtt_ns, 0)


def make_subflow(
    index: int = 0, *, mss: int = MSS, rtt_ms: float = 0.0, cwnd: int = 100 * MSS
) -> Subflow:
    """An active subflow in congestion avoidance under NewReno."""
    subflow = Subflow(index, mss, make_controller("reno", mss=mss), RttEstimator())
    subflow.state = PathState.ACTIVE
    subflow.controller.cwnd = subflow.controller.ssthresh = cwnd
    if rtt_ms:
        settle_rtt(subflow, rtt_ms)
    return subflow


class Bench:
    """One connection's scoreboard, subflows and recovery; paths are chosen by the test."""

    def __init__(self, *rtts_ms: float, config: Config | None = None) -> None:
        self.now = 10 * SECOND
        self.config = config or Config()
        self.events: list[Event] = []
        self.board = Scoreboard()
        self.ledger = Ledger()
        self.subflows = [make_subflow(i, rtt_ms=rtt) for i, rtt in enumerate(rtts_ms or (50, 50))]
        for subflow in self.subflows:
            subflow.hear(self.now, 0)
        self.pings = Pings(self.config, self.subflows, SendBuffer(), self.events.append)
        self.recovery = Recovery(
            self.config, self.board, self.ledger, self.subflows, self.pings, self.events.append
        )
        self.silence = self.recovery.silence

    def send(self, path: int, segments: float = 1) -> Send:
        """New data over `path`."""
        return self.carry(path, self.board.nxt, self.board.nxt + int(segments * MSS))

    def carry(self, path: int, start: int, end: int, origin: Send | None = None) -> Send:
        send = self.subflows[path].send(self.now, start, end, origin)
        self.board.record(send)
        return send

    def resend(self, path: int, segments: float = 1000) -> Send:
        """The first lost run, again, over `path`."""
        taken = self.board.take_lost(int(segments * MSS), 1 << 60)
        assert taken is not None
        return self.carry(path, *taken)

    def sack(self, *blocks: tuple[float, float], ack: float | None = None) -> None:
        """An acknowledgment arrives; without `ack` the left edge stays."""
        upto = self.board.una if ack is None else int(ack * MSS)
        edges = [(int(start * MSS), int(end * MSS)) for start, end in blocks]
        touched = self.recovery.on_credits(self.now, self.board.acknowledge(upto, edges))
        for subflow in touched:
            subflow.settle(self.now)
            self.recovery.detect_losses(self.now, subflow)

    def ack(self, segments: float) -> None:
        """A cumulative acknowledgment without blocks."""
        self.sack(ack=segments)

    def wait(self, ms: float) -> None:
        """Let time pass; nothing expires by that alone."""
        self.now += int(ms * MS)

    def windows(self) -> list[int]:
        """Every subflow's congestion window, in segments."""
        return [subflow.controller.cwnd // MSS for subflow in self.subflows]

    @property
    def lost(self) -> list[tuple[float, float]]:
        """What waits to go out again, in segments."""
        return [(start / MSS, end / MSS) for start, end, _ in self.board.lost]

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]
