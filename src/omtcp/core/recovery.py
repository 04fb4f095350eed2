"""What is lost, which paths are silent, and what is done about it (P3 to P5).

Nothing here sends: a range that is found lost moves to the scoreboard's `lost`, and whatever path
the scheduler then chooses carries it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from omtcp.core.black_hole import BlackHoles
from omtcp.core.config import Config
from omtcp.core.congestion.base import initial_window
from omtcp.core.pings import Pings
from omtcp.core.scoreboard import Credit, Scoreboard, Send
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import (
    Event,
    LossDetected,
    PathDefective,
    PathRestored,
    PathSuspect,
    WindowChanged,
)


class Kind(StrEnum):
    """Why a range goes out again."""

    FAST = "fast"
    SLOW = "slow"
    TIMEOUT = "timeout"
    SUSPECT = "suspect"
    PROBE = "probe"


class Recovery:
    """Loss detection per subflow, silence detection across them."""

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
        self._report = report
        self._black_holes = BlackHoles()
        self._probed: dict[int, int] = {}
        self.watching = True
        """Whether silence means anything; it does not to a peer without SACK."""

    # Losses within a subflow

    def detect_losses(self, now: int, subflow: Subflow) -> None:
        """Fast retransmit (P3, RFC 6675): more than 2·MSS delivered above a hole.

        What is too little for that rule is judged by time (RFC 8985 section 6.2): a transmission
        is lost when a later one was delivered and a quarter RTT of grace has passed.
        """
        found = self._detect(now, subflow)
        subflow.reduce(safe=not found)

    def _detect(self, now: int, subflow: Subflow) -> bool:
        """Whether anything was lost."""
        if not subflow.order.islands:
            return False
        below = subflow.order.lost_below(2 * subflow.mss)
        overdue_at = self._overdue_at(subflow)
        if overdue_at is not None and overdue_at <= now:
            below = max(below or 0, self._overdue_below(now, subflow))
        return bool(below) and self._lose_below(now, subflow, below or 0)

    def _overdue_at(self, subflow: Subflow) -> int | None:
        oldest = subflow.oldest()
        if oldest is None or oldest.position >= subflow.order.top:
            return None
        return oldest.sent_at + self._reordering_time(subflow)

    @staticmethod
    def _reordering_time(subflow: Subflow) -> int:
        rtt = subflow.rtt
        return max(rtt.srtt_ns, rtt.latest_ns) + max(rtt.min_rtt_ns // 4, 1)

    def _overdue_below(self, now: int, subflow: Subflow) -> int:
        """The end of the last overdue transmission, but not beyond what was delivered later."""
        below = 0
        sent_before = now - self._reordering_time(subflow)
        for send in subflow.sends:
            if send.position >= subflow.order.top or send.sent_at > sent_before:
                break
            below = send.position + send.end - send.start
        return min(below, subflow.order.top)

    def _lose_below(self, now: int, subflow: Subflow, below: int) -> bool:
        in_flight = subflow.in_flight
        if not subflow.in_recovery:
            subflow.lost_in_event = 0
        fresh = False
        taken = self._take(subflow, below, Kind.FAST)
        for start, end, position in taken:
            fresh = fresh or position >= subflow.recovery_position
            if self._report:
                self._report(LossDetected(subflow.index, start, end, "reordering"))
        subflow.order.advance(below)
        if fresh:
            subflow.recovery_position = subflow.position
            subflow.controller.on_loss(now=now, in_flight=in_flight)
            subflow.begin_reduction(in_flight)
            self.window_changed(subflow, "loss")
        return bool(taken)

    def _take(self, subflow: Subflow, below: int | None, kind: Kind) -> list[tuple[int, int, int]]:
        """Move what is outstanding at positions under `below` to `lost`.

        Returns (start, end, position) of each piece; None for `below` takes everything.
        """
        taken = []
        while (send := subflow.oldest()) is not None:
            if below is not None and send.position >= below:
                break
            end = send.end
            if below is not None:
                end = min(end, send.start + below - send.position)
            pieces = self._scoreboard.lose(send, end, kind)
            for start, stop in pieces:
                subflow.drop(stop - start)
                subflow.lost_in_event += stop - start
                taken.append((start, stop, send.position + start - send.start))
            if send.outstanding:
                break
        return taken

    def resend(self, now: int, subflow: Subflow) -> None:
        """Everything on `subflow` must go out again, through no fault of congestion."""
        self._take(subflow, None, Kind.FAST)
        subflow.order.advance(subflow.position)
        subflow.timer_base = now

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
            self.window_changed(subflow, "undo")

    def _alive(self, now: int, subflow: Subflow, sent_at: int) -> None:
        """Data that a suspect path carried did arrive: the suspicion was wrong."""
        subflow.hear(now, sent_at)
        self.restore(now, subflow, restart=False)

    # Silence

    def check_silence(self, now: int) -> list[Subflow]:
        """Suspect the paths that are silent while others answer; return them.

        A silent path with no other path to compare it with gets a probe instead: its first
        segment, on another path. The answer to that is the comparison. The only usable path gets
        its first segment again, a tail loss probe (RFC 8985 section 7): what was lost behind it
        shows when the answer comes.
        """
        suspects = []
        for subflow in sorted(self._subflows, key=lambda subflow: subflow.heard_at):
            if not subflow.usable:
                continue
            due = self._suspect_at(subflow)
            if due is None or due > now:
                continue
            if self._others_heard(subflow):
                suspects.append(subflow)
                self.suspect(now, subflow)  # now: it must not speak against the next one
            elif self._probed.get(subflow.index, -1) < subflow.heard_at:
                self._probed[subflow.index] = now
                self._probe(now, subflow)
        if suspects:  # who is left is judged by other rules
            suspects += self.check_silence(now)
        return suspects

    def _suspect_at(self, subflow: Subflow) -> int | None:
        if sum(other.usable for other in self._subflows) < 2:
            return self._probe_timeout_at(subflow)
        floor_ns = self._config.suspect_floor_ns
        if not subflow.rtt.has_sample:
            return self._unmeasured_suspect_at(subflow)
        at = subflow.suspect_at(floor_ns)
        doubted_at = self._pings.doubted_at(subflow)
        if at is None and doubted_at is not None and subflow.silent_since is not None:
            return max(doubted_at, subflow.silent_since) + subflow.patience(floor_ns)
        return at

    def _unmeasured_suspect_at(self, subflow: Subflow) -> int | None:
        """A path without a round trip, after a repeated SYN, is judged by twice that of others."""
        oldest = subflow.oldest()
        floor_ns = self._config.suspect_floor_ns
        known = [other.patience(floor_ns) for other in self._subflows if other.rtt.has_sample]
        return oldest.sent_at + 2 * max(known) if oldest and known else None

    def _probe_timeout_at(self, subflow: Subflow) -> int | None:
        """RFC 8985 section 7.2: two round trips without an answer, more for a lone segment."""
        oldest = subflow.oldest()
        rtt = subflow.rtt
        if oldest is None or subflow.timeouts or not self.watching or not rtt.has_sample:
            return None
        patience = 2 * rtt.srtt_ns + self._config.suspect_floor_ns // 2
        return max(subflow.prompted_at(oldest), subflow.heard_at) + patience

    def _others_heard(self, subflow: Subflow) -> bool:
        """Whether another path answered since this one owed its answer."""
        oldest = subflow.oldest()
        owed_at = oldest.sent_at + subflow.rtt.srtt_ns if oldest else subflow.silent_since or 0
        return any(
            other.usable and other is not subflow and other.heard_at >= owed_at
            for other in self._subflows
        )

    def _probe(self, now: int, subflow: Subflow) -> None:
        oldest = subflow.oldest()
        if oldest is None:
            return
        pieces = self._scoreboard.flights.overlapping(oldest.start, oldest.end)
        first = next(start for start, _, owner in pieces if owner is oldest)
        self._take(subflow, oldest.position + first - oldest.start + subflow.mss, Kind.PROBE)

    def suspect(self, now: int, subflow: Subflow, kind: Kind = Kind.SUSPECT) -> None:
        """Take `subflow` out of use; all that it still owes goes to the others at once."""
        silence = now - (subflow.heard_at or subflow.silent_since or now)
        subflow.state = PathState.SUSPECT
        taken = self._take(subflow, None, kind)
        for start, end, _ in taken:
            if self._report:
                self._report(LossDetected(subflow.index, start, end, "silence"))
        smaller = self._black_holes.on_silence(subflow) if taken else None
        if smaller is not None:
            subflow.mss = smaller
            subflow.controller.set_mss(smaller)
            self.window_changed(subflow, "mss")
        subflow.order.advance(subflow.position)
        subflow.recovery_position = subflow.position
        if subflow.silent_since is None:
            subflow.silent_since = now
        self._pings.hasten(now, subflow)
        if self._report:
            self._report(PathSuspect(subflow.index, silence))

    def slow_retransmit(self, now: int, space: int) -> bool:
        """P4: move a waiting subflow's data before the receive buffer runs out.

        `space` is the receive window left. A subflow waits when its window is exhausted and
        nothing came back for an RTT; its data moves once `space` is below the window of the path
        that would carry it, the one with the lowest RTT.
        """
        usable = [subflow for subflow in self._subflows if subflow.usable]
        if len(usable) < 2:
            return False
        moved = False
        for subflow in usable:
            helper = min(
                (other for other in usable if other is not subflow and other.usable),
                key=lambda other: other.rtt.srtt_ns,
                default=None,
            )
            if helper is None or space >= helper.controller.cwnd:
                continue
            oldest = subflow.oldest()
            if oldest is None or subflow.space >= subflow.mss:
                continue
            patience = subflow.rtt.srtt_ns + 2 * subflow.rtt.rttvar_ns + self._grace
            if max(oldest.sent_at, subflow.heard_at) + patience > now:
                continue
            if self._others_heard(subflow):
                self.suspect(now, subflow, Kind.SLOW)
                moved = True
        return moved

    @property
    def _grace(self) -> int:
        return self._config.suspect_floor_ns // 2

    def restore(self, now: int, subflow: Subflow, *, restart: bool = True) -> None:
        """`subflow` answered: it carries data again.

        After a real silence its window starts small and slow-starts towards the old ssthresh. A
        silence of less than an RTO was no outage but the loss of whatever was on its way.
        """
        if subflow.state is PathState.ACTIVE:
            if subflow.timeouts:  # it had not been suspected, as all paths were silent
                subflow.timeouts = 0
                subflow.rtt.reset_backoff()
                self.resend(now, subflow)
            return
        known = subflow.state is not PathState.UNTRIED
        subflow.state = PathState.ACTIVE
        subflow.timeouts = 0
        if not known:
            return
        subflow.recovery_position = subflow.order.edge
        if restart:
            window = initial_window(subflow.mss)
            if subflow.silence_ns < subflow.rtt.rto_ns:
                subflow.controller.on_loss(now=now, in_flight=0)
                window = max(window, subflow.controller.cwnd // 2)
            subflow.controller.restart(window, now)
            self.window_changed(subflow, "restored")
        if self._report:
            self._report(PathRestored(subflow.index))

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
                self._take(subflow, None, Kind.TIMEOUT)
                subflow.order.advance(subflow.position)
                if self._report:
                    self._report(PathDefective(subflow.index))
        reneged_at = self._reneged_at()
        if reneged_at is not None and reneged_at <= now:
            self._forget_sacked(self._heard_last)
        return any(subflow.state is not PathState.DEFECTIVE for subflow in self._subflows)

    def _overdue(self, now: int, subflow: Subflow) -> bool:
        at = self._overdue_at(subflow)
        return at is not None and at <= now

    def _gone_at(self, subflow: Subflow) -> int | None:
        if subflow.silent_since is None or subflow.state is PathState.DEFECTIVE:
            return None
        return subflow.silent_since + self._config.user_timeout_ns

    def _on_rto(self, now: int, subflow: Subflow) -> None:
        """RFC 6298 section 5.4 to 5.6, for this subflow alone (P5, P11)."""
        in_flight = subflow.in_flight
        same_event = subflow.in_recovery
        subflow.lost_in_event = 0
        for start, end, _ in self._take(subflow, None, Kind.TIMEOUT):
            if self._report:
                self._report(LossDetected(subflow.index, start, end, "timeout"))
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
        self.window_changed(subflow, "timeout")

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
        """When `on_timers` or `check_silence` has work next."""
        deadline = self._reneged_at()
        for subflow in self._subflows:
            silence_at = None
            if subflow.usable and self._probed.get(subflow.index, -1) < subflow.heard_at:
                silence_at = self._suspect_at(subflow)
            for at in (
                subflow.rto_at,
                self._overdue_at(subflow),
                self._gone_at(subflow),
                silence_at,
            ):
                if at is not None and (deadline is None or at < deadline):
                    deadline = at
        return deadline

    def window_changed(self, subflow: Subflow, reason: str) -> None:
        """Trace a window that was cut or restarted."""
        if self._report:
            controller = subflow.controller
            self._report(WindowChanged(subflow.index, controller.cwnd, controller.ssthresh, reason))
