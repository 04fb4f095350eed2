"""RFC 9438: the curve, its regions, the clock that the growth share drives."""

from math import cbrt

import pytest

from omtcp.core.congestion.cubic import ALPHA, BETA, C, Cubic

MSS = 1448
MS = 1_000_000
SECOND = 1000 * MS


def cubic(segments: int) -> Cubic:
    cc = Cubic(mss=MSS, hystart=False)
    cc.cwnd = cc.ssthresh = segments * MSS
    return cc


def run(
    cc: Cubic,
    *,
    start: int = 0,
    duration: int,
    rtt: int,
    acks: int = 10,
    growth: float = 1.0,
    limited: bool = True,
) -> int:
    """Run round trips of `acks` ACKs each; returns the time of the last one."""
    now = start
    while now < start + duration:
        window = cc.cwnd
        for i in range(acks):
            now += rtt // acks
            acked = window * (i + 1) // acks - window * i // acks
            cc.on_ack(
                now=now,
                acked=acked,
                in_flight=window,
                srtt_ns=rtt,
                growth=growth,
                window_limited=limited,
            )
    return now


def test_constants() -> None:
    assert pytest.approx(9 / 17) == ALPHA
    assert (C, BETA) == (0.4, 0.7)


def test_curve_passes_its_landmarks() -> None:
    """From β·W_max at 0 through W_max at K = cbrt(W_max·(1 - β)/C) (section 4.2)."""
    cc = cubic(1000)
    cc.on_loss(now=0, in_flight=1000 * MSS)
    assert cc.cwnd == 700 * MSS
    k = cbrt(1000 * 0.3 / 0.4)
    assert k == pytest.approx(9.086, abs=0.001)
    now = run(cc, duration=SECOND, rtt=100 * MS)
    start = now - SECOND + 10 * MS  # the epoch begins with the first ACK
    for t in (2, 4, 6, 8, 9, 10, 12, 14):
        now = run(cc, start=now, duration=t * SECOND + start - now, rtt=100 * MS)
        expected = 0.4 * ((now - start) / SECOND + 0.05 - k) ** 3 + 1000
        assert cc.cwnd / MSS == pytest.approx(expected, rel=0.01), t


@pytest.mark.parametrize("acks", [1, 2, 50])
def test_same_curve_for_few_large_acks_and_many_small(acks: int) -> None:
    cc, reference = cubic(500), cubic(500)
    for c in (cc, reference):
        c.on_loss(now=0, in_flight=500 * MSS)
    run(cc, duration=12 * SECOND, rtt=50 * MS, acks=acks)
    run(reference, duration=12 * SECOND, rtt=50 * MS, acks=10)
    assert cc.cwnd == pytest.approx(reference.cwnd, rel=0.03)


def test_reno_friendly_region_on_a_short_path() -> None:
    """Section 4.3: with a short RTT, W_est leads: α segments per round trip, then one."""
    cc = cubic(20)
    cc.on_loss(now=0, in_flight=20 * MSS)
    assert cc.cwnd == 14 * MSS
    for _ in range(8):
        cc.on_ack(now=0, acked=cc.cwnd, in_flight=0, srtt_ns=MS)
    assert cc.cwnd / MSS == pytest.approx(14 + 8 * ALPHA, abs=0.1)
    for _ in range(4):
        cc.on_ack(now=0, acked=cc.cwnd, in_flight=0, srtt_ns=MS)
    assert cc.cwnd / MSS == pytest.approx(20, abs=0.6)
    before = cc.cwnd
    for _ in range(10):
        cc.on_ack(now=0, acked=cc.cwnd, in_flight=0, srtt_ns=MS)
    assert (cc.cwnd - before) / MSS == pytest.approx(10, abs=0.1)


def test_convex_from_slow_start_without_a_loss() -> None:
    """W_max = cwnd and K = 0: the window starts flat and bends upwards."""
    cc = cubic(1000)
    now = run(cc, duration=SECOND, rtt=100 * MS)
    first = cc.cwnd - 1000 * MSS
    run(cc, start=now, duration=4 * SECOND, rtt=100 * MS)
    assert 0 <= first <= 12 * MSS
    assert cc.cwnd / MSS == pytest.approx(1000 + 0.4 * 5**3, rel=0.01)


def test_growth_per_round_trip_is_at_most_half() -> None:
    """Section 4.2: the target is clamped to 1.5·cwnd."""
    cc = cubic(10)
    cc.on_loss(now=0, in_flight=10 * MSS)
    cc.on_ack(now=0, acked=MSS, in_flight=6 * MSS, srtt_ns=MS)
    before = cc.cwnd
    cc.on_ack(now=100 * SECOND, acked=cc.cwnd, in_flight=cc.cwnd, srtt_ns=MS)
    assert cc.cwnd == before * 3 // 2


