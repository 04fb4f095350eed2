"""Paths that carry small packets and swallow large ones, with no ICMP to say so.

Such a path answers pings, is trusted again, and swallows what it is given, for ever. RFC 4821
section 7.7 calls it a black hole: when large packets vanish time and again, try smaller ones.
"""

from __future__ import annotations

from omtcp.core.subflow import Subflow

ROUNDS = 3
"""Silences in a row, or losses of all, with a sign of life but no data delivered in between."""
SIZES = (1200, 500)
"""Segments to try, in payload bytes: what fits the least MTU of IPv6, then that of IPv4."""


class BlackHoles:
    """Counts in vain attempts per path."""

    __slots__ = ("_rounds",)

    def __init__(self) -> None:
        self._rounds: dict[int, tuple[int, int]] = {}

    def on_silence(self, subflow: Subflow) -> int | None:
        """Data over `subflow` drew no answer; the smaller segment size to go on with, if any."""
        delivered, rounds = self._rounds.get(subflow.index, (-1, 0))
        rounds = rounds + 1 if delivered == subflow.delivered else 1
        self._rounds[subflow.index] = (subflow.delivered, rounds)
        if rounds % ROUNDS:
            return None
        return next((size for size in SIZES if size < subflow.mss), None)
