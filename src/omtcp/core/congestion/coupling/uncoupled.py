"""No coupling: every subflow is a TCP of its own."""

from __future__ import annotations

from collections.abc import Sequence

from omtcp.core.congestion.coupling.flow import Flow, Share


def uncoupled(flows: Sequence[Flow], fair: float = 1.0) -> list[Share]:
    """Whole shares; for paths known to share no bottleneck, where each may act like one TCP.

    Less than one TCP on each with `fair` below 1; more than one on the same path is never meant.
    """
    return [Share(min(1.0, fair * fair))] * len(flows)