def test_fast_convergence() -> None:
    """Section 4.7: a second loss below W_max lets go of more."""
    cc = cubic(100)
    cc.on_loss(now=0, in_flight=100 * MSS)
    assert cc._w_max == 100 * MSS
    cc.cwnd = 80 * MSS
    cc.on_loss(now=0, in_flight=80 * MSS)
    assert cc._w_max == pytest.approx(68 * MSS)
    cc.cwnd = 90 * MSS
    cc.on_loss(now=0, in_flight=90 * MSS)
    assert cc._w_max == 90 * MSS


def test_after_a_timeout_the_curve_starts_flat() -> None:
    """Section 4.8: K = 0 and W_max = cwnd at the start of congestion avoidance."""
    cc = cubic(100)
    cc.on_rto(now=0, in_flight=100 * MSS)
    now = 0
    while cc.in_slow_start:
        now += 100 * MS
        cc.on_ack(now=now, acked=cc.cwnd, in_flight=0, srtt_ns=100 * MS)
    assert cc.cwnd / MSS == pytest.approx(70, abs=1)
    assert cc._k_s == 0
    assert cc._w_max == pytest.approx(70 * MSS, rel=0.01)


class TestGrowthShare:
    def test_zero_freezes_cwnd_and_the_curve(self) -> None:
        cc, reference = cubic(1000), cubic(1000)
        for c in (cc, reference):
            c.on_loss(now=0, in_flight=1000 * MSS)
        at = run(cc, duration=2 * SECOND, rtt=100 * MS)
        frozen = cc.cwnd
        at = run(cc, start=at, duration=60 * SECOND, rtt=100 * MS, growth=0.0)
        assert cc.cwnd == frozen
        cc.ssthresh = cc.cwnd  # without the shadow's growth
        run(cc, start=at, duration=4 * SECOND, rtt=100 * MS)
        run(reference, duration=6 * SECOND, rtt=100 * MS)
        assert cc.cwnd == pytest.approx(reference.cwnd, rel=0.03)

    def test_the_clock_runs_at_the_power_of_two_thirds(self) -> None:
        half, whole = cubic(1000), cubic(1000)
        for c in (half, whole):
            c.on_loss(now=0, in_flight=1000 * MSS)
        run(half, duration=24 * SECOND, rtt=100 * MS, growth=0.5**1.5)
        run(whole, duration=12 * SECOND, rtt=100 * MS)
        assert half.cwnd == pytest.approx(whole.cwnd, rel=0.01)

    def test_half_in_the_reno_region_grows_half_as_fast(self) -> None:
        cc = cubic(20)
        cc.on_loss(now=0, in_flight=20 * MSS)
        for _ in range(8):
            cc.on_ack(now=0, acked=cc.cwnd, in_flight=0, srtt_ns=MS, growth=0.5)
        assert cc.cwnd / MSS == pytest.approx(14 + 4 * ALPHA, abs=0.1)


def test_application_limit_stops_the_clock() -> None:
    cc, reference = cubic(1000), cubic(1000)
    for c in (cc, reference):
        c.on_loss(now=0, in_flight=1000 * MSS)
    at = run(cc, duration=2 * SECOND, rtt=100 * MS)
    at = run(cc, start=at, duration=60 * SECOND, rtt=100 * MS, limited=False)
    run(cc, start=at, duration=4 * SECOND, rtt=100 * MS)
    run(reference, duration=6 * SECOND, rtt=100 * MS)
    assert cc.cwnd == pytest.approx(reference.cwnd, rel=0.01)


def test_silence_does_not_count_as_time() -> None:
    cc = cubic(1000)
    cc.on_loss(now=0, in_flight=1000 * MSS)
    now = run(cc, duration=2 * SECOND, rtt=100 * MS)
    cc.on_ack(now=now, acked=1, in_flight=0, srtt_ns=100 * MS)
    clock = cc._clock_s
    cc.on_ack(now=now + 30 * SECOND, acked=1, in_flight=0, srtt_ns=100 * MS)
    assert cc._clock_s - clock == pytest.approx(0.1)


def test_undo_restores_the_curve() -> None:
    cc, reference = cubic(1000), cubic(1000)
    for c in (cc, reference):
        c.on_loss(now=0, in_flight=1000 * MSS)
    at = run(cc, duration=5 * SECOND, rtt=100 * MS)
    cc.on_loss(now=at, in_flight=cc.cwnd)
    assert cc.undo()
    run(cc, start=at, duration=5 * SECOND, rtt=100 * MS)
    run(reference, duration=10 * SECOND, rtt=100 * MS)
    assert cc.cwnd == pytest.approx(reference.cwnd, rel=0.01)
