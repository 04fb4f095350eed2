"""CUBIC (RFC 9438), in bytes, with the paper's growth budget.

Floats appear only inside the cubic function, its inverse and W_est. The growth share x_i slows
down the clock t of the curve: with less than 1 the window follows the same curve more slowly, with
0 it stands still and the epoch does not race ahead. For the same reason, the clock stands still
while the application limits the sender (RFC 9438 section 4.2, 5.8).

A share is meant for Reno, whose mean window at a given loss rate grows with its square root: with
1/n² of the growth, a window of 1/n. CUBIC's grows with the 3/4 power of the clock's speed (section
5.1: with the fourth root of C, and a curve at the speed v is one with C·v³). So the clock runs at
x^(2/3), which has the same effect on the window. In the Reno-friendly region W_est grows by x_i
itself.
"""

from math import cbrt
from typing import ClassVar

from omtcp.core.congestion.base import CongestionController

C = 0.4
"""Segments per second cubed (RFC 9438 section 5.1)."""
BETA = 0.7
"""RFC 9438 section 4.6."""
ALPHA = 3 * (1 - BETA) / (1 + BETA)
"""Growth of W_est in MSS per round trip, below the previous maximum (section 4.3)."""

_SECOND = 1e9


class Cubic(CongestionController):
    """The window as a cubic function of the time since the last congestion event."""

    __slots__ = (
        "_after_timeout",
        "_clock_s",
        "_in_epoch",
        "_k_s",
        "_prior",
        "_w_est",
        "_w_max",
    )

    name: ClassVar[str] = "cubic"
    beta: ClassVar[tuple[int, int]] = (7, 10)

    def __init__(self, *, mss: int, hystart: bool = True) -> None:
        super().__init__(mss=mss, hystart=hystart)
        self._w_max = 0.0
        self._prior = 0
        """cwnd_prior: the window at the last congestion event."""
        self._after_timeout = False
        self._in_epoch = False
        self._clock_s = 0.0
        self._k_s = 0.0
        self._w_est = 0.0

    def _avoid(self, *, now: int, acked: int, srtt_ns: int, growth: float) -> None:
        pace = cbrt(growth * growth)
        if not self._in_epoch:
            self._begin_epoch()
        else:
            self._clock_s += self._elapsed_s(now, srtt_ns) * pace
        self._grow_estimate(acked * growth)
        if self._curve(self._clock_s) < self._w_est:  # section 4.3: the Reno-friendly region
            self.cwnd = max(self.cwnd, int(self._w_est))
            return
        # Sections 4.4 and 4.5, concave and convex: per ACK (target - cwnd) / cwnd for each
        # segment, where the target is the curve one round trip ahead, within 1.5·cwnd.
        target = self._curve(self._clock_s + srtt_ns / _SECOND * pace)
        ahead = int(min(target, 1.5 * self.cwnd)) - self.cwnd
        if ahead > 0:
            self.cwnd += min(ahead, self._earn(ahead * acked))

    def _begin_epoch(self) -> None:
        """Section 4.2: where on the curve congestion avoidance starts."""
        if self._after_timeout or self.cwnd >= self._w_max:  # section 4.8, or beyond the maximum
            self._w_max = float(self.cwnd)
        self._after_timeout = False
        self._in_epoch = True
        self._clock_s = 0.0
        self._k_s = cbrt((self._w_max - self.cwnd) / (C * self.mss))
        self._w_est = float(self.cwnd)

    def _elapsed_s(self, now: int, srtt_ns: int) -> float:
        """The time since the last ACK, without what was silence for want of data."""
        elapsed = now - self._last_ack_ns
        if self._last_in_flight == 0:
            elapsed = min(elapsed, srtt_ns)
        return elapsed / _SECOND

    def _curve(self, t: float) -> float:
        """W_cubic(t), eq. 1 of RFC 9438, in bytes."""
        return C * self.mss * (t - self._k_s) ** 3 + self._w_max

    def _grow_estimate(self, acked: float) -> None:
        """W_est, eq. 4: what Reno would have by now, at CUBIC's gentler decrease."""
        alpha = ALPHA if self._w_est < self._prior else 1.0
        self._w_est += alpha * self.mss * acked / self.cwnd

    def _on_reduction(self, prior: int, *, timeout: bool) -> None:
        """Section 4.6, and fast convergence, section 4.7: leave room when squeezed twice."""
        self._w_max = prior * (1 + BETA) / 2 if prior < self._w_max else float(prior)
        self._prior = prior
        self._after_timeout = timeout
        self._end_epoch()

    def _end_epoch(self) -> None:
        super()._end_epoch()
        self._in_epoch = False

    def _snapshot(self) -> tuple[float, ...]:
        return (
            self._w_max,
            self._prior,
            self._after_timeout,
            self._in_epoch,
            self._clock_s,
            self._k_s,
            self._w_est,
        )

    def _restore(self, state: tuple[float, ...]) -> None:
        super()._restore(state)
        self._w_max, prior, after_timeout, in_epoch, self._clock_s, self._k_s, self._w_est = state
        self._prior = int(prior)
        self._after_timeout = bool(after_timeout)
        self._in_epoch = bool(in_epoch)
