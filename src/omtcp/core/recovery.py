"""What is lost on each path, by what arrives and by what does not in time (P3, P5).

Silence, which is judged across paths, is in `silence`; what is found lost is handed to `losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from omtcp.core import fast_retransmit
from omtcp.core.config import Config, LossRule
from omtcp.core.losses import Kind, Losses
from omtcp.core.pings import Pings
from omtcp.core.scoreboard import Credit, Scoreboard, Send
from omtcp.core.silence import Silence
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, LossDetected, PathDefective


class Recovery:
    """Loss detection per subflow, and the timers of all."""

    def __init__(
        self,
        config: Config,
        scoreboard: Scoreboard,
        subflows: list[Subflow],
        pings: Pings,
        report: Callable[[Event], None] | None,
    ) -> None:
        self._config = config
        self._scoreboard = scoreboard
        self._subflows = subflows
        self._pings = pings
        self.losses = Losses(scoreboard, report)
        self.silence = Silence(config, scoreboard, subflows, self.losses, pings)

    # Losses within a subflow

    def detect_losses(self, now: int, subflow: Subflow) -> None:
        """Find what is lost on `subflow` by the rule chosen, and take it back (P3)."""
        found = self._detect(now, subflow)
        subflow.reduce(safe=not found)

    def _detect(self, now: int, subflow: Subflow) -> bool:
        """Whether anything was lost."""
        if not subflow.order.islands:
            return False
        if self._config.recovery is LossRule.LITERAL:
            below = fast_retransmit.lost_below(subflow)
        else:
            below = subflow.rack.lost_below(now, subflow)
        return below > 0 and self._lose_below(now, subflow, below)

    def _overdue_at(self, subflow: Subflow) -> int | None:
        if self._config.recovery is LossRule.LITERAL:
            return None
        return subflow.rack.overdue_at(subflow)

    def _lose_below(self, now: int, subflow: Subflow, below: int) -> bool:
        in_flight = subflow.in_flight
        if not subflow.in_recovery:
            subflow.lost_in_event = 0
        fresh = False
        taken = self.losses.take(subflow, below, Kind.FAST)
        for start, end, position in taken:
            fresh = fresh or position >= subflow.recovery_position
            if self.losses.report:
                self.losses.report(LossDetected(subflow.index, start, end, "reordering"))
        subflow.order.advance(below)
        if fresh:
            subflow.recovery_position = subflow.position
            subflow.controller.on_loss(now=now, in_flight=in_flight)
            subflow.begin_reduction(in_flight)
            self.losses.window_changed(subflow, "loss")
        return bool(taken)

    # Credits

    def on_credits(self, now: int, credited: Iterable[Credit]) -> set[Subflow]:
        """Credit each path with what it carried (P2); return the subflows concerned."""
        touched = set()
        for send, start, end, was_lost in credited:
            subflow = send.subflow
            origin = send.origin
            if origin is not None and end <= origin.end and self._too_early(now, send):
                if not was_lost:
                    subflow.drop(end - start)  # the copy is still under way, and owed nothing
                send, subflow, was_lost = origin, origin.subflow, True
                send.again = True  # a guess is no measurement
            subflow.credit(now, send, start, end, was_lost)
            touched.add(subflow)
            if was_lost:
                self._spurious(subflow, end - start)
            if subflow.state is not PathState.ACTIVE and send.sent_at > subflow.down_at:
                self._alive(now, subflow, send.sent_at)
        for subflow in touched:
            subflow.rack.end_ack()
        return touched

    @staticmethod
    def _too_early(now: int, send: Send) -> bool:
        """Whether an answer came faster than the path can be, so that it answers the first copy."""
        return now - send.sent_at < send.subflow.rtt.min_rtt_ns * 3 // 4

    def _spurious(self, subflow: Subflow, size: int) -> None:
        """Bytes taken for lost arrived before they were sent again."""
        subflow.lost_in_event -= size
        if subflow.lost_in_event <= 0 and subflow.in_recovery:
            subflow.controller.undo()
            subflow.recovery_position = subflow.order.edge
            self.losses.window_changed(subflow, "undo")

    def _alive(self, now: int, subflow: Subflow, sent_at: int) -> None:
        """Data that a suspect path carried did arrive: the suspicion was wrong."""
        subflow.hear(now, sent_at)
        self.silence.restore(now, subflow, restart=False)

    # Timers

    def on_timers(self, now: int) -> bool:
        """Expire what is due; False once every path has exceeded its user timeout (P5)."""
        for subflow in self._subflows:
            if self._overdue(now, subflow):
                self.detect_losses(now, subflow)
            rto_at = subflow.rto_at
            if rto_at is not None and rto_at <= now:
                self._on_rto(now, subflow)
            gone_at = self._gone_at(subflow)
            if gone_at is not None and gone_at <= now:
                subflow.state = PathState.DEFECTIVE
                self.losses.take(subflow, None, Kind.TIMEOUT)
                subflow.order.advance(subflow.position)
                if self.losses.report:
                    self.losses.report(PathDefective(subflow.index))
        reneged_at = self._reneged_at()
        if reneged_at is not None and reneged_at <= now:
            self._forget_sacked(self._heard_last)
        in_use = [subflow for subflow in self._subflows if not subflow.drained]
        return not in_use or any(subflow.state is not PathState.DEFECTIVE for subflow in in_use)

    def _overdue(self, now: int, subflow: Subflow) -> bool:
        at = self._overdue_at(subflow)
        return at is not None and at <= now

    def _gone_at(self, subflow: Subflow) -> int | None:
        if subflow.silent_since is None or subflow.state is PathState.DEFECTIVE or subflow.drained:
            return None
        return subflow.silent_since + self._config.user_timeout_ns

    def _on_rto(self, now: int, subflow: Subflow) -> None:
        """RFC 6298 section 5.4 to 5.6, for this subflow alone (P5, P11)."""
        in_flight = subflow.in_flight
        same_event = subflow.in_recovery
        subflow.lost_in_event = 0
        for start, end, _ in self.losses.take(subflow, None, Kind.TIMEOUT):
            if self.losses.report:
                self.losses.report(LossDetected(subflow.index, start, end, "timeout"))
        if self._scoreboard.renege():
            self._forget_sacked(subflow)
        subflow.order.advance(subflow.position)
        subflow.recovery_position = subflow.position
        subflow.in_flight = subflow.inflated = 0
        subflow.timeouts += 1
        subflow.has_lost = True
        self._pings.hasten(now, subflow)  # the backed-off timer alone would find the way back late
        subflow.rtt.backoff()
        subflow.controller.on_rto(now=now, in_flight=in_flight, same_event=same_event)
        self.losses.window_changed(subflow, "timeout")

    def _forget_sacked(self, subflow: Subflow) -> None:
        """The receiver reneged (RFC 2018 section 8): everything SACKed is to be sent again."""
        board = self._scoreboard
        for start, end in list(board.sacked):
            send = subflow.send_for(start, end)
            send.lost_by = Kind.TIMEOUT
            board.lost.insert(start, end, send)
        board.sacked.clear()

    def _reneged_at(self) -> int | None:
        """When to believe it though nothing is in flight whose timer would tell."""
        if self._scoreboard.flights or not self._scoreboard.renege():
            return None
        return self._heard_last.heard_at + self._heard_last.rtt.rto_ns

    @property
    def _heard_last(self) -> Subflow:
        return max(self._subflows, key=lambda subflow: subflow.heard_at)

    def deadline(self, now: int) -> int | None:
        """When `on_timers` or `Silence.check` has work next."""
        deadline = self._reneged_at()
        for subflow in self._subflows:
            for at in (
                subflow.rto_at,
                self._overdue_at(subflow),
                self._gone_at(subflow),
                self.silence.deadline(subflow),
            ):
                if at is not None and (deadline is None or at < deadline):
                    deadline = at
        return deadline
