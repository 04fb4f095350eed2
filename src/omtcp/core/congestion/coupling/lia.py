"""LIA, the linked increases algorithm (RFC 6356)."""

from __future__ import annotations

from collections.abc import Sequence

from omtcp.core.congestion.coupling.flow import Flow, Share


def lia(flows: Sequence[Flow], fair: float = 1.0) -> list[Share]:
    """Increases linked through `alpha`, decreases as ever.

    RFC 6356 section 3: for each ACK on subflow i, cwnd_i grows by the lesser of

        alpha · bytes_acked · MSS_i / cwnd_total      and      bytes_acked · MSS_i / cwnd_i

    The second is Reno's own increase, so the share is min(alpha · cwnd_i / cwnd_total, 1): the
    first term gives the connection what one TCP would get on its best path, the minimum sees to
    it that no subflow is more aggressive than a TCP there (goal 2 of section 1).
    """
    total = sum(flow.cwnd for flow in flows)
    alpha = _alpha(flows) * fair * fair
    return [Share(min(1.0, alpha * flow.cwnd / total)) for flow in flows]


def _alpha(flows: Sequence[Flow]) -> float:
    """RFC 6356 section 3, eq. 2: cwnd_total · max(cwnd_i/rtt_i²) / (Σ cwnd_i/rtt_i)².

    Section 4 lets it be recomputed once per window or on each loss, which is what our caller does.
    """
    total = sum(flow.cwnd for flow in flows)
    best = max((flow.cwnd / flow.rtt_ns**2 for flow in flows), default=0.0)
    rates = sum(flow.cwnd / flow.rtt_ns for flow in flows)
    return total * best / rates**2 if rates else 1.0
