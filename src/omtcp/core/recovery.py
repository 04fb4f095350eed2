"""What is lost on each path, by what arrives and by what does not in time (P3, P5).

Silence, which is judged across paths, is in `silence`; what is found lost is handed to `losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omtcp.core import fast_retransmit
from omtcp.core.config import Config, LossRule
from omtcp.core.copies import Copies
from omtcp.core.frto import Frto, Verdict
from omtcp.core.ledger import Ledger
from omtcp.core.losses import Kind, Losses
from omtcp.core.pings import Pings
from omtcp.core.scoreboard import Credit, Scoreboard
from omtcp.core.silence import Silence
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, LossDetected, PathDefective

NEW_SEGMENTS = 2
"""What F-RTO sends of new data (RFC 5682 section 3.1, step 2b)."""


def no_new_data() -> bool:
    """What there is of new data before and after a sender has any."""
    return False


class Recovery:
    """Loss detection per subflow, and the timers of all."""

    __slots__ = (
        "_config",
        "_copies",
        "_edge",
        "_edge_at",
        "_pings",
        "_scoreboard",
        "_subflows",
        "has_new_data",
        "losses",
        "silence",
    )

    def __init__(
        self,
        config: Config,
        scoreboard: Scoreboard,
        ledger: Ledger,
        subflows: list[Subflow],
        pings: Pings,
        report: Callable[[Event], None] | None,
    ) -> None:
        self._config = config
        self._copies = Copies()
        self._edge = 0
        """The left edge when it was last looked at, and since when it has been there."""
        self._edge_at = 0
        self._scoreboard = scoreboard
        self._subflows = subflows
        self._pings = pings
        self.losses = Losses(scoreboard, ledger, report)
        self.silence = Silence(config, subflows, self.losses, pings)
        self.has_new_data: Callable[[], bool] = no_new_data
        """Whether there is data never sent, and room for it at the receiver."""

    # Losses within a subflow

    def detect_losses(self, now: int, subflow: Subflow) -> None:
        """Find what is lost on `subflow` by the rule chosen, and take it back (P3)."""
        found = self._detect(now, subflow)
        subflow.reduce(safe=not found)

    def _detect(self, now: int, subflow: Subflow) -> bool:
        """Whether anything was lost."""
        order = subflow.order
        if not order.islands or subflow.frto.active:  # that waits for what would be lost here
            return False
        oldest = subflow.oldest()
        if oldest is None or oldest.position >= order.top:
            order.advance(order.top)  # the holes were given up before, as by a probe
            return False
        if self._config.recovery is LossRule.LITERAL:
            below = fast_retransmit.lost_below(subflow)
        else:
            below = subflow.rack.lost_below(now, subflow)
        return below > 0 and self._lose_below(now, subflow, below)

    def _overdue_at(self, subflow: Subflow) -> int | None:
        if self._config.recovery is LossRule.LITERAL or subflow.frto.active:
            return None
        return subflow.rack.overdue_at(subflow)

    def _lose_below(self, now: int, subflow: Subflow, below: int) -> bool:
        in_flight = subflow.in_flight
        fresh = subflow.outstanding_between(subflow.recovery_position, below)
        if fresh:
            subflow.begin_episode()
        taken = self.losses.take(subflow, below, Kind.FAST)
        for start, end, _ in taken:
            if self.losses.report:
                self.losses.report(LossDetected(subflow.index, start, end, "reordering"))
        subflow.order.advance(below)
        if taken and fresh:
            self._reduce(now, subflow, in_flight)
        return bool(taken)

    def _reduce(self, now: int, subflow: Subflow, in_flight: int) -> None:
        """One congestion event: all that was sent until now belongs to it."""
        subflow.recovery_position = subflow.position
        subflow.controller.on_loss(now=now, in_flight=in_flight)
        subflow.episode.reduced = True
        subflow.begin_reduction(in_flight)
        self.losses.window_changed(subflow, "loss")

    # Credits

    def on_credits(self, now: int, credited: Sequence[Credit]) -> set[Subflow]:
        """Credit each path with what it carried (P2); return the subflows concerned.

        To be called with what one acknowledgment credits.
        """
        touched = set()
        undo = self.losses.undo
        for send, start, end, was_lost in credited:
            if send.origin is not None:
                carrier = self._copies.carrier(now, send, end)
                if carrier is not send:
                    if not was_lost:
                        send.subflow.drop(end - start)  # it is still under way, and owed nothing
                    send, was_lost = carrier, True
                    send.again = True  # a guess is no measurement
            if was_lost:
                undo.on_arrival(start, end)
            subflow = send.subflow
            subflow.credit(now, send, start, end, was_lost)
            touched.add(subflow)
            if subflow.state is PathState.PROBING and not (was_lost or send.again):
                self.silence.on_answer(now, subflow, send.position)
        for subflow in touched:
            subflow.rack.end_ack()
        for subflow in self._subflows:
            if subflow.frto.active:
                self._judge_timeout(subflow, credited)
            if subflow.probe.pending:
                self._judge_probe(now, subflow, credited)
        return touched

    def on_dsack(self, start: int, end: int) -> None:
        """Both copies of [start, end) arrived; it was no ping."""
        for subflow in self._subflows:
            subflow.probe.on_dsack(start, end)
        self.losses.undo.on_dsack(start, end)

    def _judge_probe(self, now: int, subflow: Subflow, credited: Sequence[Credit]) -> None:
        """RFC 8985 section 7.4.2: a loss that a probe repaired is congestion all the same."""
        for credit in credited:
            position = subflow.probe.on_credit(credit.send)
            if position is None:
                continue
            subflow.order.deliver(*position)
            if position[0] >= subflow.recovery_position and subflow.usable:
                self._reduce(now, subflow, subflow.in_flight)
            return

    def _judge_timeout(self, subflow: Subflow, credited: Sequence[Credit]) -> None:
        """RFC 5682 section 3: what came after a timeout says whether it had a reason."""
        frto, board = subflow.frto, self._scoreboard
        ours = [send for send, _, _, _ in credited if send.subflow is subflow]
        oldest = subflow.oldest()
        asking = frto.asking
        verdict = frto.on_ack(
            head_acked=board.una >= frto.head or frto.head - 1 in board.sacked,
            late=any(send.position < frto.point and not send.again for send in ours),
            newer=any(send.position >= frto.point for send in ours),
            rest=oldest is not None and oldest.position < frto.point,
            new_data=self.has_new_data(),
        )
        if frto.asking and not asking:
            subflow.owed = NEW_SEGMENTS * subflow.mss
        elif verdict is Verdict.SPURIOUS:
            subflow.owed = 0
            self.losses.undo.undo(subflow)
        elif verdict is Verdict.GENUINE:
            subflow.owed = 0
            self._lose_by_timeout(subflow, frto.point)

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
        reneged_at = self._reneged_at(now)
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
        """RFC 6298 section 5.4 to 5.6, for this subflow alone (P5, P11).

        The first time only the first segment goes out again, if what comes of it can tell whether
        anything is lost at all (RFC 5682).
        """
        in_flight = subflow.in_flight
        same_event = subflow.in_recovery
        reneged = self._scoreboard.renege()
        doubtful = not (same_event or reneged or subflow.timeouts or subflow.frto.active)
        if not same_event:
            subflow.begin_episode()
            subflow.episode.reduced = True
        if doubtful and self.silence.watching and self.has_new_data():
            head = self._lose_by_timeout(subflow, self.losses.first_segment(subflow))
            subflow.frto = Frto(head, subflow.position)
            subflow.owed = subflow.mss
        else:
            self._lose_by_timeout(subflow, None)
            subflow.in_flight = subflow.inflated = 0
        if reneged:
            self._forget_sacked(subflow)
        subflow.recovery_position = subflow.position
        subflow.reduction = None
        subflow.timer_base = now
        subflow.timeouts += 1
        subflow.has_lost = True
        self._pings.hasten(now, subflow)  # the backed-off timer alone would find the way back late
        subflow.rtt.backoff()
        subflow.controller.on_rto(now=now, in_flight=in_flight, same_event=same_event)
        self.losses.window_changed(subflow, "timeout")

    def _lose_by_timeout(self, subflow: Subflow, below: int | None) -> int:
        """Take back what is outstanding at positions under `below`; the offset where it ends."""
        last = 0
        for start, end, _ in self.losses.take(subflow, below, Kind.TIMEOUT):
            last = end
            if self.losses.report:
                self.losses.report(LossDetected(subflow.index, start, end, "timeout"))
        subflow.order.advance(subflow.position if below is None else below)
        return last

    def _forget_sacked(self, subflow: Subflow) -> None:
        """The receiver reneged (RFC 2018 section 8): everything SACKed is to be sent again."""
        board = self._scoreboard
        for start, end in list(board.sacked):
            send = subflow.send_for(start, end)
            send.lost_by = Kind.TIMEOUT
            board.lost.insert(start, end, send)
        board.sacked.clear()

    def _reneged_at(self, now: int) -> int | None:
        """When to believe it though no timer of a subflow tells.

        None runs when all was SACKed, and none expires while something beyond the peer's window is
        asked for again and again.
        """
        board = self._scoreboard
        if board.una != self._edge:
            self._edge, self._edge_at = board.una, now
        return self._edge_at + self._heard_last.rtt.rto_ns if board.renege() else None

    @property
    def _heard_last(self) -> Subflow:
        return max(self._subflows, key=lambda subflow: subflow.heard_at)

    def deadline(self, now: int) -> int | None:
        """When `on_timers` or `Silence.check` has work next."""
        deadline = self._reneged_at(now)
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
