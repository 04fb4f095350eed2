"""What holds for every controller: slow start, losses, timeouts, undo, restart, the shadow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.congestion import CONTROLLERS, make_controller
from omtcp.core.congestion.base import SSTHRESH_INFINITE, CongestionController, initial_window
from omtcp.errors import LocalError

MSS = 1448
MS = 1_000_000
RTT = 50 * MS

every = pytest.mark.parametrize("name", sorted(CONTROLLERS))


def controller(name: str, **windows: int) -> CongestionController:
    """A controller without HyStart++, with the given cwnd and ssthresh."""
    made = make_controller(name, mss=MSS, hystart=False)
    for attribute, value in windows.items():
        setattr(made, attribute, value)
    return made


def ack(cc: CongestionController, acked: int, now: int = 0, **options: float) -> None:
    cc.on_ack(
        now=now,
        acked=acked,
        in_flight=max(0, cc.cwnd - acked),
        srtt_ns=RTT,
        growth=options.get("growth", 1.0),
        window_limited=bool(options.get("window_limited", True)),
    )


def test_names() -> None:
    assert {"reno", "cubic"} <= set(CONTROLLERS)
    with pytest.raises(LocalError, match="vegas"):
        make_controller("vegas", mss=MSS)


@pytest.mark.parametrize(
    ("mss", "window"), [(536, 5360), (1460, 14600), (1448, 14480), (2000, 14600), (8960, 17920)]
)
def test_initial_window_of_rfc_6928(mss: int, window: int) -> None:
    assert initial_window(mss) == window


@every
class TestSlowStart:
    def test_doubles_per_round_trip_however_the_acks_fall(self, name: str) -> None:
        small, large = controller(name), controller(name)
        for _ in range(8):
            ack(large, large.cwnd)
            for _ in range(small.cwnd // MSS):
                ack(small, MSS)
        assert small.cwnd == large.cwnd == initial_window(MSS) * 2**8
        assert small.in_slow_start
        assert not small.in_congestion_avoidance

    def test_stops_exactly_at_ssthresh(self, name: str) -> None:
        cc = controller(name, cwnd=20 * MSS, ssthresh=30 * MSS)
        ack(cc, 10 * MSS)
        assert cc.cwnd == cc.ssthresh == 30 * MSS
        assert not cc.in_slow_start

    def test_a_large_ack_does_not_overshoot_ssthresh(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=101 * MSS)
        ack(cc, 100 * MSS)
        assert 101 * MSS <= cc.cwnd <= 102 * MSS

    def test_does_not_need_a_share(self, name: str) -> None:
        cc = controller(name)
        ack(cc, 5 * MSS, growth=0.0)
        assert cc.cwnd == initial_window(MSS) + 5 * MSS

    def test_nothing_grows_unless_the_window_was_used(self, name: str) -> None:
        cc = controller(name)
        ack(cc, 5 * MSS, window_limited=False)
        assert cc.cwnd == initial_window(MSS)


@every
class TestCongestion:
    def test_loss_multiplies_by_beta(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=50 * MSS)
        cc.on_loss(now=0, in_flight=100 * MSS)
        expected = {"reno": 50, "cubic": 70}[name] * MSS
        assert cc.cwnd == cc.ssthresh == expected

    def test_first_loss_ends_slow_start(self, name: str) -> None:
        cc = controller(name)
        cc.on_loss(now=0, in_flight=10 * MSS)
        assert cc.cwnd == cc.ssthresh < initial_window(MSS)
        assert not cc.in_slow_start

    def test_losses_end_at_the_floor(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS)
        for _ in range(30):
            cc.on_loss(now=0, in_flight=cc.cwnd)
        assert cc.cwnd == cc.ssthresh == cc.floor == 2 * MSS

    def test_mark_reduces_like_a_loss_but_cannot_be_undone(self, name: str) -> None:
        lost, marked = (controller(name, cwnd=100 * MSS, ssthresh=MSS) for _ in range(2))
        lost.on_loss(now=0, in_flight=100 * MSS)
        marked.on_ecn(now=0, in_flight=100 * MSS)
        assert marked.cwnd == lost.cwnd
        assert marked.undo() is False

    def test_an_unused_window_is_not_the_base_of_the_reduction(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=50 * MSS)
        cc.on_loss(now=0, in_flight=10 * MSS)
        assert cc.cwnd <= 7 * MSS

    def test_a_drained_flight_does_not_hide_what_was_in_flight(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=50 * MSS)
        cc.on_ack(now=0, acked=97 * MSS, in_flight=3 * MSS, srtt_ns=RTT, window_limited=False)
        cc.on_loss(now=0, in_flight=3 * MSS)
        assert cc.cwnd >= 50 * MSS


@every
class TestTimeout:
    def test_loss_window_and_slow_start(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=40 * MSS)
        cc.on_rto(now=0, in_flight=100 * MSS)
        assert cc.cwnd == MSS
        assert cc.ssthresh == {"reno": 50, "cubic": 70}[name] * MSS
        assert cc.in_slow_start
        ack(cc, MSS)
        assert cc.cwnd == 2 * MSS

    def test_in_a_row_reduces_once(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=40 * MSS)
        cc.on_rto(now=0, in_flight=100 * MSS)
        ssthresh = cc.ssthresh
        cc.on_rto(now=1, in_flight=100 * MSS)
        cc.on_rto(now=2, in_flight=100 * MSS)
        assert cc.ssthresh == ssthresh
        assert cc.undo()
        assert cc.cwnd == 100 * MSS

    def test_of_data_already_accounted_for(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=40 * MSS)
        cc.on_loss(now=0, in_flight=100 * MSS)
        ssthresh = cc.ssthresh
        cc.on_rto(now=0, in_flight=100 * MSS, same_event=True)
        assert (cc.cwnd, cc.ssthresh) == (MSS, ssthresh)
        assert cc.undo()
        assert (cc.cwnd, cc.ssthresh) == (100 * MSS, ssthresh)

    def test_after_progress_reduces_again(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=40 * MSS)
        cc.on_rto(now=0, in_flight=100 * MSS)
        ack(cc, MSS)
        cc.on_rto(now=1, in_flight=2 * MSS)
        assert cc.ssthresh == 2 * MSS


@every
class TestUndo:
    def test_restores_windows(self, name: str) -> None:
        cc = controller(name, cwnd=100 * MSS, ssthresh=90 * MSS)
        cc.on_loss(now=0, in_flight=100 * MSS)
        assert cc.undo() is True
        assert (cc.cwnd, cc.ssthresh) == (100 * MSS, 90 * MSS)
        assert cc.undo() is False

    def test_does_not_take_growth_back(self, name: str) -> None:
        cc = controller(name, cwnd=10 * MSS, ssthresh=4 * MSS)
        cc.on_loss(now=0, in_flight=10 * MSS)
        cc.cwnd = 50 * MSS
        cc.undo()
        assert cc.cwnd == 50 * MSS

    def test_restores_the_shadow(self, name: str) -> None:
        cc = controller(name, cwnd=10 * MSS, ssthresh=4 * MSS)
        for _ in range(20):
            ack(cc, 10 * MSS, growth=0.0)
        before = (cc.cwnd, cc.ssthresh, cc.holding)
        cc.on_loss(now=0, in_flight=10 * MSS)
        assert (cc.cwnd, cc.ssthresh) < before
        cc.undo()
        assert (cc.cwnd, cc.ssthresh, cc.holding) == before


@every
class TestRestart:
    def test_slow_starts_to_what_is_known(self, name: str) -> None:
        cc = controller(name, cwnd=80 * MSS, ssthresh=20 * MSS)
        cc.restart(10 * MSS, now=0)
        assert (cc.cwnd, cc.ssthresh) == (10 * MSS, 60 * MSS)
        assert cc.in_slow_start
        ack(cc, 10 * MSS)
        assert cc.cwnd == 20 * MSS

    def test_keeps_a_higher_ssthresh(self, name: str) -> None:
        cc = controller(name, cwnd=MSS, ssthresh=35 * MSS)
        cc.restart(10 * MSS, now=0)
        assert (cc.cwnd, cc.ssthresh) == (10 * MSS, 35 * MSS)

    def test_of_an_unmeasured_path_leaves_ssthresh_infinite(self, name: str) -> None:
        cc = controller(name)
        cc.restart(2 * MSS, now=0)
        assert (cc.cwnd, cc.ssthresh) == (2 * MSS, SSTHRESH_INFINITE)

    def test_of_a_subflow_that_holds(self, name: str) -> None:
        idle, restored = (controller(name, cwnd=20 * MSS, ssthresh=20 * MSS) for _ in range(2))
        for cc in (idle, restored):
            ack(cc, 20 * MSS, growth=0.0)
        idle.restart(10 * MSS, now=0)
        restored.on_rto(now=0, in_flight=20 * MSS)
        restored.restart(10 * MSS, now=0)
        for cc in (idle, restored):
            ack(cc, 5 * MSS, growth=0.0)
        assert idle.cwnd == 10 * MSS
        assert restored.cwnd > 10 * MSS

    def test_leaves_nothing_to_undo(self, name: str) -> None:
        cc = controller(name, cwnd=80 * MSS, ssthresh=20 * MSS)
        cc.on_loss(now=0, in_flight=80 * MSS)
        cc.restart(10 * MSS, now=0)
        assert cc.undo() is False
        assert cc.cwnd == 10 * MSS

    def test_window_is_at_least_a_segment(self, name: str) -> None:
        cc = controller(name)
        cc.restart(0, now=0)
        assert cc.cwnd == MSS


@every
class TestShadow:
    """P10: a subflow without a share."""

    def test_ssthresh_grows_a_segment_per_round_trip_and_cwnd_not_at_all(self, name: str) -> None:
        cc = controller(name, cwnd=40 * MSS, ssthresh=30 * MSS)
        for _ in range(25):
            for _ in range(20):
                ack(cc, 2 * MSS, growth=0.0)
        assert cc.cwnd == 40 * MSS
        assert cc.ssthresh == 65 * MSS
        assert cc.holding
        assert cc.in_congestion_avoidance
        assert not cc.in_slow_start

    def test_cap(self, name: str) -> None:
        cc = controller(name, cwnd=4 * MSS, ssthresh=4 * MSS, ssthresh_cap=10 * MSS)
        for _ in range(50):
            ack(cc, 4 * MSS, growth=0.0)
        assert cc.ssthresh == 10 * MSS

    def test_both_shrink_on_loss_and_cwnd_ends_at_the_floor(self, name: str) -> None:
        cc = controller(name, cwnd=16 * MSS, ssthresh=16 * MSS)
        for _ in range(84):
            ack(cc, 16 * MSS, growth=0.0)
        assert cc.ssthresh == 100 * MSS
        cc.on_loss(now=0, in_flight=16 * MSS)
        expected = {"reno": (8, 50), "cubic": (11, 70)}[name]
        assert (cc.cwnd // MSS, cc.ssthresh // MSS) == expected
        for _ in range(10):
            cc.on_loss(now=0, in_flight=cc.cwnd)
        assert cc.cwnd == 2 * MSS

    def test_promotion_slow_starts_to_the_shadow(self, name: str) -> None:
        cc = controller(name, cwnd=2 * MSS, ssthresh=2 * MSS)
        for _ in range(30):
            ack(cc, 2 * MSS, growth=0.0)
        assert cc.ssthresh == 32 * MSS
        rounds = 0
        while cc.cwnd < 32 * MSS:
            ack(cc, cc.cwnd)
            assert cc.in_congestion_avoidance
            rounds += 1
        assert rounds == 4
        assert not cc.holding

    def test_demotion_while_catching_up_holds_again(self, name: str) -> None:
        cc = controller(name, cwnd=2 * MSS, ssthresh=2 * MSS)
        for _ in range(30):
            ack(cc, 2 * MSS, growth=0.0)
        ack(cc, 2 * MSS)
        assert cc.in_slow_start
        assert cc.cwnd == 4 * MSS
        ack(cc, 4 * MSS, growth=0.0)
        assert (cc.cwnd, cc.ssthresh) == (4 * MSS, 33 * MSS)
        assert not cc.in_slow_start

    def test_a_timeout_climbs_back_to_the_floor_only(self, name: str) -> None:
        cc = controller(name, cwnd=10 * MSS, ssthresh=10 * MSS)
        ack(cc, 10 * MSS, growth=0.0)
        cc.on_rto(now=0, in_flight=10 * MSS)
        assert cc.cwnd == MSS
        for _ in range(10):
            ack(cc, MSS, growth=0.0)
        assert cc.cwnd == 2 * MSS


@every
def test_mss_before_and_after_the_first_data(name: str) -> None:
    cc = controller(name)
    cc.set_mss(1000)
    assert cc.cwnd == 10_000
    ack(cc, 1000)
    cc.set_mss(500)
    assert cc.cwnd == 11_000
    assert cc.floor == 1000


event = st.one_of(
    st.tuples(st.just("ack"), st.integers(1, 100_000), st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])),
    st.tuples(st.just("idle"), st.integers(1, 100_000), st.just(1.0)),
    st.tuples(st.sampled_from(["loss", "ecn", "rto", "undo"]), st.just(0), st.just(0.0)),
    st.tuples(st.just("restart"), st.integers(2 * MSS, 20 * MSS), st.just(0.0)),
)


@every
@given(events=st.lists(event, max_size=60), hystart=st.booleans())
def test_invariants(name: str, events: list[tuple[str, int, float]], hystart: bool) -> None:
    cc = make_controller(name, mss=MSS, hystart=hystart)
    timed_out = False
    for now, (kind, size, growth) in enumerate(events, start=1):
        before, held = cc.cwnd, cc.holding
        at = now * 10 * MS
        if kind in ("ack", "idle"):
            acked = min(size, cc.cwnd)
            cc.on_ack(
                now=at,
                acked=acked,
                in_flight=cc.cwnd - acked,
                srtt_ns=RTT,
                growth=growth,
                window_limited=kind == "ack",
                rtt_ns=RTT,
            )
            assert before <= cc.cwnd <= max(before + acked * max(growth, 1), cc.floor) + 1
            if growth == 0 and held:
                assert cc.cwnd <= max(before, cc.floor)
        elif kind == "loss":
            cc.on_loss(now=at, in_flight=cc.cwnd)
            assert cc.cwnd <= max(before, cc.floor)
        elif kind == "ecn":
            cc.on_ecn(now=at, in_flight=cc.cwnd)
        elif kind == "rto":
            cc.on_rto(now=at, in_flight=cc.cwnd)
            timed_out = True
        elif kind == "undo":
            cc.undo()
        else:
            cc.restart(size, at)
        assert isinstance(cc.cwnd, int)
        assert isinstance(cc.ssthresh, int)
        assert cc.cwnd >= (cc.mss if timed_out else cc.floor)
        assert cc.ssthresh >= cc.floor
