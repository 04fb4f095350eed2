"""Who grows how fast while all paths do: the couplings of `congestion/coupling`, applied.

Shares depend on windows and round trips. They are computed anew once per round trip of the nearest
path, and whenever a window was cut (RFC 6356 section 4 asks for no more); ACKs in between use what
is there.

With `auto`, of paths that are found to share a bottleneck one carries data, and the others rest
until it fails: all of them would meet in one queue, where together they can have no more than one,
and nothing is as fair as one TCP. Other paths are on their own. Nothing is known at first, and then
every path is on its own: distinct uplinks are what a connection is given several paths for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omtcp.core.config import MILLISECOND, SECOND, Config, Coupling
from omtcp.core.congestion.coupling import COUPLINGS, Flow, Share
from omtcp.core.shared_bottleneck import SharedBottlenecks
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event

OUT_OF_TURN = 0.1
"""Growth of a suspect while it is another's turn, as a part of its share. Not zero: that means to
hold, and to catch up later."""
RESERVE = 4
"""The part of its window, one in so many, that it leaves free meanwhile. A queue of its own becomes
shorter by it within a round trip; a third of a bandwidth-delay product does not run empty."""
SPARED_NS = SECOND
"""Who carries for a group begins as after a loss, unless it had one within this time. Until then
the group took more than one flow's part, and a suspect out of its turn, with a quarter less in
flight, is spared when a queue overflows: others were cut, and CUBIC takes long to make it even."""
SIMILAR = 0.75
"""Of paths that deliver at least so much of what the best does, the nearest is taken."""


@dataclass(slots=True)
class _LossInterval:
    """Bytes delivered between losses (OLIA's l1 and l2)."""

    last: int = 0
    """Between the last two losses."""
    since: int = 0
    """What was delivered in all when the last one happened."""


class Coupler:
    """Sets the growth share and the backoff of each subflow of one connection."""

    __slots__ = (
        "_chosen",
        "_due_at",
        "_fair",
        "_losses",
        "_lost_at",
        "_subflows",
        "_watching",
        "bottlenecks",
    )

    def __init__(
        self,
        config: Config,
        subflows: list[Subflow],
        report: Callable[[Event], None] | None,
    ) -> None:
        self._fair = config.fair
        self._subflows = subflows
        self._chosen = config.coupling
        self.bottlenecks: SharedBottlenecks | None = None
        if config.coupling is Coupling.AUTO:
            self.bottlenecks = SharedBottlenecks(subflows, report)
        self._watching = True
        self._losses: dict[Subflow, _LossInterval] = {}
        self._lost_at: dict[Subflow, int] = {}
        self._due_at = 0

    def watch(self, watching: bool) -> None:
        """Whether to look for shared bottlenecks, and to act on those found; it is on at first.

        Where all paths carry the same, the delays of all agree, whatever they share.
        """
        self._watching = watching
        if not watching:
            for subflow in self._subflows:
                subflow.carrier = None
        self._due_at = 0

    def add(self, subflow: Subflow) -> None:
        """One more subflow, with which the others share."""
        if self.bottlenecks is not None:
            self.bottlenecks.add(subflow)
        self._due_at = 0

    def forget(self, subflow: Subflow) -> None:
        """A subflow that is gone."""
        self._losses.pop(subflow, None)
        self._lost_at.pop(subflow, None)
        if self.bottlenecks is not None:
            self.bottlenecks.forget(subflow)
        self._due_at = 0

    def on_loss(self, now: int, subflow: Subflow) -> None:
        """A congestion event on `subflow`: all shares are due."""
        self._lost_at[subflow] = now
        interval = self._interval(subflow)
        interval.last = subflow.delivered - interval.since
        interval.since = subflow.delivered
        self._due_at = 0

    def on_sample(self, now: int, subflow: Subflow, rtt_ns: int) -> None:
        """A round trip was measured."""
        if self.bottlenecks is not None and self._watching:
            self.bottlenecks.on_sample(now, subflow, rtt_ns)

    def on_delivered(self, now: int) -> None:
        """Something was acknowledged: deal shares out if it is time."""
        if now < self._due_at:
            return
        usable = [flow for flow in self._subflows if flow.usable and flow.rtt.has_sample]
        if not usable:
            return
        if self.bottlenecks is not None and self._watching:
            for group in self.bottlenecks.groups:
                self._appoint(now, group)
        rule = Coupling.UNCOUPLED if self._chosen is Coupling.AUTO else self._chosen
        shares = COUPLINGS[rule]([self._flow(subflow) for subflow in usable], self._fair)
        for subflow, share in zip(usable, shares, strict=True):
            self._apply(subflow, share, in_turn=self._in_turn(now, subflow))
        self._due_at = now + max(min(flow.rtt.srtt_ns for flow in usable), MILLISECOND)

    def _appoint(self, now: int, group: Sequence[Subflow]) -> None:
        """Have one of `group` carry data for all."""
        able = [subflow for subflow in group if subflow.usable and not subflow.timeouts]
        able = [subflow for subflow in able if not subflow.lossy] or able
        carrier = self._carrier(group, able)
        if carrier is not None and len(group) > 1 and all(flow.carrier is None for flow in group):
            self._make_room(now, carrier)
        for subflow in group:
            subflow.carrier = carrier if subflow is not carrier else None

    def _make_room(self, now: int, carrier: Subflow) -> None:
        if now - self._lost_at.get(carrier, 0) > SPARED_NS:
            carrier.controller.on_ecn(now=now, in_flight=carrier.in_flight)

    @staticmethod
    def _carrier(group: Sequence[Subflow], able: Sequence[Subflow]) -> Subflow | None:
        """Of the cheapest who does already, else the nearest of those that deliver much."""
        least = min((subflow.cost for subflow in able), default=0)
        cheap = [subflow for subflow in able if subflow.cost == least]
        for subflow in group:
            if subflow.carrier in cheap:
                return subflow.carrier
        most = max((subflow.rate.value for subflow in cheap), default=0)
        good = [subflow for subflow in cheap if subflow.rate.value >= SIMILAR * most]
        return min(good, key=lambda subflow: subflow.rtt.recent_min_rtt_ns, default=None)

    def _in_turn(self, now: int, subflow: Subflow) -> bool:
        """Not if it is a suspect and another's turn to grow."""
        if self.bottlenecks is None or not self._watching:
            return True
        return self.bottlenecks.turn(now, subflow) is not False

    @staticmethod
    def _apply(subflow: Subflow, share: Share, *, in_turn: bool) -> None:
        controller = subflow.controller
        controller.backoff = share.backoff
        subflow.growth = share.growth if in_turn else share.growth * OUT_OF_TURN
        subflow.reserve = 0 if in_turn else controller.cwnd // RESERVE

    def _interval(self, subflow: Subflow) -> _LossInterval:
        return self._losses.setdefault(subflow, _LossInterval())

    def _flow(self, subflow: Subflow) -> Flow:
        interval = self._interval(subflow)
        return Flow(
            cwnd=subflow.controller.cwnd,
            mss=subflow.mss,
            rtt_ns=subflow.rtt.srtt_ns,
            loss_interval=max(interval.last, subflow.delivered - interval.since),
            in_congestion_avoidance=subflow.controller.in_congestion_avoidance,
        )
