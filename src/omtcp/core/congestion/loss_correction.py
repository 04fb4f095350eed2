"""LC, the loss correction factor: how many segments a subflow may send before a loss (P8).

The paper offers two, by where loss comes from: `InverseLoss` for external loss, 1/p, and
`cubic_like` for loss that the subflow causes itself.
"""

from math import cbrt

from omtcp.core.congestion.base import SSTHRESH_INFINITE

_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2)
"""Most recent interval first (RFC 5348 section 5.4, n = 8)."""


class InverseLoss:
    """1/p as the average number of bytes between loss events (RFC 5348 section 5).

    As there, eight intervals count, the old ones less; one loss event is one interval, however
    many segments were lost; the open interval counts only once it raises the average, so that a
    fresh loss is not mistaken for a bad path nor a long success forgotten.

    `prior_bytes` stands for the history of a path of which nothing is known (as section 6.3.1
    does with an interval made up from the first rates) and fades as real intervals replace it.
    """

    __slots__ = ("_intervals", "_open", "_prior_bytes", "events")

    def __init__(self, *, prior_bytes: int = 1 << 20) -> None:
        self._intervals: list[int] = [prior_bytes]
        self._open = 0
        self._prior_bytes = prior_bytes
        self.events = 0
        """Loss events seen."""

    def on_delivered(self, count: int) -> None:
        """`count` bytes of this subflow were acknowledged."""
        self._open += count

    def on_loss(self) -> None:
        """A loss event: the congestion window was reduced."""
        self.events += 1
        self._intervals.insert(0, self._open)
        del self._intervals[len(_WEIGHTS) :]
        self._open = 0

    def interval_bytes(self) -> float:
        """The average loss interval in bytes, eq. of RFC 5348 section 5.4."""
        return max(_average(self._intervals), _average([self._open, *self._intervals]))

    def segments(self, mss: int) -> float:
        """LC = 1/p in segments of `mss`, at least 1."""
        return max(1.0, self.interval_bytes() / mss)

    @property
    def observed_bytes(self) -> int:
        """The confidence: bytes that the estimate rests on, none of them from the prior."""
        closed = self._intervals[: self.events]
        return self._open + sum(closed)


def _average(intervals: list[int]) -> float:
    pairs = list(zip(_WEIGHTS, intervals, strict=False))
    return sum((w * i for w, i in pairs), 0.0) / sum((w for w, _ in pairs), 0.0)


def cubic_like(*, cwnd: int, ssthresh: int, mss: int) -> float:
    """LC in segments when the subflow's own growth causes the loss, expected at 2·ssthresh.

    Its scale is what a sawtooth between ssthresh and 2·ssthresh sends in all, 3/2·ssthresh²
    segments, so that it compares with a measured 1/p. Its shape is how fast CUBIC's window
    (RFC 9438 eq. 1) still grows at cwnd, relative to its speed at ssthresh: the derivative of
    the cubic is the 2/3 power of the distance to its plateau, here 2·ssthresh. So LC is
    greatest up to ssthresh and falls, the steeper the nearer, to 1 at 2·ssthresh and beyond.
    Without a loss so far, cwnd stands for ssthresh.
    """
    if ssthresh >= SSTHRESH_INFINITE:
        ssthresh = cwnd
    whole = 1.5 * (ssthresh / mss) ** 2
    distance = max(0.0, min(1.0, 2.0 - cwnd / ssthresh))
    return max(1.0, whole * cbrt(distance) ** 2)
