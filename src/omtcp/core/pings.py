"""DSACK pings: asking a path for a sign of life without risking a byte.

A receiver that is sent bytes which it already acknowledged answers at once, and its first SACK
block names exactly the duplicate range (RFC 2883 section 4). One byte at a place of our choosing
therefore measures the RTT and the liveness of a path, and the application never sees it. Each ping
takes a different byte of the last few dozen acknowledged ones, so answers tell pings apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from omtcp.core.config import MILLISECOND, Config
from omtcp.core.send_buffer import KEPT_BEHIND, SendBuffer
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, PingAnswered, PingSent

# Of an idle path in good standing, while the connection is busy.
IDLE_INTERVAL_NS = 500 * MILLISECOND
# Of one that rests while another carries data in its place, to see whether the delays of both
# still agree.
RESTING_INTERVAL_NS = 50 * MILLISECOND
# A connection with nothing to send asks a path only this often before it lets it rest.
IDLE_ATTEMPTS = 8


# A path that has just fallen silent may be back soon: the first pings follow one another within a
# round trip, though not faster than this.
EAGER_ATTEMPTS = 8
EAGER_INTERVAL_NS = 20 * MILLISECOND

# Unanswered pings that are remembered.
WAITING_MOST = 4 * KEPT_BEHIND


@dataclass(slots=True)
class Schedule:
    """One path's pings; its subflow has it, from the first question on."""

    next_at: int = 0
    attempts: int = 0
    """Since the last answer."""
    doubted_at: int = 0
    """When the second of them left."""
    asked_at: int = 0
    """When the last of them left."""


_NOTHING: Final[dict[int, tuple[Subflow, int]]] = {}
"""What waits for an answer where nothing was ever asked; nothing is ever put into it."""


class Pings:
    """Decides when which path is pinged, and recognises the answers."""

    __slots__ = (
        "_buffer",
        "_config",
        "_count",
        "_report",
        "_subflows",
        "_waiting",
        "measured",
    )

    def __init__(
        self,
        config: Config,
        subflows: list[Subflow],
        buffer: SendBuffer,
        report: Callable[[Event], None] | None,
    ) -> None:
        self._config = config
        self._subflows = subflows
        self._buffer = buffer
        self._report = report
        self._waiting = _NOTHING
        self._count = 0
        self.measured: Callable[[int, Subflow, int], None] | None = None
        """Told of (now, subflow, round trip in ns) of each answer."""

    def add(self, subflow: Subflow) -> None:
        """One more path, to be pinged at the next opportunity."""

    def forget(self, subflow: Subflow) -> None:
        """A path that is gone; answers to its pings mean nothing any more."""
        if self._waiting:
            self._waiting = {
                offset: ping for offset, ping in self._waiting.items() if ping[0] is not subflow
            }

    def due_at(self, subflow: Subflow, busy: bool, untried_at: int | None = 0) -> int | None:
        """When `subflow` wants its next ping; None while it needs none.

        Of paths over which nothing was heard yet that is `untried_at` at the earliest, or never.
        """
        if subflow.drained:
            return None
        schedule = _schedule(subflow)
        if subflow.state is PathState.ACTIVE and not subflow.timeouts:
            if not busy or subflow.in_flight:
                return None
            if subflow.resting:
                return schedule.next_at
            return max(schedule.next_at, subflow.heard_at + IDLE_INTERVAL_NS)
        if not busy and schedule.attempts >= IDLE_ATTEMPTS:
            return None
        if subflow.state is PathState.UNTRIED:
            return None if untried_at is None else max(schedule.next_at, untried_at)
        return schedule.next_at

    def due(self, now: int, busy: bool, untried_at: int | None = 0) -> Subflow | None:
        """A path whose ping is due; the arguments are those of `due_at`."""
        for subflow in self._subflows:
            at = self.due_at(subflow, busy, untried_at)
            if at is not None and at <= now:
                return subflow
        return None

    def send(self, now: int, subflow: Subflow) -> int:
        """Account for a ping over `subflow` now; return the stream offset of its one byte.

        An offset below zero lies before the stream: the SYN's place and those before it. Its byte
        has no meaning.
        """
        self._count += 1
        offset = self._buffer.released - 1 - self._count % KEPT_BEHIND
        if self._waiting is _NOTHING:
            self._waiting = {}
        self._waiting[offset] = (subflow, now)
        if len(self._waiting) > WAITING_MOST:  # the oldest is never answered any more
            del self._waiting[next(iter(self._waiting))]
        schedule = _schedule(subflow)
        schedule.attempts += 1
        schedule.asked_at = now
        if schedule.attempts == 2:
            schedule.doubted_at = now
        schedule.next_at = now + self._interval(subflow, schedule.attempts)
        if subflow.silent_since is None:
            subflow.silent_since = now
        if self._report:
            self._report(PingSent(subflow.index, offset, offset + 1))
        return offset

    def _interval(self, subflow: Subflow, attempts: int) -> int:
        if subflow.state is PathState.DEFECTIVE:
            return self._config.slow_ping_interval_ns
        if subflow.state is PathState.ACTIVE and not subflow.timeouts:
            return RESTING_INTERVAL_NS if subflow.resting else IDLE_INTERVAL_NS
        if subflow.state is PathState.UNTRIED:
            return self._config.ping_interval_ns
        eager = max(subflow.rtt.srtt_ns, EAGER_INTERVAL_NS) << max(attempts - EAGER_ATTEMPTS, 0)
        return min(eager, self._config.ping_interval_ns)

    def answer(self, now: int, start: int, end: int) -> Subflow | None:
        """The path whose ping the DSACK block [start, end) answers, if it answers one.

        The RTT sample is taken here; what the answer means for the path is the caller's.
        """
        if end - start != 1:
            return None
        waiting = self._waiting.pop(start, None)
        if waiting is None:
            return None
        subflow, sent_at = waiting
        _schedule(subflow).attempts = 0
        if not subflow.in_flight or not subflow.rtt.has_sample:
            subflow.rtt.on_sample(now, now - sent_at)
        if self.measured is not None:
            self.measured(now, subflow, now - sent_at)
        subflow.hear(now, sent_at)
        if self._report:
            self._report(PingAnswered(subflow.index, now - sent_at))
        return subflow

    def hasten(self, now: int, subflow: Subflow) -> None:
        """Ping `subflow` at the next opportunity."""
        schedule = _schedule(subflow)
        schedule.next_at = now
        schedule.attempts = 0

    def unanswered(self, subflow: Subflow) -> int:
        """How many pings left since the last answer, or since `hasten`."""
        return _schedule(subflow).attempts

    def asked_at(self, subflow: Subflow) -> int:
        """When the last ping left."""
        return _schedule(subflow).asked_at

    def doubted_at(self, subflow: Subflow) -> int | None:
        """When a ping was left unanswered and the next one sent; None if that is not so."""
        schedule = _schedule(subflow)
        return schedule.doubted_at if schedule.attempts >= 2 else None


def _schedule(subflow: Subflow) -> Schedule:
    schedule = subflow.schedule
    if schedule is None:
        schedule = subflow.schedule = Schedule()
    return schedule
