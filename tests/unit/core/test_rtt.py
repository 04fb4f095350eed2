"""RFC 6298, clause by clause, and what goes beyond it."""

from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.rtt import MILLISECOND, SECOND, RttEstimator, WindowedMin

MS = MILLISECOND


def plain(**options: int) -> RttEstimator:
    """An estimator whose RTO shows K·RTTVAR alone, as in the RFC's text."""
    return RttEstimator(**({"min_rto_ns": MS, "granularity_ns": MS} | options))


def test_2_1_one_second_before_any_sample() -> None:
    rtt = RttEstimator()
    assert rtt.rto_ns == SECOND
    assert not rtt.has_sample
    assert (rtt.srtt_ns, rtt.rttvar_ns, rtt.latest_ns, rtt.min_rtt_ns) == (0, 0, 0, 0)
    assert rtt.recent_min_rtt_ns == 0


def test_2_2_first_sample() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    assert rtt.has_sample
    assert rtt.srtt_ns == 100 * MS
    assert rtt.rttvar_ns == 50 * MS
    assert rtt.rto_ns == 300 * MS


def test_2_3_later_samples_once_per_round_trip() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    rtt.on_sample(100 * MS, 180 * MS)
    # RTTVAR = 3/4·50 + 1/4·|100 - 180| = 57.5, with the old SRTT; SRTT = 7/8·100 + 1/8·180 = 110.
    assert rtt.rttvar_ns == 57.5 * MS
    assert rtt.srtt_ns == 110 * MS
    assert rtt.rto_ns == 340 * MS
    rtt.on_sample(300 * MS, 110 * MS)
    assert rtt.rttvar_ns == 43.125 * MS
    assert rtt.srtt_ns == 110 * MS


@given(st.lists(st.integers(1 * MS, 500 * MS), min_size=1, max_size=40))
def test_2_3_matches_the_float_recurrence(samples: list[int]) -> None:
    rtt = plain()
    srtt = rttvar = 0.0
    now = 0
    for i, sample in enumerate(samples):
        rtt.on_sample(now, sample)
        if i == 0:
            srtt, rttvar = float(sample), sample / 2
        else:
            rttvar = 0.75 * rttvar + 0.25 * abs(srtt - sample)
            srtt = 0.875 * srtt + 0.125 * sample
        assert abs(rtt.srtt_ns - srtt) < 20
        assert abs(rtt.rttvar_ns - rttvar) < 20
        now += SECOND  # more than any SRTT here: one sample per round trip


def test_2_4_lower_bound() -> None:
    rtt = RttEstimator(min_rto_ns=200 * MS, granularity_ns=MS)
    rtt.on_sample(0, 2 * MS)
    assert rtt.rto_ns == 200 * MS


def test_2_5_upper_bound() -> None:
    rtt = RttEstimator(max_rto_ns=60 * SECOND)
    rtt.on_sample(0, 50 * SECOND)
    assert rtt.rto_ns == 60 * SECOND


def test_granularity_is_the_least_allowance_for_variance() -> None:
    rtt = RttEstimator(min_rto_ns=MS, granularity_ns=200 * MS)
    for i in range(100):
        rtt.on_sample(i * SECOND, 80 * MS)
    assert rtt.rttvar_ns < MS
    assert rtt.rto_ns == 280 * MS


def test_5_5_backoff_doubles_up_to_the_bound() -> None:
    rtt = RttEstimator(max_rto_ns=5 * SECOND)
    seen = []
    for _ in range(40):
        rtt.backoff()
        seen.append(rtt.rto_ns)
    assert seen[:4] == [2 * SECOND, 4 * SECOND, 5 * SECOND, 5 * SECOND]
    assert seen[-1] == 5 * SECOND


def test_a_sample_ends_the_backoff() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    rtt.backoff()
    assert rtt.rto_ns == 600 * MS
    rtt.on_sample(SECOND, 100 * MS)
    assert rtt.rto_ns == 250 * MS


def test_reset_backoff_without_a_sample() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    rtt.backoff()
    rtt.backoff()
    rtt.reset_backoff()
    assert rtt.rto_ns == 300 * MS


def test_5_7_after_a_handshake_timeout() -> None:
    rtt = RttEstimator()
    rtt.on_handshake_timeout()
    assert rtt.rto_ns == 3 * SECOND
    rtt.on_sample(0, 100 * MS)
    assert rtt.rto_ns < SECOND


def test_many_equal_samples_in_one_round_do_not_forget_the_variance() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    before = rtt.rttvar_ns
    for i in range(200):
        rtt.on_sample(50 * MS + i, 100 * MS)
    assert rtt.rttvar_ns == before


def test_variance_rises_at_once_within_a_round() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    rtt.on_sample(10 * MS, 500 * MS)
    assert rtt.rttvar_ns > 100 * MS


def test_variance_falls_at_the_end_of_a_round() -> None:
    rtt = plain()
    rtt.on_sample(0, 100 * MS)
    rtt.on_sample(100 * MS, 100 * MS)
    for i in range(1, 100):
        rtt.on_sample(100 * MS + i * MS, 100 * MS)
    rtt.on_sample(205 * MS, 100 * MS)
    assert rtt.rttvar_ns <= 0.75 * 37.5 * MS


def test_zero_and_negative_samples_count_as_the_shortest_time() -> None:
    rtt = RttEstimator()
    rtt.on_sample(0, 0)
    assert rtt.has_sample
    assert rtt.min_rtt_ns == 1


def test_minimum_of_all_time_and_of_the_window() -> None:
    rtt = RttEstimator(window_ns=10 * SECOND)
    rtt.on_sample(0, 20 * MS)
    rtt.on_sample(5 * SECOND, 50 * MS)
    assert (rtt.min_rtt_ns, rtt.recent_min_rtt_ns) == (20 * MS, 20 * MS)
    rtt.on_sample(11 * SECOND, 60 * MS)
    assert (rtt.min_rtt_ns, rtt.recent_min_rtt_ns) == (20 * MS, 50 * MS)
    assert rtt.latest_ns == 60 * MS


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 1000)), min_size=1))
def test_windowed_minimum_against_the_whole_history(steps: list[tuple[int, int]]) -> None:
    window = WindowedMin(100)  # ten slots of 10
    history: list[tuple[int, int]] = []
    now = 0
    for step, value in steps:
        now += step
        history.append((now, value))
        window.on_sample(now, value)
        assert window.value <= min(v for at, v in history if at > now - 90)
        assert window.value >= min(v for at, v in history if at > now - 110)
        assert len(window._minima) <= 11
