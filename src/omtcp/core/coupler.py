"""Who grows how fast while all paths do: the couplings of `congestion/coupling`, applied.

Shares depend on windows and round trips. They are computed anew once per round trip of the nearest
path, and whenever a window was cut (RFC 6356 section 4 asks for no more); ACKs in between use what
is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omtcp.core.config import MILLISECOND, Config, Coupling
from omtcp.core.congestion.coupling import COUPLINGS, Flow
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event


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
        "_coupling",
        "_due_at",
        "_fair",
        "_losses",
        "_report",
        "_subflows",
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
        name = Coupling.UNCOUPLED if config.coupling is Coupling.AUTO else config.coupling
        self._coupling = COUPLINGS[name]
        self._losses = {id(subflow): _LossInterval() for subflow in subflows}
        self._due_at = 0

    def add(self, subflow: Subflow) -> None:
        """One more subflow, with which the others share."""
        self._losses[id(subflow)] = _LossInterval()
        self._due_at = 0

    def forget(self, subflow: Subflow) -> None:
        """A subflow that is gone."""
        del self._losses[id(subflow)]
        self._due_at = 0

    def on_loss(self, subflow: Subflow) -> None:
        """A congestion event on `subflow`: all shares are due."""
        interval = self._losses[id(subflow)]
        interval.last = subflow.delivered - interval.since
        interval.since = subflow.delivered
        self._due_at = 0

    def on_delivered(self, now: int) -> None:
        """Something was acknowledged: deal shares out if it is time."""
        if now < self._due_at:
            return
        usable = [flow for flow in self._subflows if flow.usable and flow.rtt.has_sample]
        if not usable:
            return
        self._couple(usable)
        self._due_at = now + max(min(flow.rtt.srtt_ns for flow in usable), MILLISECOND)

    def _couple(self, subflows: Sequence[Subflow]) -> None:
        shares = self._coupling([self._flow(subflow) for subflow in subflows], self._fair)
        for subflow, share in zip(subflows, shares, strict=True):
            subflow.growth = share.growth
            subflow.controller.backoff = share.backoff

    def _flow(self, subflow: Subflow) -> Flow:
        interval = self._losses[id(subflow)]
        return Flow(
            cwnd=subflow.controller.cwnd,
            mss=subflow.mss,
            rtt_ns=subflow.rtt.srtt_ns,
            loss_interval=max(interval.last, subflow.delivered - interval.since),
            in_congestion_avoidance=subflow.controller.in_congestion_avoidance,
        )
