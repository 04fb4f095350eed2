"""The sending of our SYN or SYN-ACK: over which path, and when again.

Which path works, and which is near, is not known before anything was sent over it. So a SYN-ACK
goes out over one path after another, a moment apart, until one of them is answered (the idea of
RFC 8305 section 5 for addresses); only then begins the waiting for the retransmission timer. The
timestamp that the answer echoes tells which of them it was.
"""

from __future__ import annotations

from typing import NamedTuple

from omtcp.core.composer import Composer
from omtcp.core.config import MILLISECOND, Config
from omtcp.core.paths import Paths
from omtcp.core.rtt import INITIAL_RTO_NS
from omtcp.core.timers import Timer, TimerTable
from omtcp.wire.tcp import Segment

STAGGER_NS = 50 * MILLISECOND
"""Between the attempts of the first round."""


class Attempt(NamedTuple):
    """A SYN or SYN-ACK that left at `sent_at` over `path`, with `stamp` for its TSval if any."""

    path: int
    sent_at: int
    stamp: int | None


class Opening:
    """Attempts of one handshake; each takes the next path (as a failed uplink may be why)."""

    __slots__ = (
        "_attempts",
        "_composer",
        "_config",
        "_first",
        "_outbox",
        "_paths",
        "_timers",
        "path",
        "staggered",
        "timeouts",
    )

    def __init__(
        self,
        config: Config,
        paths: Paths,
        composer: Composer,
        timers: TimerTable,
        outbox: list[tuple[int, Segment]],
    ) -> None:
        """What is to be sent goes into `outbox`, with its path."""
        self._config = config
        self._paths = paths
        self._composer = composer
        self._timers = timers
        self._outbox = outbox
        self.path = 0
        """The path that was answered; before, where the last attempt went or the first will go."""
        self.staggered = False
        """Whether the first round does not wait for the timer between two paths."""
        self._first = 0
        self._attempts: list[Attempt] = []
        self.timeouts = 0
        """Apart from the attempts: a SYN that the peer repeats must not keep us waiting longer."""

    def prefer(self, path: int, *, staggered: bool = False) -> None:
        """The first attempt is to go over `path`: the peer's SYN came by it."""
        self._first = self.path = path
        self.staggered = staggered

    def begin(self, now: int) -> None:
        """Send a SYN or SYN-ACK, and another one if nobody answers in time."""
        self.send(now)
        self._timers.set(Timer.HANDSHAKE, now + self.wait_ns)

    def send(self, now: int) -> None:
        """The SYN or SYN-ACK, each attempt over the next path.

        Where there is none to send it over, it is the last one, which may carry nothing.
        """
        order = self._paths.rotation(self._first)
        if order:
            self.path = order[len(self._attempts) % len(order)]
        segment = self._composer.syn(now, self._config, self._paths[self.path].size)
        stamp = segment.timestamps[0] if segment.timestamps else None
        self._attempts.append(Attempt(self.path, now, stamp))
        self._outbox.append((self.path, segment))

    def on_timer(self, now: int) -> bool:
        """No answer came in time: try again; False if that was the last time."""
        self.timeouts += not self.spreading
        if self.timeouts > self._config.syn_retries:
            return False
        self.begin(now)
        return True

    @property
    def spreading(self) -> bool:
        """Whether the next attempt is one of the first round, and no timeout."""
        if not self.staggered or self.timeouts:
            return False
        return len(self._attempts) < len(self._paths.rotation(self._first))

    @property
    def wait_ns(self) -> int:
        """How long to wait for the answer."""
        return STAGGER_NS if self.spreading else INITIAL_RTO_NS << self.timeouts

    def on_answer(self, now: int, echoed: int | None) -> int | None:
        """The answer came, `echoed` being its TSecr if it has one: the round trip, ns.

        None when it is not clear which attempt was answered (Karn's rule, RFC 6298 section 3).
        """
        self._timers.stop(Timer.HANDSHAKE)
        answered = [attempt for attempt in self._attempts if attempt.stamp == echoed]
        if echoed is None or not answered:
            answered = self._attempts
        self._attempts = []  # there will be no other
        if len(answered) != 1:
            return None
        self.path = answered[0].path
        return now - answered[0].sent_at
