"""Couplings of the subflows' windows, one file per algorithm, and the choice by name."""

from omtcp.core.congestion.coupling.balia import balia
from omtcp.core.congestion.coupling.flow import Flow, Rule, Share
from omtcp.core.congestion.coupling.lia import lia
from omtcp.core.congestion.coupling.olia import olia
from omtcp.core.congestion.coupling.shared import shared
from omtcp.core.congestion.coupling.uncoupled import uncoupled

COUPLINGS: dict[str, Rule] = {
    "uncoupled": uncoupled,
    "shared": shared,
    "lia": lia,
    "olia": olia,
    "balia": balia,
}

__all__ = [
    "COUPLINGS",
    "Flow",
    "Rule",
    "Share",
    "balia",
    "lia",
    "olia",
    "shared",
    "uncoupled",
]
