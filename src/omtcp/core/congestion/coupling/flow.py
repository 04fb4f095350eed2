"""What a coupling knows of each subflow, and what it decides about it.

A coupling is a pure function of the subflows' windows and round trips; it keeps nothing. Its answer
is relative to one Reno flow on the same path, whose window grows by one MSS per round trip and
halves on a loss: `growth` is the part of that increase, `backoff` the multiple of that decrease.
Reno follows such an answer exactly; how CUBIC does is said in `congestion/cubic.py`.

Couplings that aim at the throughput of one TCP do it by way of the balance between increase and
decrease: at a given loss rate p Reno's mean window is sqrt(2·growth/p) segments, so a window of 1/n
of a TCP's needs 1/n² of its growth. `fair`, how many flows the connection may be as aggressive as,
therefore enters their growth squared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One subflow: windows in bytes, times in ns."""

    cwnd: int
    mss: int
    rtt_ns: int
    """Smoothed; more than 0."""
    loss_interval: int
    """Bytes acknowledged between its last two losses, or since the last if that is more."""
    in_congestion_avoidance: bool = True

    @property
    def rate(self) -> float:
        """cwnd/RTT, bytes per second."""
        return self.cwnd / self.rtt_ns * 1e9


class Share(NamedTuple):
    """A coupling's answer for one subflow."""

    growth: float
    """Part of one TCP's increase, at most 1; negative where the window is to shrink."""
    backoff: float = 1.0
    """Multiple of the usual decrease on a loss."""


Rule = Callable[[Sequence[Flow], float], list[Share]]
"""(subflows, fair) -> the share of each, in the same order."""
