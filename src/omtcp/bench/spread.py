"""Medians with their spread: what a handful of rounds can honestly tell."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDE = 0.25
"""A spread of more than this share of the median is worth a warning."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a few values, the least and the greatest of them, and how many there were."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """None when there are no values."""
        known = sorted(values)
        if not known:
            return None
        return cls(statistics.median(known), known[0], known[-1], len(known))

    @property
    def width(self) -> float:
        """From the least to the greatest, in the values' own unit."""
        return self.high - self.low

    @property
    def wide(self) -> bool:
        """Whether the values lie so far apart that the median says little."""
        return self.width > WIDE * abs(self.median)


def quotients(above: Sequence[float | None], below: Sequence[float | None]) -> list[float]:
    """Round by round, since what disturbs a round disturbs both; rounds that lack one are left out.

    A machine that was half as fast in one round was so for both sides: their quotient is steadier
    than the quotient of the medians.
    """
    return [
        upper / lower
        for upper, lower in zip(above, below, strict=False)
        if upper is not None and lower is not None and lower > 0
    ]


def jain(shares: Sequence[float]) -> float:
    """Jain's fairness index: 1 when all are equal, 1/n when one has everything; 0 for no shares."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
