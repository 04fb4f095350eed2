"""Additive increase against its closed form, and the growth budget."""

import pytest

from omtcp.core.congestion.newreno import NewReno

MSS = 1000


def in_avoidance(cwnd: int) -> NewReno:
    cc = NewReno(mss=MSS, hystart=False)
    cc.cwnd = cc.ssthresh = cwnd
    return cc


def round_trip(cc: NewReno, ack_size: int, growth: float = 1.0) -> None:
    """Acknowledge one window in ACKs of `ack_size` bytes."""
    left = cc.cwnd
    while left > 0:
        acked = min(ack_size, left)
        left -= acked
        cc.on_ack(now=0, acked=acked, in_flight=left, srtt_ns=1, growth=growth)


def test_one_ack_of_one_segment_is_rfc_5681_equation_3() -> None:
    cc = in_avoidance(10 * MSS)
    cc.on_ack(now=0, acked=MSS, in_flight=9 * MSS, srtt_ns=1)
    assert cc.cwnd == 10 * MSS + MSS * MSS // (10 * MSS)


@pytest.mark.parametrize("ack_size", [1, 333, MSS, 2 * MSS, 64 * MSS, 10**9])
def test_one_segment_per_round_trip_at_any_ack_size(ack_size: int) -> None:
    cc = in_avoidance(20 * MSS)
    for _ in range(10):
        round_trip(cc, ack_size)
    assert cc.cwnd == pytest.approx(30 * MSS, abs=MSS // 2)


def test_bytes_too_few_to_grow_by_one_are_not_lost() -> None:
    cc = in_avoidance(1000 * MSS)
    for _ in range(1000):
        cc.on_ack(now=0, acked=100, in_flight=900 * MSS, srtt_ns=1)
    assert cc.cwnd == pytest.approx(1000 * MSS + 100, abs=1)


@pytest.mark.parametrize("growth", [0.25, 0.5, 1.0, 2.0])
def test_equation_1_scales_the_increment(growth: float) -> None:
    cc = in_avoidance(40 * MSS)
    for _ in range(20):
        round_trip(cc, 2 * MSS, growth)
    assert cc.cwnd == pytest.approx((40 + 20 * growth) * MSS, rel=0.01)


def test_two_halves_make_a_whole() -> None:
    """Equation 1 with n_ca = 2: both together grow as one TCP."""
    pair = [in_avoidance(30 * MSS), in_avoidance(50 * MSS)]
    for _ in range(10):
        for cc in pair:
            round_trip(cc, 2 * MSS, 0.5)
    assert sum(cc.cwnd for cc in pair) == pytest.approx(90 * MSS, abs=MSS // 2)


def test_slow_start_leftover_feeds_congestion_avoidance() -> None:
    cc = in_avoidance(10 * MSS)
    cc.ssthresh = 11 * MSS
    cc.on_ack(now=0, acked=10 * MSS, in_flight=0, srtt_ns=1)
    assert cc.cwnd == 11 * MSS + 9 * MSS * MSS // (11 * MSS)


class TestNegativeShare:
    """A coupling may take window away, as OLIA does."""

    def test_shrinks_by_the_share_per_round_trip(self) -> None:
        cc = NewReno(mss=MSS, hystart=False)
        cc.cwnd = cc.ssthresh = 40 * MSS
        for _ in range(10):
            round_trip(cc, 2 * MSS, -0.25)
        assert cc.cwnd == pytest.approx(37.5 * MSS, rel=0.01)
        assert cc.in_congestion_avoidance

    def test_down_to_the_floor(self) -> None:
        cc = NewReno(mss=MSS, hystart=False)
        cc.cwnd = cc.ssthresh = 4 * MSS
        for _ in range(100):
            round_trip(cc, 2 * MSS, -1.0)
        assert cc.cwnd == cc.floor

    def test_is_no_hold(self) -> None:
        """Growing again afterwards needs no catching up."""
        cc = NewReno(mss=MSS, hystart=False)
        cc.cwnd = cc.ssthresh = 40 * MSS
        round_trip(cc, 2 * MSS, -0.5)
        assert not cc.holding
        round_trip(cc, 2 * MSS, 1.0)
        assert not cc.in_slow_start

    def test_not_in_slow_start(self) -> None:
        cc = NewReno(mss=MSS, hystart=False)
        before = cc.cwnd
        round_trip(cc, 2 * MSS, -1.0)
        assert cc.cwnd == 2 * before


def test_backoff_multiplies_the_decrease() -> None:
    cc = NewReno(mss=MSS, hystart=False)
    cc.cwnd = cc.ssthresh = 40 * MSS
    cc.backoff = 1.5
    cc.on_loss(now=0, in_flight=40 * MSS)
    assert cc.cwnd == 10 * MSS
