"""What an established connection does as time passes, whoever has or has not something to say.

While data is under way the primary is chosen anew and the trace gets its samples, each at its
interval. A peer that keeps its window shut is asked for it (RFC 9293 section 3.8.6.1), and one that
has been silent for long for a sign of life (section 3.8.4). Both questions repeat one old byte,
which the peer answers with an ACK and its window. What goes out again, and when, is in `recovery`.
"""

from __future__ import annotations

from omtcp.core.composer import Composer
from omtcp.core.config import SECOND, Config
from omtcp.core.sender import Sender
from omtcp.core.timers import Timer, TimerTable
from omtcp.wire.tcp import Segment

PROBE_MAX_NS = 60 * SECOND
_MAX_SHIFT = 8


class Upkeep:
    """Sets the timers PRIMARY, METRICS, PERSIST and KEEPALIVE, and counts what is not answered."""

    __slots__ = (
        "_composer",
        "_config",
        "_outbox",
        "_sampled",
        "_sender",
        "_timers",
        "_unanswered",
        "_window_probes",
        "heard_at",
    )

    def __init__(
        self,
        config: Config,
        sender: Sender,
        composer: Composer,
        timers: TimerTable,
        outbox: list[tuple[int, Segment]],
        *,
        sampled: bool,
    ) -> None:
        """Questions go into `outbox`, with their path; `sampled` says that somebody traces."""
        self._config = config
        self._sender = sender
        self._composer = composer
        self._timers = timers
        self._outbox = outbox
        self._sampled = sampled
        self.heard_at = 0
        """When the last acceptable segment came."""
        self._unanswered = 0
        self._window_probes = 0
        """Answered or not: a window that stays closed is asked for less and less often."""

    def begin(self, now: int) -> None:
        """The handshake is over."""
        self.heard_at = now
        self.arm(now)
        if self._config.keepalive_ns:
            self._timers.set(Timer.KEEPALIVE, now + self._config.keepalive_ns)

    def arm(self, now: int) -> None:
        """Data is under way: have done what only then needs to be done."""
        timers = self._timers
        if timers.get(Timer.PRIMARY) is None:
            timers.set(Timer.PRIMARY, now + self._sender.chooser.next_interval_ns())
        if self._sampled and timers.get(Timer.METRICS) is None:
            timers.set(Timer.METRICS, now + self._config.metrics_interval_ns)

    def on_heard(self, now: int) -> None:
        """An acceptable segment came."""
        self.heard_at = now
        self._unanswered = 0

    def on_data(self) -> None:
        """Data is leaving: the window is open."""
        if self._window_probes:
            self._window_probes = 0
            self._timers.stop(Timer.PERSIST)

    def on_timer(self, now: int, timer: Timer) -> str:
        """What `timer` was set for; says why the connection is over if it is, else nothing."""
        sender = self._sender
        if timer is Timer.PRIMARY:
            interval = sender.evaluate(now)
            if sender.window.busy:
                self._timers.set(timer, now + interval)
        elif timer is Timer.METRICS:
            sender.report_metrics()
            if sender.window.busy:
                self._timers.set(timer, now + self._config.metrics_interval_ns)
        elif timer is Timer.PERSIST:
            return self._persist(now)
        elif timer is Timer.KEEPALIVE:
            return self._keep_alive(now)
        return ""

    # The peer's window

    def arm_persist(self, now: int) -> None:
        """Only its window keeps data back: ask for it later, each time twice as late."""
        if self._timers.get(Timer.PERSIST) is None:
            rto_ns = self._sender.best.rtt.rto_ns
            wait = min(rto_ns << min(self._window_probes, _MAX_SHIFT), PROBE_MAX_NS)
            self._window_probes += 1
            self._timers.set(Timer.PERSIST, now + wait)

    def _persist(self, now: int) -> str:
        window = self._sender.window
        if not window.stalled:
            return ""
        if self._gave_up(now, self._config.user_timeout_ns):
            return "the peer's window stays closed"
        if window.usable > 0 and not self._sender.board.lost:
            window.override = True
        else:
            self._ask()
            self.arm_persist(now)
        return ""

    # Its presence

    def _keep_alive(self, now: int) -> str:
        config = self._config
        at = self.heard_at + config.keepalive_ns
        if self._sender.window.busy or at > now:
            self._timers.set(Timer.KEEPALIVE, max(at, now + SECOND))
            return ""
        self._timers.set(Timer.KEEPALIVE, now + config.keepalive_interval_ns)
        patience = config.keepalive_ns + config.keepalive_probes * config.keepalive_interval_ns
        if self._gave_up(now, patience):
            return "the peer is gone"
        self._ask()
        return ""

    def _gave_up(self, now: int, patience_ns: int) -> bool:
        return self._unanswered > 2 and now - self.heard_at >= patience_ns

    def _ask(self) -> None:
        """Repeat an old byte: the answer tells the window, or that the peer is there."""
        self._unanswered += 1
        sender = self._sender
        segment = self._composer.old_byte(sender.board.una - 1, sender)
        self._outbox.append((sender.best.index, segment))
