"""Which paths are silent, and what is done about it: suspicion, probes, and the way back (P4).

A path is judged by comparison: others are acknowledged, it is not. So its silence costs little
time, far less than a retransmission timeout, and a pause of everything condemns nobody.
"""

from __future__ import annotations

from omtcp.core.black_hole import BlackHoles
from omtcp.core.config import Config
from omtcp.core.congestion.base import initial_window
from omtcp.core.losses import Kind, Losses
from omtcp.core.pings import Pings
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import LossDetected, PathRestored, PathSuspect


class Silence:
    """Watches every path of one connection."""

    def __init__(
        self,
        config: Config,
        scoreboard: Scoreboard,
        subflows: list[Subflow],
        losses: Losses,
        pings: Pings,
    ) -> None:
        self._config = config
        self._scoreboard = scoreboard
        self._subflows = subflows
        self._losses = losses
        self._pings = pings
        self._black_holes = BlackHoles()
        self._probed: dict[int, int] = {}
        self.watching = True
        """Whether silence means anything; it does not to a peer without SACK."""

    def check(self, now: int) -> list[Subflow]:
        """Suspect the paths that are silent while others answer; return them.

        A silent path with no other path to compare it with gets a probe instead: its first
        segment, on another path. The answer to that is the comparison. The only usable path gets
        its first segment again, a tail loss probe (RFC 8985 section 7): what was lost behind it
        shows when the answer comes.
        """
        suspects = []
        for subflow in sorted(self._subflows, key=lambda subflow: subflow.heard_at):
            if subflow.state is not PathState.ACTIVE:  # a drained one may still owe something
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
            suspects += self.check(now)
        return suspects

    def _suspect_at(self, subflow: Subflow) -> int | None:
        if not any(other.usable for other in self._subflows if other is not subflow):
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
        self._losses.take(subflow, oldest.position + first - oldest.start + subflow.mss, Kind.PROBE)

    def suspect(self, now: int, subflow: Subflow, kind: Kind = Kind.SUSPECT) -> None:
        """Take `subflow` out of use; all that it still owes goes to the others at once."""
        silence = now - (subflow.heard_at or subflow.silent_since or now)
        subflow.state = PathState.SUSPECT
        taken = self._losses.take(subflow, None, kind)
        for start, end, _ in taken:
            if self._losses.report:
                self._losses.report(LossDetected(subflow.index, start, end, "silence"))
        smaller = self._black_holes.on_silence(subflow) if taken else None
        if smaller is not None:
            subflow.mss = smaller
            subflow.controller.set_mss(smaller)
            self._losses.window_changed(subflow, "mss")
        subflow.order.advance(subflow.position)
        subflow.recovery_position = subflow.position
        if subflow.silent_since is None:
            subflow.silent_since = now
        self._pings.hasten(now, subflow)
        if self._losses.report:
            self._losses.report(PathSuspect(subflow.index, silence))

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
        if subflow.drained:
            return
        if subflow.state is PathState.ACTIVE:
            if subflow.timeouts:  # it had not been suspected, as all paths were silent
                subflow.timeouts = 0
                subflow.rtt.reset_backoff()
                self._losses.resend(now, subflow)
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
            self._losses.window_changed(subflow, "restored")
        if self._losses.report:
            self._losses.report(PathRestored(subflow.index))

    def deadline(self, subflow: Subflow) -> int | None:
        """When `check` may have something to say about `subflow`."""
        if subflow.state is not PathState.ACTIVE:
            return None
        if self._probed.get(subflow.index, -1) >= subflow.heard_at:
            return None
        return self._suspect_at(subflow)
