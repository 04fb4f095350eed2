"""The growth budget: how much of a TCP's congestion avoidance each subflow may do (P7).

One TCP grows by one MSS per round trip. The policies here divide that budget, or `fair` times
it, among the subflows of a connection; a controller grows by the share x_i it is given.

Only subflows in congestion avoidance, the paper's n_ca, compete. A subflow in slow start does
not use its share, but may leave slow start before shares are dealt again, so it is given what it
would get by joining last: nothing that belongs to another.
"""

from collections.abc import Callable, Sequence
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


Policy = Callable[[Sequence[GrowthInput], float], list[float]]
"""(subflows, fair) -> the share x_i of each, in the same order."""


def ranking(subflows: Sequence[GrowthInput]) -> list[int]:
    """The indices of the subflows, best candidate for growth first.

    Congestion avoidance before slow start, then by merit, then in the given order.
    """

    def key(i: int) -> tuple[bool, float]:
        return not subflows[i].in_congestion_avoidance, -subflows[i].merit

    return sorted(range(len(subflows)), key=key)


def primary(subflows: Sequence[GrowthInput], fair: float = 1.0) -> list[float]:
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


def shared(subflows: Sequence[GrowthInput], fair: float = 1.0) -> list[float]:
    """Equal shares, 1/n_ca (eq. 1), times `fair`; no subflow grows faster than one TCP."""
    n_ca = sum(subflow.in_congestion_avoidance for subflow in subflows)
    return [
        min(1.0, fair / (n_ca if subflow.in_congestion_avoidance else n_ca + 1))
        for subflow in subflows
    ]


def uncoupled(subflows: Sequence[GrowthInput], fair: float = 1.0) -> list[float]:
    """Every subflow like a TCP of its own; for paths known to share no bottleneck."""
    del fair
    return [1.0] * len(subflows)


POLICIES: dict[str, Policy] = {"primary": primary, "shared": shared, "uncoupled": uncoupled}
