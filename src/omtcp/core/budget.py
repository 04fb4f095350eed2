"""The growth budget while one path is the primary: who may grow, and how much (P7, P10).

The primary grows like one TCP and the others hold; with `fair` above 1 the next best get what is
left. What a standby path could deliver may be unknown, or improve unseen: from time to time it is
allowed to grow for a while, an *audition*, soon after the start and then ever more rarely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from omtcp.core.config import SECOND
from omtcp.core.congestion.growth import GrowthInput, primary_shares
from omtcp.core.subflow import Subflow

AUDITION_FIRST_NS = SECOND
AUDITION_RAREST_NS = 60 * SECOND
AUDITION_NS = SECOND
AUDITION_ROUND_TRIPS = 12


@dataclass(slots=True)
class Audition:
    """When a standby path was last heard, and how long it waits; its subflow has it."""

    heard_at: int | None = None
    every_ns: int = AUDITION_FIRST_NS


def deal(
    now: int, subflows: Sequence[Subflow], primary: Subflow, merits: Sequence[float], fair: float
) -> None:
    """Set x_i, the share of one TCP's growth, of every subflow.

    For growth the primary is best, then merit decides; `fair` is the sum of all (eq. 4).
    """
    inputs = [
        GrowthInput(
            mss=1,
            rtt_ns=SECOND,
            lc=math.inf if subflow is primary else merit,
            in_congestion_avoidance=subflow.usable and subflow.controller.in_congestion_avoidance,
        )
        for subflow, merit in zip(subflows, merits, strict=True)
    ]
    shares = primary_shares(inputs, fair)
    for subflow, share in zip(subflows, shares, strict=True):
        subflow.growth = share
    if primary.usable:
        primary.growth = max(primary.growth, min(1.0, fair))
    for subflow in subflows:
        dearer = subflow.cost > primary.cost and primary.usable  # trying it would cost
        excused = subflow is primary or not subflow.usable or dearer
        if _on_stage(now, subflow, excused):
            subflow.growth = 1.0


def _on_stage(now: int, subflow: Subflow, excused: bool) -> bool:
    """Whether a standby path may show now what it can do."""
    audition = subflow.audition
    if audition is None:
        audition = subflow.audition = Audition()
    if audition.heard_at is None or excused:
        audition.heard_at = now
        audition.every_ns = AUDITION_FIRST_NS
        return False
    waited = now - audition.heard_at - audition.every_ns
    if waited >= max(AUDITION_NS, AUDITION_ROUND_TRIPS * subflow.rtt.srtt_ns):
        audition.heard_at = now
        audition.every_ns = min(2 * audition.every_ns, AUDITION_RAREST_NS)
        return False
    return waited >= 0
