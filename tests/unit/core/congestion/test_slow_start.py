"""HyStart++ (RFC 9406), alone and inside a controller."""

import pytest

from omtcp.core.congestion import make_controller
from omtcp.core.congestion.base import SSTHRESH_INFINITE
from omtcp.core.congestion.slow_start import CSS_ROUNDS, RTT_SAMPLES, HyStart

MS = 1_000_000
MSS = 1448


def play_round(hystart: HyStart, rtt_ms: float, samples: int = RTT_SAMPLES) -> None:
    for _ in range(samples):
        hystart.on_sample(int(rtt_ms * MS))
    hystart.on_round()


def test_steady_round_trips_never_leave() -> None:
    hystart = HyStart()
    for _ in range(50):
        play_round(hystart, 40)
    assert not hystart.conservative
    assert hystart.increase(1000) == 1000


@pytest.mark.parametrize(
    ("base_ms", "rise_ms"),
    [(8, 4), (40, 5), (80, 10), (400, 16)],  # an eighth, within 4 and 16 ms
)
def test_threshold(base_ms: float, rise_ms: float) -> None:
    below, at = HyStart(), HyStart()
    play_round(below, base_ms)
    play_round(below, base_ms + rise_ms - 0.1)
    assert not below.conservative
    play_round(at, base_ms)
    play_round(at, base_ms + rise_ms)
    assert at.conservative


def test_a_round_of_few_samples_proves_nothing() -> None:
    hystart = HyStart()
    play_round(hystart, 40)
    play_round(hystart, 100, samples=RTT_SAMPLES - 1)
    assert not hystart.conservative


def test_conservative_phase_grows_a_quarter_and_ends_after_its_rounds() -> None:
    hystart = HyStart()
    play_round(hystart, 40)
    for _ in range(RTT_SAMPLES):
        hystart.on_sample(60 * MS)
    assert sum(hystart.increase(1) for _ in range(400)) == 100
    for remaining in range(CSS_ROUNDS, 0, -1):
        assert not hystart.done, remaining
        hystart.on_round()
    assert hystart.done


def test_delay_that_goes_away_resumes_slow_start() -> None:
    hystart = HyStart()
    play_round(hystart, 40)
    play_round(hystart, 60)
    assert hystart.conservative
    play_round(hystart, 50)
    assert not hystart.conservative
    for _ in range(2 * CSS_ROUNDS):
        play_round(hystart, 51)
    assert not hystart.done


def fill_a_pipe(name: str, *, hystart: bool) -> tuple[int, int]:
    """Slow start into a pipe of 100 segments with a deep queue; the greatest window, ssthresh.

    Each ACK's round trip is the base one plus the queue's, as far as the window exceeds the pipe.
    """
    cc = make_controller(name, mss=MSS, hystart=hystart)
    base, pipe = 40 * MS, 100 * MSS
    now, greatest = 0, 0
    for _ in range(10):
        window = cc.cwnd
        rtt = base * max(window, pipe) // pipe
        now += rtt
        for _ in range(window // MSS):
            cc.on_ack(now=now, acked=MSS, in_flight=window - MSS, srtt_ns=rtt, rtt_ns=rtt)
        greatest = max(greatest, cc.cwnd)
        if cc.ssthresh < SSTHRESH_INFINITE:
            break
    return greatest, cc.ssthresh


@pytest.mark.parametrize("name", ["reno", "cubic"])
def test_a_controller_leaves_slow_start_before_the_queue_overflows(name: str) -> None:
    greatest, ssthresh = fill_a_pipe(name, hystart=True)
    assert 100 * MSS <= ssthresh <= 600 * MSS
    assert greatest <= 600 * MSS
    overshoot, infinite = fill_a_pipe(name, hystart=False)
    assert overshoot > 10_000 * MSS  # doubled ten times
    assert infinite == SSTHRESH_INFINITE


def test_only_the_first_slow_start_is_watched() -> None:
    cc = make_controller("reno", mss=MSS)
    cc.on_loss(now=0, in_flight=10 * MSS)
    cc.restart(10 * MSS, now=0)
    cc.ssthresh = 100 * MSS
    for rtt in (10 * MS, 500 * MS):
        for _ in range(10):
            cc.on_ack(now=0, acked=MSS, in_flight=0, srtt_ns=rtt, rtt_ns=rtt)
    assert cc.cwnd == 30 * MSS
