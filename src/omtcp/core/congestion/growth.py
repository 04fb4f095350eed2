"""The growth budget: how much of a TCP's congestion avoidance each subflow may do (P7).

One TCP grows by one MSS per round trip. That budget, or `fair` times it, is divided among the
subflows of a connection so that it does the most good (eq. 2-4); a controller grows by the share
x_i it is given. Eq. 1, equal shares, is among the couplings.

Only subflows in congestion avoidance, the paper's n_ca, compete. A subflow in slow start does
not use its share, but may leave slow start before shares are dealt again, so it is given what it
would get by joining last: nothing that belongs to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthInput:
    """What a policy knows of one subflow."""

    mss: int
    rtt_ns: int
    lc: float
    """Loss correction: segments to be sent before the next loss (see `loss_correction`)."""
    in_congestion_avoidance: bool

    @property
    def merit(self) -> float:
        """MSS·LC/RTT, the benefit per second of growing here (eq. 2); 0 without a round trip."""
        return self.mss * self.lc / self.rtt_ns * 1e9 if self.rtt_ns > 0 else 0.0


def ranking(subflows: Sequence[GrowthInput]) -> list[int]:
    """The indices of the subflows, best candidate for growth first.

    Congestion avoidance before slow start, then by merit, then in the given order.
    """

    def key(i: int) -> tuple[bool, float]:
        return not subflows[i].in_congestion_avoidance, -subflows[i].merit

    return sorted(range(len(subflows)), key=key)


def primary_shares(subflows: Sequence[GrowthInput], fair: float = 1.0) -> list[float]:
    """Maximise Σ x_i·MSS_i·LC_i/RTT_i with 0 ≤ x_i ≤ 1 and Σ x_i = fair (eq. 2-4).

    A linear objective under these bounds is greatest where the best subflows have whole shares
    and the next one the fraction. With fair = 1 the best grows like one TCP and no other does.
    """
    shares = [0.0] * len(subflows)
    left = fair
    for i in ranking(subflows):
        shares[i] = min(1.0, left)
        left -= shares[i]
    return shares
