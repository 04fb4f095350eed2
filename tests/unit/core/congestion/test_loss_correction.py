"""1/p as RFC 5348 averages it, and the cubic shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.congestion.base import SSTHRESH_INFINITE
from omtcp.core.congestion.loss_correction import InverseLoss, cubic_like

MSS = 1000


def with_intervals(*segments: int, prior: int = 0) -> InverseLoss:
    """An estimator that saw these loss intervals, oldest first."""
    lc = InverseLoss(prior_bytes=prior * MSS)
    for interval in segments:
        lc.on_delivered(interval * MSS)
        lc.on_loss()
    return lc


class TestInverseLoss:
    def test_constant_loss_rate(self) -> None:
        assert with_intervals(*[100] * 8).segments(MSS) == pytest.approx(100)

    def test_weights_of_rfc_5348(self) -> None:
        lc = with_intervals(80, 70, 60, 50, 40, 30, 20, 10)
        newest_first = [10, 20, 30, 40, 50, 60, 70, 80]
        weights = [1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
        expected = sum(w * i for w, i in zip(weights, newest_first, strict=True)) / 6
        assert lc.segments(MSS) == pytest.approx(expected)

    def test_only_eight_intervals_count(self) -> None:
        assert with_intervals(10**6, *[100] * 8).segments(MSS) == pytest.approx(100)

    def test_open_interval_counts_only_when_it_raises_the_average(self) -> None:
        lc = with_intervals(*[100] * 8)
        lc.on_delivered(50 * MSS)
        assert lc.segments(MSS) == pytest.approx(100)
        lc.on_delivered(950 * MSS)
        assert lc.segments(MSS) == pytest.approx((1000 + 5 * 100) / 6)

    def test_prior_holds_until_something_is_known_and_then_fades(self) -> None:
        lc = InverseLoss(prior_bytes=500 * MSS)
        assert lc.segments(MSS) == 500
        seen = []
        for _ in range(8):
            lc.on_delivered(100 * MSS)
            lc.on_loss()
            seen.append(lc.segments(MSS))
        assert seen == sorted(seen, reverse=True)
        assert seen[0] == pytest.approx(300)
        assert seen[-1] == pytest.approx(100)

    def test_success_from_the_start_raises_it_above_the_prior(self) -> None:
        lc = InverseLoss(prior_bytes=500 * MSS)
        lc.on_delivered(10_000 * MSS)
        assert lc.segments(MSS) == pytest.approx(5250)

    def test_confidence_counts_what_was_observed(self) -> None:
        lc = InverseLoss(prior_bytes=500 * MSS)
        assert lc.observed_bytes == 0
        lc.on_delivered(10)
        lc.on_loss()
        lc.on_delivered(5)
        assert lc.observed_bytes == 15
        assert lc.events == 1
        for _ in range(8):
            lc.on_delivered(7)
            lc.on_loss()
        assert lc.observed_bytes == 12 + 7 * 7

    def test_loss_after_loss_is_at_least_one_segment(self) -> None:
        assert with_intervals(*[0] * 8).segments(MSS) == 1

    @given(st.lists(st.integers(0, 10**7), min_size=8, max_size=20))
    def test_within_the_intervals(self, intervals: list[int]) -> None:
        lc = InverseLoss()
        for interval in intervals:
            lc.on_delivered(interval)
            lc.on_loss()
        recent = intervals[-8:]
        assert min(recent) - 1 <= lc.interval_bytes() <= max(recent) + 1


class TestCubicLike:
    def test_scale_is_one_sawtooth(self) -> None:
        """From W/2 to W, one segment per round trip: 3/8·W² segments."""
        sent = sum(range(100, 200))
        lc = cubic_like(cwnd=100 * MSS, ssthresh=100 * MSS, mss=MSS)
        assert lc == pytest.approx(sent, rel=0.01)

    def test_flat_below_ssthresh_then_falling_to_one_at_twice(self) -> None:
        values = [cubic_like(cwnd=c * MSS, ssthresh=100 * MSS, mss=MSS) for c in range(10, 301, 5)]
        assert values == sorted(values, reverse=True)
        assert values[0] == values[18] == 15_000
        assert cubic_like(cwnd=190 * MSS, ssthresh=100 * MSS, mss=MSS) < 0.25 * values[0]
        assert cubic_like(cwnd=200 * MSS, ssthresh=100 * MSS, mss=MSS) == 1
        assert values[-1] == 1

    def test_before_any_loss_the_window_itself_is_the_scale(self) -> None:
        lc = cubic_like(cwnd=100 * MSS, ssthresh=SSTHRESH_INFINITE, mss=MSS)
        assert lc == 15_000
