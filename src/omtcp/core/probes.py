"""When to ask a silent peer: zero-window probes and keep-alives (RFC 9293 sections 3.8.6.1, 3.8.4).

Both repeat one old byte, which the peer answers with an ACK and its window.
"""

from __future__ import annotations

from omtcp.core.config import SECOND, Config
from omtcp.core.timers import Timer, TimerTable

PROBE_MAX_NS = 60 * SECOND
_MAX_SHIFT = 8


class Probes:
    """Counts questions without an answer, and sets the timers of the next ones."""

    __slots__ = (
        "_config",
        "_timers",
        "_unanswered",
        "_window_probes",
        "heard_at",
    )

    def __init__(self, config: Config, timers: TimerTable) -> None:
        self._config = config
        self._timers = timers
        self.heard_at = 0
        """When the last acceptable segment came."""
        self._unanswered = 0
        self._window_probes = 0
        """Answered or not: a window that stays closed is asked for less and less often."""

    def on_heard(self, now: int) -> None:
        """An acceptable segment came."""
        self.heard_at = now
        self._unanswered = 0

    def on_sent(self) -> None:
        """A probe is leaving."""
        self._unanswered += 1

    def arm_persist(self, now: int, rto_ns: int) -> None:
        """Ask for the window later, each time twice as late."""
        if self._timers.get(Timer.PERSIST) is None:
            wait = min(rto_ns << min(self._window_probes, _MAX_SHIFT), PROBE_MAX_NS)
            self._window_probes += 1
            self._timers.set(Timer.PERSIST, now + wait)

    def on_data(self) -> None:
        """Data is leaving: the window is open."""
        if self._window_probes:
            self._window_probes = 0
            self._timers.stop(Timer.PERSIST)

    def arm_keepalive(self, now: int) -> None:
        """Ask for a sign of life once the connection has been idle for long."""
        if self._config.keepalive_ns:
            self._timers.set(Timer.KEEPALIVE, now + self._config.keepalive_ns)

    def keepalive_due(self, now: int, busy: bool) -> bool:
        """Whether the keep-alive timer meant it; if not it is armed again."""
        at = self.heard_at + self._config.keepalive_ns
        if busy or at > now:
            self._timers.set(Timer.KEEPALIVE, max(at, now + SECOND))
            return False
        self._timers.set(Timer.KEEPALIVE, now + self._config.keepalive_interval_ns)
        return True

    def window_closed_for_good(self, now: int) -> bool:
        """Whether nobody has answered zero-window probes for the user timeout."""
        return self._gave_up(now, self._config.user_timeout_ns)

    def peer_gone(self, now: int) -> bool:
        """Whether nobody has answered any keep-alive."""
        config = self._config
        patience = config.keepalive_ns + config.keepalive_probes * config.keepalive_interval_ns
        return self._gave_up(now, patience)

    def _gave_up(self, now: int, patience_ns: int) -> bool:
        return self._unanswered > 2 and now - self.heard_at >= patience_ns
