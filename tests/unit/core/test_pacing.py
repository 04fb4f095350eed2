"""The pacer: never much faster than the window over its round trip, and never late for good."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.pacing import (
    AVOIDANCE_GAIN,
    BUCKET_LEAST_NS,
    BUCKET_MOST_NS,
    BUCKET_PART,
    RESUMING_GAIN,
    SLOW_START_GAIN,
    UNPACED_RATE,
    Pacer,
)

from .sending import MS, MSS, SECOND


def pacer(cwnd: int, rtt_ms: int, *, gain: tuple[int, int] = AVOIDANCE_GAIN) -> Pacer:
    made = Pacer()
    made.update(cwnd=cwnd, srtt_ns=rtt_ms * MS, gain=gain)
    return made


def sent_within(made: Pacer, duration_ns: int, quantum: int) -> int:
    """Bytes that a sender with more than enough sends, waking when told to."""
    now = start = 10 * SECOND
    total = 0
    while now < start + duration_ns:
        if made.ready(now, quantum):
            made.on_sent(quantum)
            total += quantum
        else:
            assert made.ready_at() > now
            now = made.ready_at()
    return total


def test_nothing_is_held_back_before_a_round_trip_is_known() -> None:
    made = Pacer()
    made.update(cwnd=10 * MSS, srtt_ns=0, gain=SLOW_START_GAIN)
    made.on_sent(1 << 30)
    assert made.ready(0, MSS)


def test_nor_on_a_path_so_fast_that_a_tick_is_a_burst_anyway() -> None:
    made = pacer(UNPACED_RATE, 1000)
    made.on_sent(1 << 30)
    assert made.ready(0, MSS)


@pytest.mark.parametrize(
    ("ratio", "gain"), [(AVOIDANCE_GAIN, 1.2), (SLOW_START_GAIN, 2.0), (RESUMING_GAIN, 1.0)]
)
def test_the_rate_is_the_window_over_the_round_trip_and_a_gain(
    ratio: tuple[int, int], gain: float
) -> None:
    made = pacer(100 * MSS, 100, gain=ratio)
    assert sent_within(made, SECOND, 2 * MSS) == pytest.approx(1000 * MSS * gain, rel=0.02)


def test_what_a_late_timer_missed_is_made_up_within_bounds() -> None:
    assert BUCKET_LEAST_NS < 60 * MS // BUCKET_PART < BUCKET_MOST_NS
    made = pacer(600 * MSS, 60)  # 12 000 segments a second
    assert made.ready(SECOND, 10 * MSS)
    burst = 0
    while made.ready(2 * SECOND, 10 * MSS):
        made.on_sent(10 * MSS)
        burst += 10 * MSS
    saved = 12_000 * MSS * (60 * MS // BUCKET_PART) // SECOND
    assert saved <= burst <= saved + 10 * MSS


@given(
    cwnd=st.integers(1, 1 << 24),
    srtt_ns=st.integers(1, 100 * SECOND),
    quantum=st.integers(1, 65_000),
    debt=st.integers(0, 200_000),
    now=st.integers(0, SECOND),
)
def test_ready_when_it_said_it_would_be(
    cwnd: int, srtt_ns: int, quantum: int, debt: int, now: int
) -> None:
    """However slow the path: otherwise the driver would wake again and again at one instant."""
    made = Pacer()
    made.update(cwnd=cwnd, srtt_ns=srtt_ns, gain=AVOIDANCE_GAIN)
    if made.ready(now, quantum):
        made.on_sent(quantum + debt)
    if not made.ready(now, quantum):
        at = made.ready_at()
        assert at >= now
        assert made.ready(at, quantum)


@pytest.mark.parametrize("late_ms", [0, 5, 20])
def test_the_rate_is_kept_on_a_host_whose_timers_are_late(late_ms: int) -> None:
    made = pacer(600 * MSS, 60)
    now = 10 * SECOND
    total = 0
    for measured in (False, True):  # first it has to learn
        begun, total = now, 0
        while now < begun + SECOND:
            made.update(cwnd=600 * MSS, srtt_ns=60 * MS, gain=AVOIDANCE_GAIN)
            quantum = max(10_000 * MSS * made.tick_ns // SECOND, 2 * MSS)
            while made.ready(now, quantum):
                made.on_sent(quantum)
                total += quantum
            now = made.ready_at() + late_ms * MS
            made.on_resumed(now)
        if measured:
            assert total == pytest.approx(12_000 * MSS, rel=0.03)
    assert made.tick_ns == pytest.approx((1 + late_ms) * MS, rel=0.1)


def test_neither_an_ack_nor_a_single_late_timer_makes_large_bursts() -> None:
    made = pacer(600 * MSS, 60)
    now = 10 * SECOND
    made.ready(now, MSS)
    for late_ns in (-MS // 2, 20 * MS, 0, 0, 0):
        while made.ready(now, MSS):
            made.on_sent(MSS)
        now = made.ready_at() + late_ns
        made.on_resumed(now)
    assert made.tick_ns < 3 * MS


def test_what_left_unpaced_is_no_debt() -> None:
    """A fast path that becomes slow must not wait for all it ever sent to be paid off."""
    made = Pacer()
    now = 1_000 * MS
    made.update(cwnd=64 << 20, srtt_ns=10 * MS, gain=AVOIDANCE_GAIN)
    for _ in range(10_000):
        assert made.ready(now, 64 << 10)
        made.on_sent(64 << 10)
        now += MS // 100
    made.update(cwnd=100 * MSS, srtt_ns=10 * MS, gain=AVOIDANCE_GAIN)
    while not made.ready(now, 2 * MSS):
        assert made.ready_at() > now
        now = made.ready_at()
    assert now < 1_110 * MS
