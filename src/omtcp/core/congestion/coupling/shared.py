"""Equal shares of one TCP's growth: the paper's eq. 1."""

from __future__ import annotations

from collections.abc import Sequence

from omtcp.core.congestion.coupling.flow import Flow, Share


def shared(flows: Sequence[Flow], fair: float = 1.0) -> list[Share]:
    """1/n_ca for each of the n_ca subflows in congestion avoidance (eq. 1), times `fair`.

    A subflow in slow start takes nothing from the others, but may leave slow start before shares
    are dealt again, so it has what it would get by joining last. None grows faster than one TCP.

    Together n subflows grow like one TCP, but each gives back only its own half on a loss: at the
    same loss rate they carry sqrt(n) times what one TCP does.
    """
    n_ca = sum(flow.in_congestion_avoidance for flow in flows)
    return [
        Share(min(1.0, fair / (n_ca if flow.in_congestion_avoidance else n_ca + 1)))
        for flow in flows
    ]
