"""BALIA, the balanced linked adaptation algorithm.

Q. Peng, A. Walid, J. Hwang, S. H. Low, "Multipath TCP: analysis, design, and implementation",
IEEE/ACM Transactions on Networking 24(1), 2016 (first at SIGMETRICS 2013), section V;
draft-walid-mptcp-congestion-control section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from omtcp.core.congestion.coupling.flow import Flow, Share

MOST_BACKOFF = 1.5
"""A loss takes at most 3/4 of a window."""


def balia(flows: Sequence[Flow], fair: float = 1.0) -> list[Share]:
    """A balance of friendliness and responsiveness, in the increase as in the decrease.

    With x_r = w_r/rtt_r and alpha_r = max(x)/x_r, which is 1 on the fastest path and more on
    others, for each ACK on path r w_r (in segments) grows by

        x_r / (rtt_r · (Σ x_k)²) · (1 + alpha_r)/2 · (4 + alpha_r)/5

    and for each loss it shrinks by w_r/2 · min(alpha_r, 1.5). Reno's increase is 1/w_r, so the
    share is (x_r / Σ x_k)² times the two factors. It does not exceed that of one TCP: with a the
    part that the fastest path has of the sum and b that of r, it is (b + a)(4b + a)/10.
    """
    total = sum(flow.rate for flow in flows)
    fastest = max((flow.rate for flow in flows), default=0.0)
    shares = []
    for flow in flows:
        if not flow.rate:
            shares.append(Share(1.0))
            continue
        alpha = fastest / flow.rate
        growth = (flow.rate / total) ** 2 * (1 + alpha) / 2 * (4 + alpha) / 5
        shares.append(Share(min(1.0, growth * fair * fair), min(alpha, MOST_BACKOFF)))
    return shares
