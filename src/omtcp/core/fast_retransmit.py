"""The paper's own rule for losses, P3: more than 2·MSS of a subflow delivered above a hole."""

from __future__ import annotations

from omtcp.core.subflow import Subflow

OUT_OF_ORDER_SEGMENTS = 2
"""The paper, section III.B."""


def lost_below(subflow: Subflow) -> int:
    """The position below which all that is outstanding is lost; 0 when nothing is.

    The paper states it for the first hole, RFC 6675 section 4 (IsLost) for each.
    """
    return subflow.order.lost_below(OUT_OF_ORDER_SEGMENTS * subflow.mss) or 0
