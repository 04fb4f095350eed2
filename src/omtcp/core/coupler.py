"""Who grows how fast while all paths do: the couplings of `congestion/coupling`, applied.

Shares depend on windows and round trips. They are computed anew once per round trip of the nearest
path, and whenever a window was cut (RFC 6356 section 4 asks for no more); ACKs in between use what
is there.

With `auto`, paths that are found to share a bottleneck are fused and the others are on their own.
Nothing is known at first, and then every path is on its own too: distinct uplinks are what a
connection is given several paths for, and the price of a mistake is lower on this side, some two
seconds of a second flow's worth at a bottleneck against half the growth on every path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omtcp.core.config import MILLISECOND, Config, Coupling
from omtcp.core.congestion.coupling import COUPLINGS, Flow, Share
from omtcp.core.shared_bottleneck import SharedBottlenecks
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event

OUT_OF_TURN = 0.1
"""Growth of a suspect while it is another's turn, as a part of its share. Not zero: that means to
hold, and to catch up later."""
FUSED_OUT_OF_TURN = 0.3
"""The same once it is fused with others: enough to tell if the verdict becomes wrong."""


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
        "_report",
        "_subflows",
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
        self._report = report
        self._chosen = config.coupling
        self.bottlenecks: SharedBottlenecks | None = None
        if config.coupling is Coupling.AUTO:
            self.bottlenecks = SharedBottlenecks(subflows, report)
        self._losses: dict[Subflow, _LossInterval] = {}
        self._due_at = 0

    def add(self, subflow: Subflow) -> None:
        """One more subflow, with which the others share."""
        if self.bottlenecks is not None:
            self.bottlenecks.add(subflow)
        self._due_at = 0

    def forget(self, subflow: Subflow) -> None:
        """A subflow that is gone."""
        self._losses.pop(subflow, None)
        if self.bottlenecks is not None:
            self.bottlenecks.forget(subflow)
        self._due_at = 0

    def on_loss(self, now: int, subflow: Subflow) -> None:
        """A congestion event on `subflow`: all shares are due, and those fused with it lose too."""
        interval = self._interval(subflow)
        interval.last = subflow.delivered - interval.since
        interval.since = subflow.delivered
        self._due_at = 0
        for group in self._groups():
            if subflow in group and self._rule(group) is Coupling.FUSED:
                for other in group:
                    if other is not subflow:
                        self._reduce(now, other)

    def on_sample(self, now: int, subflow: Subflow, rtt_ns: int) -> None:
        """A round trip was measured."""
        if self.bottlenecks is not None:
            self.bottlenecks.on_sample(now, subflow, rtt_ns)

    def on_delivered(self, now: int) -> None:
        """Something was acknowledged: deal shares out if it is time."""
        if now < self._due_at:
            return
        usable = [flow for flow in self._subflows if flow.usable and flow.rtt.has_sample]
        if not usable:
            return
        for group in self._groups():
            self._couple(now, [subflow for subflow in group if subflow in usable], group)
        self._due_at = now + max(min(flow.rtt.srtt_ns for flow in usable), MILLISECOND)

    def _groups(self) -> list[list[Subflow]]:
        return [self._subflows] if self.bottlenecks is None else self.bottlenecks.groups

    def _rule(self, group: Sequence[Subflow]) -> Coupling:
        if self.bottlenecks is None:
            return self._chosen
        return Coupling.FUSED if len(group) > 1 else Coupling.UNCOUPLED

    def _couple(self, now: int, subflows: Sequence[Subflow], group: Sequence[Subflow]) -> None:
        rule = self._rule(group)
        fused = rule is Coupling.FUSED
        shares = COUPLINGS[rule]([self._flow(subflow) for subflow in subflows], self._fair)
        for subflow, share in zip(subflows, shares, strict=True):
            subflow.fused = fused
            self._apply(subflow, share, self._pace(now, subflow, fused))

    def _pace(self, now: int, subflow: Subflow, fused: bool) -> float:
        """What a share is multiplied by while it is tested whether the bottleneck is shared.

        Those that are fused grow by turns as much as they would together. Suspects, which still
        have whole shares, only give some up.
        """
        turn = None if self.bottlenecks is None else self.bottlenecks.turn(now, subflow)
        if turn is None:
            return 1.0
        if fused:
            return 2 - FUSED_OUT_OF_TURN if turn else FUSED_OUT_OF_TURN
        return 1.0 if turn else OUT_OF_TURN

    @staticmethod
    def _apply(subflow: Subflow, share: Share, pace: float) -> None:
        subflow.growth = min(1.0, share.growth * pace)
        controller = subflow.controller
        controller.backoff = share.backoff
        controller.clock = None if share.clock is None else share.clock * pace

    def _reduce(self, now: int, subflow: Subflow) -> None:
        """Have `subflow` take part in another's congestion event, once per round trip."""
        if subflow.in_recovery or not subflow.in_flight or not subflow.usable:
            return
        subflow.recovery_position = subflow.position
        subflow.controller.on_loss(now=now, in_flight=subflow.in_flight)
        subflow.begin_reduction(subflow.in_flight)
        if self._report:
            self._report(subflow.window_changed("coupled"))

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
