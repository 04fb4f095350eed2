"""OLIA, the opportunistic linked increases algorithm.

R. Khalili, N. Gast, M. Popovic, J.-Y. Le Boudec, "MPTCP is not Pareto-optimal: performance issues
and a possible solution", IEEE/ACM Transactions on Networking 21(5), 2013 (first at CoNEXT 2012),
section IV; draft-khalili-mptcp-congestion-control section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from omtcp.core.congestion.coupling.flow import Flow, Share

_TIE = 1 - 1e-9
"""Figures this near the greatest are equal to it."""


def olia(flows: Sequence[Flow], fair: float = 1.0) -> list[Share]:
    """Kelly and Voice's increase, and a shift of windows from the largest to the best paths.

    For each ACK on path r, w_r (in segments) grows by

        (w_r/rtt_r²) / (Σ_p w_p/rtt_p)²  +  alpha_r / w_r

    Reno's increase is 1/w_r, so the share is (x_r / Σ x_p)² + alpha_r with x = w/rtt. It is
    negative on a path that is to give window away. Decreases are as ever.
    """
    total = sum(flow.rate for flow in flows)
    if not total:
        return [Share(1.0)] * len(flows)
    return [
        Share(min(1.0, ((flow.rate / total) ** 2 + alpha) * fair * fair))
        for flow, alpha in zip(flows, _alphas(flows), strict=True)
    ]


def _alphas(flows: Sequence[Flow]) -> list[float]:
    """How much each path is to gain or lose, a sum of zero.

    With B the presumably best paths, those with the largest l_p/rtt_p² (the square of what TCP
    would carry there; l_p is the loss interval), and M those with the largest window:

    - a path in B but not in M: 1/n divided by the number of those, |B \\ M|
    - a path in M, if there are any of the former: -1/n divided by |M|
    - any other: 0; so are all when the best paths have the largest windows already.
    """
    merits = [flow.loss_interval / flow.rtt_ns**2 for flow in flows]
    best = {i for i, merit in enumerate(merits) if merit >= max(merits) * _TIE}
    windows = [flow.cwnd / flow.mss for flow in flows]
    largest = {i for i, window in enumerate(windows) if window >= max(windows) * _TIE}
    collected = best - largest
    alphas = [0.0] * len(flows)
    if collected:
        for i in collected:
            alphas[i] = 1 / len(flows) / len(collected)
        for i in largest:
            alphas[i] = -1 / len(flows) / len(largest)
    return alphas
