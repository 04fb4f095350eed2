"""The sending of our SYN or SYN-ACK: over which path, and when again.

Which path works, and which is near, is not known before anything was sent over it. So a SYN-ACK
goes out over one path after another, a moment apart, until one of them is answered (the idea of
RFC 8305 section 5 for addresses); only then begins the waiting for the retransmission timer. The
timestamp that the answer echoes tells which of them it was.
"""

from __future__ import annotations

from typing import NamedTuple

from omtcp.core.config import MILLISECOND
from omtcp.core.paths import Paths
from omtcp.core.rtt import INITIAL_RTO_NS

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
        "_first",
        "_paths",
        "_sent_at",
        "path",
        "staggered",
        "timeouts",
    )

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
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

    def next_path(self) -> int:
        """The path for another SYN.

        Where there is none to send it over, it is the last one, which may carry nothing.
        """
        order = self._paths.rotation(self._first)
        if order:
            self.path = order[len(self._attempts) % len(order)]
        return self.path

    def sent(self, now: int, stamp: int | None) -> None:
        """It left over `path`."""
        self._attempts.append(Attempt(self.path, now, stamp))

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
        answered = [attempt for attempt in self._attempts if attempt.stamp == echoed]
        if echoed is None or not answered:
            answered = self._attempts
        self._attempts = []  # there will be no other
        if len(answered) != 1:
            return None
        self.path = answered[0].path
        return now - answered[0].sent_at
