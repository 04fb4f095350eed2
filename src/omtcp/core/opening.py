"""The sending of our SYN or SYN-ACK: over which path, and when again."""

from __future__ import annotations

from omtcp.core.paths import Paths
from omtcp.core.rtt import INITIAL_RTO_NS, RttEstimator


class Opening:
    """Attempts of one handshake; each takes the next path (as a failed uplink may be why)."""

    __slots__ = (
        "_attempts",
        "_first",
        "_paths",
        "_sent_at",
        "path",
        "timeouts",
    )

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.path = 0
        """Where the last attempt went, or the first one is to go."""
        self._first = 0
        self._attempts = 0
        self._sent_at = 0
        self.timeouts = 0
        """Apart from the attempts: a SYN that the peer repeats must not keep us waiting longer."""

    def prefer(self, path: int) -> None:
        """The first attempt is to go over `path`: the peer's SYN came by it."""
        self._first = self.path = path

    def attempt(self, now: int) -> int:
        """Another SYN is leaving: the path to send it over.

        Where there is none to send it over, it is the last one, which may carry nothing.
        """
        order = self._paths.rotation(self._first)
        if order:
            self.path = order[self._attempts % len(order)]
        self._sent_at = now
        self._attempts += 1
        return self.path

    @property
    def wait_ns(self) -> int:
        """How long to wait for the answer."""
        return INITIAL_RTO_NS << self.timeouts

    def sample(self, now: int, rtt: RttEstimator) -> None:
        """The answer came: a round trip, if it is clear which attempt it answers (RFC 6298)."""
        if self._attempts == 1:
            rtt.on_sample(now, now - self._sent_at)
        else:
            rtt.on_handshake_timeout()
