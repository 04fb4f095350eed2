"""Which paths are silent, and what is done about it: suspicion, probes, and the way back (P4).

A path is judged by comparison: others are acknowledged, it is not. So its silence costs little
time, far less than a retransmission timeout, and a pause of everything condemns nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(slots=True)
class Doubt:
    """What is known of a path that was silent; its subflow has it, from the first time on."""

    probed_at: int = -1
    """When it was last probed for want of another path to compare it with."""
    unanswered: int = 0
    """Segments that it left unanswered while in doubt."""
    newest: int = 0
    """The position behind the last of them."""


class Silence:
    """Watches every path of one connection."""

    __slots__ = (
        "_black_holes",
        "_config",
        "_losses",
        "_pings",
        "_subflows",
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
        self._black_holes: BlackHoles | None = None
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
                continue
            if subflow.state is not PathState.ACTIVE:  # a drained one may still owe something
                continue
            due = self._suspect_at(subflow)
            if due is None or due > now:
                continue
            if self._others_heard(subflow):
                silent.append(subflow)  # now: it must not speak against the next one
                self._doubt(now, subflow)
            elif not _was_probed(subflow):
                _doubt_of(subflow).probed_at = now
                self._probe(subflow)
        if silent:  # who is left is judged by other rules
            silent += self.check(now)
        return silent

    def _doubt(self, now: int, subflow: Subflow) -> None:
        """`subflow` owes an answer: what is overdue goes to the others, and it is asked."""
        _doubt_of(subflow).unanswered = 0
        if not subflow.outstanding or self._overdue(now, subflow)[1] >= EVIDENCE:
            self.suspect(now, subflow)
            return
        silence = self._put_out_of_use(now, subflow, PathState.PROBING)
        self._judge(now, subflow)
        if subflow.state is PathState.PROBING and self._losses.report:
            self._losses.report(PathProbing(subflow.index, silence))

    def _judge(self, now: int, subflow: Subflow) -> None:
        """Of a path in doubt: more may be overdue, and enough of it makes the path suspect."""
        below, segments = self._overdue(now, subflow)
        doubt = _doubt_of(subflow)
        if segments:
            doubt.unanswered += segments
            self._lose(subflow, below, Kind.SUSPECT)
            doubt.newest = below
        condemned_at = self._condemned_at(subflow)
        if doubt.unanswered >= EVIDENCE or (condemned_at is not None and condemned_at <= now):
            self.suspect(now, subflow)

    def _overdue(self, now: int, subflow: Subflow) -> tuple[int, int]:
        """The position below which everything is overdue, and how many segments that is."""
        sent_before = now - subflow.patience(self._config.suspect_floor_ns)
        below = size = 0
        for send in subflow.sends:
            if send.outstanding and subflow.prompted_at(send) > sent_before:
                break
            below = send.position + send.end - send.start
            size += send.outstanding
        return below, -(-size // subflow.mss)

    def _condemned_at(self, subflow: Subflow) -> int | None:
        """When a path in doubt that leaves pings unanswered has left too many."""
        asked = _doubt_of(subflow).unanswered + self._pings.unanswered(subflow)
        if asked < EVIDENCE or not self._pings.unanswered(subflow):
            return None
        return self._pings.asked_at(subflow) + subflow.patience(self._config.suspect_floor_ns)

    def on_answer(self, now: int, subflow: Subflow, position: int) -> None:
        """What `subflow` alone carried, at `position`, is acknowledged while the path is in doubt.

        If it was sent after what made the path doubtful, that was lost, and no more.
        """
        if position >= _doubt_of(subflow).newest:
            self.restore(now, subflow)

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

    def suspect(self, now: int, subflow: Subflow, kind: Kind = Kind.SUSPECT) -> None:
        """Take `subflow` out of use; all that it still owes goes to the others at once."""
        silence = self._put_out_of_use(now, subflow, PathState.SUSPECT)
        in_vain = subflow.outstanding > 0
        self._lose(subflow, None, kind)
        if in_vain:
            self._look_for_black_hole(subflow)
        if self._losses.report:
            self._losses.report(PathSuspect(subflow.index, silence))

    def _look_for_black_hole(self, subflow: Subflow) -> None:
        """What `subflow` carried was in vain; perhaps smaller segments are not."""
        if self._black_holes is None:
            self._black_holes = BlackHoles()
        smaller = self._black_holes.on_silence(subflow)
        if smaller is not None:
            subflow.resize(smaller)
            self._losses.window_changed(subflow, "mss")

    def _put_out_of_use(self, now: int, subflow: Subflow, state: PathState) -> int:
        """Returns how long it has been silent."""
        if subflow.state is PathState.ACTIVE:
            subflow.begin_episode()
            subflow.recovery_position = subflow.position
            _doubt_of(subflow).newest = subflow.order.edge
            self._pings.hasten(now, subflow)
        subflow.state = state
        if subflow.silent_since is None:
            subflow.silent_since = now
        return now - (subflow.heard_at or subflow.silent_since or now)

    def _lose(self, subflow: Subflow, below: int | None, kind: Kind) -> None:
        for start, end, _ in self._losses.take(subflow, below, kind):
            if self._losses.report:
                self._losses.report(LossDetected(subflow.index, start, end, "silence"))
        subflow.order.advance(subflow.position if below is None else below)

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
        if previous is PathState.PROBING:
            self._reduce(now, subflow)
        else:
            subflow.recovery_position = subflow.order.edge
            self._reopen(now, subflow)
        if self._losses.report:
            doubt = previous is PathState.PROBING
            event = PathCleared(subflow.index) if doubt else PathRestored(subflow.index)
            self._losses.report(event)

    def _reduce(self, now: int, subflow: Subflow) -> None:
        """A few segments were lost: what is in flight beside them belongs to the same event."""
        if subflow.episode.lost <= 0:
            subflow.recovery_position = subflow.order.edge
            return
        flight = subflow.in_flight + subflow.episode.lost
        subflow.controller.on_loss(now=now, in_flight=flight)
        subflow.episode.reduced = True
        subflow.begin_reduction(flight)
        self._losses.window_changed(subflow, "restored")
        self._look_for_black_hole(subflow)

    def _reopen(self, now: int, subflow: Subflow) -> None:
        """An outage is over, or what looked like one."""
        window = initial_window(subflow.mss)
        if subflow.silence_ns >= subflow.rtt.rto_ns:
            subflow.controller.restart(window, now)
        elif subflow.episode.lost > 0:
            subflow.controller.on_loss(now=now, in_flight=subflow.episode.lost)
            subflow.episode.reduced = True
            if subflow.controller.cwnd < window:
                subflow.controller.restart(window, now)
        else:
            return
        self._losses.window_changed(subflow, "restored")

    def deadline(self, subflow: Subflow) -> int | None:
        """When `check` may have something to say about `subflow`."""
        if subflow.state is PathState.PROBING:
            return self._judged_at(subflow)
        if subflow.state is not PathState.ACTIVE:
            return None
        if _was_probed(subflow):
            return None
        return self._suspect_at(subflow)

    def _judged_at(self, subflow: Subflow) -> int | None:
        condemned_at = self._condemned_at(subflow)
        oldest = subflow.oldest()
        if oldest is None:
            return condemned_at
        at = subflow.prompted_at(oldest) + subflow.patience(self._config.suspect_floor_ns)
        return at if condemned_at is None else min(at, condemned_at)


def _doubt_of(subflow: Subflow) -> Doubt:
    doubt = subflow.doubt
    if doubt is None:
        doubt = subflow.doubt = Doubt()
    return doubt


def _was_probed(subflow: Subflow) -> bool:
    """Whether it was since it was last heard."""
    return subflow.doubt is not None and subflow.doubt.probed_at >= subflow.heard_at
