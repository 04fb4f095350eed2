"""How a link was shared: the measured connection's part beside its competitors'."""

from collections.abc import Sequence
from dataclasses import dataclass

from omtcp.lab.sink import BIN_NS

Bins = Sequence[tuple[int, int]]
"""(index of a 10 ms bin, bytes in it), ascending, empty bins left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Goodput from `from_ns` of the run to its end.

    measured_bps is one measured connection's (the mean of several); ratio is that over the mean
    competitor's, 1 being a fair share, None if the competitors got nothing; jain is Jain's index
    over all connections: 1 if all got the same, 1/n if one got everything.
    """

    from_ns: int
    measured_bps: float
    competitors_bps: list[float]
    ratio: float | None
    jain: float

    @property
    def spread(self) -> tuple[float, float] | None:
        """The slowest and the fastest competitor, over their mean; what chance does to equals."""
        mean = sum(self.competitors_bps) / len(self.competitors_bps)
        return (
            (min(self.competitors_bps) / mean, max(self.competitors_bps) / mean) if mean else None
        )


def share(
    measured: Bins, competitors: Sequence[Bins], *, downloads: int, from_ns: int, until_ns: int
) -> Share:
    """What each had between two times of the run, of whole 10 ms bins."""
    first, last = -(-from_ns // BIN_NS), until_ns // BIN_NS
    seconds = max(last - first, 1) * BIN_NS / 1e9

    def rate(bins: Bins) -> float:
        return sum(size for index, size in bins if first <= index < last) * 8 / seconds

    ours = rate(measured) / downloads
    theirs = [rate(bins) for bins in competitors]
    mean = sum(theirs) / len(theirs)
    return Share(
        from_ns=from_ns,
        measured_bps=ours,
        competitors_bps=theirs,
        ratio=ours / mean if mean else None,
        jain=jain_index([ours] * downloads + theirs),
    )


def jain_index(values: Sequence[float]) -> float:
    """(sum x)^2 / (n * sum x^2) (Jain, Chiu and Hawe 1984); 1 if all are zero."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0
