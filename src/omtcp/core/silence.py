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
from omtcp.core.subflow import PathState, Subflow
from omtcp.core.tail_loss_probe import GRACE_NS, timeout_at
from omtcp.trace.events import LossDetected, PathCleared, PathProbing, PathRestored, PathSuspect

EVIDENCE = 4
"""Segments and pings without an answer that tell an outage from losses: at 30 % loss all four of
them are lost once in 120 times."""


class Silence:
    """Watches every path of one connection."""

    __slots__ = (
        "_black_holes",
        "_config",
        "_losses",
        "_pings",
        "_probed",
        "_subflows",
        "_unanswered",
        "watching",
    )

    def __init__(
        self,
        config: Config,
        subflows: list[Subflow],
        losses: Losses,
        pings: Pings,
    ) -> None:
        self._config = config
        self._subflows = subflows
        self._losses = losses
        self._pings = pings
        self._black_holes = BlackHoles()
        self._probed: dict[int, int] = {}
        self._unanswered: dict[int, int] = {}
        """Of a path in doubt: how many segments it left unanswered."""
        self.watching = True
        """Whether silence means anything; it does not to a peer without SACK."""

    def check(self, now: int) -> list[Subflow]:
        """Judge the paths that are silent while others answer; return those put out of use.

        Where much is unanswered the path is suspect. A few segments may just as well be lost, so
        then it is asked first. A silent path with no other path to compare it with gets a probe
        instead: its first segment, on another path. The answer to that is the comparison. The only
        usable path gets a tail loss probe.
        """
        silent = []
        for subflow in sorted(self._subflows, key=lambda subflow: subflow.heard_at):
            if subflow.state is PathState.PROBING:
                self._judge(now, subflow)
            if subflow.state is not PathState.ACTIVE:  # a drained one may still owe something
                continue
            due = self._suspect_at(subflow)
            if due is None or due > now:
                continue
            if self._others_heard(subflow):
                silent.append(subflow)  # now: it must not speak against the next one
                if self._evidence(subflow) < EVIDENCE:
                    self._doubt(now, subflow)
                else:
                    self.suspect(now, subflow)
            elif self._probed.get(subflow.index, -1) < subflow.heard_at:
                self._probed[subflow.index] = now
                self._probe(subflow)
        if silent:  # who is left is judged by other rules
            silent += self.check(now)
        return silent

    def _evidence(self, subflow: Subflow) -> int:
        """How many questions it left unanswered: segments, or pings of an idle path."""
        return -(-subflow.outstanding // subflow.mss) or EVIDENCE

    def _judge(self, now: int, subflow: Subflow) -> None:
        """A path in doubt is suspect once enough questions were left unanswered."""
        at = self._condemned_at(subflow)
        if at is not None and at <= now:
            self.suspect(now, subflow)

    def _condemned_at(self, subflow: Subflow) -> int | None:
        asked = self._unanswered.get(subflow.index, 0) + self._pings.unanswered(subflow)
        if asked < EVIDENCE:
            return None
        return self._pings.asked_at(subflow) + subflow.patience(self._config.suspect_floor_ns)

    def _suspect_at(self, subflow: Subflow) -> int | None:
        if not any(other.usable for other in self._subflows if other is not subflow):
            return timeout_at(subflow) if self.watching else None
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

    def _others_heard(self, subflow: Subflow) -> bool:
        """Whether another path answered since this one owed its answer."""
        oldest = subflow.oldest()
        owed_at = oldest.sent_at + subflow.rtt.srtt_ns if oldest else subflow.silent_since or 0
        return any(
            other.usable and other is not subflow and other.heard_at >= owed_at
            for other in self._subflows
        )

    def _probe(self, subflow: Subflow) -> None:
        """RFC 8985 section 7.3: its first segment elsewhere, or here the last one again.

        Elsewhere the first is what the receiver waits for. Here the last is the one whose answer
        shows all that was lost before it. (New data, which the RFC prefers, needs no window only
        where a segment beyond it does no harm.)
        """
        if subflow.oldest() is None:
            return
        subflow.begin_episode()
        if any(other.usable for other in self._subflows if other is not subflow):
            self._losses.take(subflow, self._losses.first_segment(subflow), Kind.PROBE)
        else:
            self._losses.take_last_segment(subflow, Kind.PROBE)

    def _doubt(self, now: int, subflow: Subflow) -> None:
        """A few segments found no answer: they go to the others, and the path is asked."""
        self._unanswered[subflow.index] = self._evidence(subflow)
        silence = self._put_out_of_use(now, subflow, PathState.PROBING, Kind.SUSPECT)
        if self._losses.report:
            self._losses.report(PathProbing(subflow.index, silence))

    def suspect(self, now: int, subflow: Subflow, kind: Kind = Kind.SUSPECT) -> None:
        """Take `subflow` out of use; all that it still owes goes to the others at once."""
        silence = self._put_out_of_use(now, subflow, PathState.SUSPECT, kind)
        if self._losses.report:
            self._losses.report(PathSuspect(subflow.index, silence))

    def _put_out_of_use(self, now: int, subflow: Subflow, state: PathState, kind: Kind) -> int:
        """Returns how long it has been silent."""
        silence = now - (subflow.heard_at or subflow.silent_since or now)
        if subflow.state is PathState.ACTIVE:
            subflow.begin_episode()
            self._pings.hasten(now, subflow)
        subflow.state = state
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
        return silence

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
            patience = subflow.rtt.srtt_ns + 2 * subflow.rtt.rttvar_ns + GRACE_NS
            if max(oldest.sent_at, subflow.heard_at) + patience > now:
                continue
            if self._others_heard(subflow):
                self.suspect(now, subflow, Kind.SLOW)
                moved = True
        return moved

    def restore(self, now: int, subflow: Subflow) -> None:
        """`subflow` answered a question: it carries data again.

        Only that counts. That data of a suspect path is acknowledged says nothing about now: it
        may have arrived before the path went silent, and of bytes that another path carried since
        nobody knows which copy was meant.

        After a real silence its window starts small and slow-starts towards the old ssthresh. A
        silence of less than an RTO was no outage but the loss of whatever was on its way, unless
        all of that has arrived after all; only of a suspect path the window is never smaller then
        than that of a new one.
        """
        if subflow.drained:
            return
        if subflow.state is PathState.ACTIVE:
            if subflow.timeouts:  # it had not been suspected, as all paths were silent
                subflow.timeouts = 0
                subflow.rtt.reset_backoff()
                self._losses.resend(now, subflow)
            return
        previous = subflow.state
        subflow.state = PathState.ACTIVE
        subflow.timeouts = 0
        if previous is PathState.UNTRIED:
            return
        subflow.recovery_position = subflow.order.edge
        fresh = initial_window(subflow.mss)
        if subflow.silence_ns >= subflow.rtt.rto_ns:
            subflow.controller.restart(fresh, now)
            self._losses.window_changed(subflow, "restored")
        elif subflow.episode.lost > 0:
            subflow.controller.on_loss(now=now, in_flight=subflow.episode.lost)
            subflow.episode.reduced = True
            if previous is PathState.SUSPECT and subflow.controller.cwnd < fresh:
                subflow.controller.restart(fresh, now)
            self._losses.window_changed(subflow, "restored")
        if self._losses.report:
            doubt = previous is PathState.PROBING
            event = PathCleared(subflow.index) if doubt else PathRestored(subflow.index)
            self._losses.report(event)

    def deadline(self, subflow: Subflow) -> int | None:
        """When `check` may have something to say about `subflow`."""
        if subflow.state is PathState.PROBING:
            return self._condemned_at(subflow)
        if subflow.state is not PathState.ACTIVE:
            return None
        if self._probed.get(subflow.index, -1) >= subflow.heard_at:
            return None
        return self._suspect_at(subflow)
