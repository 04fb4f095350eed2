"""What is kept per subflow: the order of delivery, the burst, the timers, the accounts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.delivery import DeliveryOrder
from omtcp.core.pacing import Pacer
from omtcp.core.subflow import DELAYED_ACK_NS, PathState, Subflow
from omtcp.wire.train import super_segment_size

from .sending import MS, MSS, SECOND, make_subflow, settle_rtt


def delivered(*ranges: tuple[int, int]) -> DeliveryOrder:
    order = DeliveryOrder()
    for start, end in ranges:
        order.deliver(start, end)
    return order


class TestDeliveryOrder:
    def test_in_order_leaves_nothing_above_the_edge(self) -> None:
        order = delivered((0, 10), (10, 30))
        assert (order.edge, list(order.islands), order.top) == (30, [], 0)
        assert order.lost_below(0) is None

    def test_the_edge_joins_the_island_it_reaches(self) -> None:
        order = delivered((10, 20), (30, 40), (0, 10))
        assert (order.edge, list(order.islands), order.top) == (20, [(30, 40)], 30)
        order.advance(35)
        assert (order.edge, list(order.islands)) == (40, [])

    def test_what_was_given_up_may_still_arrive(self) -> None:
        order = delivered((10, 20))
        order.advance(15)
        order.deliver(0, 10)
        assert (order.edge, list(order.islands)) == (20, [])

    @pytest.mark.parametrize(
        ("above", "lost"),
        [(2 * MSS, None), (2 * MSS + 1, 5 * MSS), (3 * MSS, 5 * MSS)],
    )
    def test_more_than_the_threshold_above_a_hole(self, above: int, lost: int | None) -> None:
        """P3: more than 2·MSS, not exactly 2·MSS."""
        assert delivered((5 * MSS, 5 * MSS + above)).lost_below(2 * MSS) == lost

    def test_each_hole_is_judged_by_what_lies_above_it(self) -> None:
        order = delivered((1000, 2000), (3000, 4000), (5000, 6000), (7000, 8000))
        assert order.lost_below(2000) == 3000
        assert order.lost_below(3500) == 1000
        assert order.lost_below(4000) is None

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=20))
    def test_is_a_set_of_positions(self, ranges: list[tuple[int, int]]) -> None:
        order = delivered(*((start, start + size) for start, size in ranges))
        model = {n for start, size in ranges for n in range(start, start + size)}
        edge = next(n for n in range(100) if n not in model)
        assert order.edge == edge
        assert {n for low, high in order.islands for n in range(low, high)} == {
            n for n in model if n > edge
        }
        for threshold in (0, 5, 20):
            below = order.lost_below(threshold)
            holes = {
                hole
                for hole in range(edge, 60)
                if hole not in model and sum(n > hole for n in model) > threshold
            }
            assert holes == {n for n in range(edge, below or 0) if n not in model}


class TestQuantum:
    def test_ten_segments_before_any_round_trip(self) -> None:
        assert make_subflow().quantum == 10 * MSS

    @pytest.mark.parametrize(
        ("cwnd", "rtt_ms", "quantum"),
        [
            (10 * MSS, 100, 2 * MSS),
            (1000 * MSS, 100, 10 * MSS),
            (10_000 * MSS, 100, 65 * MSS),
            (100_000 * MSS, 100, 15 * 65 * MSS),
            (200_000 * MSS, 100, 16 * 65 * MSS),
        ],
        ids=[
            "at least two segments",
            "a millisecond's worth",
            "a packet's",
            "many packets'",
            "a train",
        ],
    )
    def test_follows_the_rate(self, cwnd: int, rtt_ms: int, quantum: int) -> None:
        assert make_subflow(cwnd=cwnd, rtt_ms=rtt_ms).quantum == quantum

    @pytest.mark.parametrize(
        ("nearest_us", "quantum"),
        [(20, 2 * 65 * MSS), (1_100, 65 * MSS), (2_100, 18 * MSS), (100_000, 2 * MSS)],
    )
    def test_is_larger_the_nearer_the_path_however_slow_we_are(
        self, nearest_us: int, quantum: int
    ) -> None:
        subflow = make_subflow(cwnd=600 * MSS, rtt_ms=300)
        subflow.rtt.min_rtt_ns = nearest_us * 1000
        assert subflow.quantum == quantum

    def test_leaves_the_window_room_for_more_than_one(self) -> None:
        subflow = make_subflow(cwnd=16 * MSS, rtt_ms=200)
        subflow.rtt.min_rtt_ns = 20_000
        assert subflow.quantum == 4 * MSS

    @pytest.mark.parametrize("mss", [536, 1448, 8948, 33_000, 65_483])
    def test_is_whole_segments_whatever_their_size(self, mss: int) -> None:
        for rtt_ms in (0, 1, 100):
            quantum = make_subflow(mss=mss, rtt_ms=rtt_ms, cwnd=10 * mss).quantum
            assert quantum >= mss
            assert quantum % mss == 0
            assert quantum <= max(16 * 65_535, mss)
            assert quantum <= 65_535 or quantum % super_segment_size(mss) == 0


class TestAccounts:
    def test_sending_and_credit(self) -> None:
        subflow = make_subflow(cwnd=10 * MSS)
        send = subflow.send(5, 0, 3 * MSS)
        assert (subflow.in_flight, subflow.space, subflow.sent_bytes) == (3000, 7000, 3000)
        assert (send.position, subflow.position) == (0, 3000)
        subflow.credit(9, send, 0, MSS, was_lost=False)
        subflow.credit(9, send, MSS, 2 * MSS, was_lost=True)
        assert (subflow.in_flight, subflow.delivered) == (2000, 2000)
        assert subflow.order.edge == 2000

    def test_repeated_bytes_are_counted_apart(self) -> None:
        subflow = make_subflow()
        first = subflow.send(0, 0, 700)
        subflow.send(1, 0, 700, first)
        assert (subflow.sent_bytes, subflow.resent_bytes, subflow.position) == (1400, 700, 1400)

    def test_oldest_skips_what_is_done(self) -> None:
        subflow = make_subflow()
        sends = [subflow.send(0, at, at + 10) for at in (0, 10, 20)]
        sends[0].outstanding = sends[2].outstanding = 0
        assert subflow.oldest() is sends[1]
        sends[1].outstanding = 0
        assert subflow.oldest() is None

    def test_duplicate_acks_guesses_are_forgotten(self) -> None:
        subflow = make_subflow()
        subflow.in_flight, subflow.inflated = 2000, 3000
        subflow.deflate()
        assert (subflow.in_flight, subflow.inflated) == (5000, 0)

    def test_only_an_active_path_is_usable(self) -> None:
        subflow = make_subflow()
        for state in PathState:
            subflow.state = state
            assert subflow.usable == (state is PathState.ACTIVE)


class TestSpace:
    def test_is_what_the_window_leaves(self) -> None:
        subflow = make_subflow(cwnd=10 * MSS)
        subflow.send(0, 0, 4 * MSS)
        assert subflow.space == 6 * MSS

    def test_a_segment_that_must_be_repeated_needs_none(self) -> None:
        subflow = make_subflow(cwnd=2 * MSS)
        subflow.send(0, 0, 4 * MSS)
        subflow.owed = MSS
        assert subflow.space == MSS
        subflow.send(0, 0, MSS)
        assert subflow.space == 0

    def test_shrinks_in_step_during_recovery(self) -> None:
        """RFC 9937: half a window is given up over a round trip, not at once."""
        subflow = make_subflow(cwnd=5 * MSS)
        subflow.position = subflow.in_flight = 10 * MSS
        subflow.recovery_position = subflow.position
        subflow.begin_reduction(10 * MSS)
        sent = 0
        for _ in range(10):
            subflow.in_flight -= MSS
            subflow.repaired = MSS
            subflow.reduce(safe=True)
            while subflow.space >= MSS:
                subflow.send(0, sent * MSS, (sent + 1) * MSS)
                sent += 1
        assert 5 <= sent <= 6
        assert subflow.in_flight == sent * MSS

    def test_a_recovery_that_is_over_says_nothing_more(self) -> None:
        subflow = make_subflow(cwnd=5 * MSS)
        subflow.recovery_position = 1
        subflow.begin_reduction(10 * MSS)
        assert subflow.space == 0
        subflow.order.advance(1)
        assert subflow.space == 5 * MSS
        subflow.reduce(safe=True)
        assert subflow.reduction is None


class TestSettle:
    def test_one_sample_from_the_newest_transmission(self) -> None:
        """One per acknowledgment, and of the newest: what a stretched ACK delayed least."""
        subflow = make_subflow()
        old = subflow.send(10 * MS, 0, MSS)
        new = subflow.send(40 * MS, MSS, 2 * MSS)
        subflow.credit(100 * MS, new, MSS, 2 * MSS, was_lost=False)
        subflow.credit(100 * MS, old, 0, MSS, was_lost=False)
        subflow.settle(100 * MS)
        assert subflow.rtt.latest_ns == 60 * MS

    def test_no_sample_from_a_retransmission(self) -> None:
        """Karn, per transmission; but the backoff ends."""
        subflow = make_subflow(rtt_ms=50)
        subflow.rtt.backoff()
        first = subflow.send(0, 0, MSS)
        again = subflow.send(300 * MS, 0, MSS, first)
        backed_off = subflow.rtt.rto_ns
        subflow.credit(301 * MS, again, 0, MSS, was_lost=False)
        subflow.settle(301 * MS)
        assert subflow.rtt.latest_ns == 50 * MS
        assert subflow.rtt.rto_ns == backed_off // 2

    def test_a_copy_that_was_not_needed_leaves_no_recovery_behind(self) -> None:
        """Its first copy was credited in its stead: nobody will ever deliver its positions."""
        subflow = make_subflow(cwnd=10 * MSS)
        first = subflow.send(0, 0, MSS)
        subflow.drop(MSS)
        first.outstanding = 0
        copy = subflow.send(50 * MS, 0, MSS, first)
        subflow.recovery_position = subflow.position
        copy.outstanding = 0
        subflow.drop(MSS)
        subflow.credit(60 * MS, first, 0, MSS, was_lost=True)
        subflow.settle(60 * MS)
        assert not subflow.in_recovery

    def test_without_credits_nothing_happens(self) -> None:
        subflow = make_subflow()
        subflow.timeouts = 1
        subflow.settle(5)
        assert subflow.timeouts == 1

    def test_grows_by_its_share_unless_in_recovery(self) -> None:
        subflow = make_subflow(cwnd=10 * MSS)
        for recovery_position, expected in ((5 * MSS, 10 * MSS), (0, 11 * MSS)):
            subflow.recovery_position = recovery_position
            subflow.limited = True
            start = subflow.position
            send = subflow.send(0, start, start + 10 * MSS)
            subflow.order.edge = 0
            subflow.credit(1, send, start + 9 * MSS, start + 10 * MSS, was_lost=False)
            subflow._acked = 10 * MSS
            subflow.settle(1)
            assert subflow.controller.cwnd == expected


class TestPace:
    """How fast a window that grew in slow start, and then lay fallow, is filled again."""

    @staticmethod
    def rate(subflow: Subflow, now: int) -> float:
        """Windows per round trip at which it may send from now on."""
        pacer, window = Pacer(), subflow.controller.cwnd
        subflow.pacer = pacer
        subflow.pace(1 << 30)
        pacer.ready(now, MSS)
        pacer.on_sent(10 * window)  # a debt, so that what was saved up does not count
        wait_ns = pacer.ready_at() - now
        return 10 * subflow.rtt.srtt_ns / wait_ns

    @staticmethod
    def acknowledge(subflow: Subflow, ms: int, segments: int) -> None:
        """The first `segments` of what is under way arrived."""
        send = subflow.oldest()
        assert send is not None
        start = send.end - send.outstanding
        subflow.credit(ms * MS, send, start, start + segments * MSS, was_lost=False)
        send.outstanding -= segments * MSS
        subflow.settle(ms * MS)

    @pytest.mark.parametrize(("limited", "rate"), [(True, 2), (False, 1)])
    def test_within_a_round_trip_if_the_receiver_or_the_data_left_it_fallow(
        self, limited: bool, rate: float
    ) -> None:
        subflow = make_subflow(rtt_ms=100, cwnd=100 * MSS)
        subflow.controller.ssthresh = 1 << 40
        subflow.send(0, 0, 30 * MSS)
        subflow.limited = limited
        self.acknowledge(subflow, 100, 10)
        assert self.rate(subflow, 100 * MS) == pytest.approx(rate, rel=0.2)

    def test_until_half_of_it_is_filled(self) -> None:
        subflow = make_subflow(rtt_ms=100, cwnd=100 * MSS)
        subflow.controller.ssthresh = 1 << 40
        for ms, segments, rate in ((100, 30, 1), (110, 15, 1), (120, 30, 2)):
            subflow.send(ms * MS, 0, segments * MSS)
            subflow.limited = ms > 100  # by its pacer
            self.acknowledge(subflow, ms + 5, 5)
            assert self.rate(subflow, (ms + 5) * MS) == pytest.approx(rate, rel=0.2)


class TestRto:
    """P5: the retransmission timer is the subflow's own (RFC 6298 section 5)."""

    def test_off_while_nothing_is_in_flight(self) -> None:
        assert make_subflow(rtt_ms=50).rto_at is None

    def test_runs_while_duplicate_acks_make_believe_that_all_has_left(self) -> None:
        subflow = make_subflow(rtt_ms=50)
        subflow.send(SECOND, 0, MSS)
        subflow.in_flight, subflow.inflated = 0, MSS
        assert subflow.rto_at == SECOND + subflow.rtt.rto_ns
        assert subflow.outstanding == MSS

    def test_runs_from_the_first_transmission_and_again_from_each_credit(self) -> None:
        subflow = make_subflow(rtt_ms=50)
        rto = subflow.rtt.rto_ns
        send = subflow.send(SECOND, 0, MSS)
        subflow.send(SECOND + 20 * MS, MSS, 2 * MSS)
        assert subflow.rto_at == SECOND + rto
        subflow.credit(SECOND + 50 * MS, send, 0, MSS, was_lost=False)
        subflow.settle(SECOND + 50 * MS)
        assert subflow.rto_at == SECOND + 50 * MS + rto


class TestSuspicion:
    def test_never_while_nothing_is_out(self) -> None:
        assert make_subflow(rtt_ms=50).suspect_at(0) is None

    def test_after_a_round_trip_and_four_deviations(self) -> None:
        subflow = make_subflow(rtt_ms=100)
        subflow.rtt.rttvar_ns = 10 * MS
        subflow.send(SECOND, 0, 2 * MSS)
        assert subflow.suspect_at(20 * MS) == SECOND + 140 * MS

    def test_or_a_quarter_more_where_there_are_none(self) -> None:
        subflow = make_subflow(rtt_ms=100)
        subflow.send(SECOND, 0, 2 * MSS)
        assert subflow.suspect_at(20 * MS) == SECOND + 125 * MS

    def test_the_floor_is_for_short_round_trips(self) -> None:
        subflow = make_subflow(rtt_ms=1)
        subflow.send(SECOND, 0, 2 * MSS)
        assert subflow.suspect_at(20 * MS) == SECOND + 21 * MS

    def test_a_path_heard_a_moment_ago_is_given_a_quarter_of_a_round_trip(self) -> None:
        subflow = make_subflow(rtt_ms=100)
        subflow.send(SECOND, 0, 2 * MSS)
        subflow.hear(SECOND + 120 * MS, SECOND)
        assert subflow.suspect_at(20 * MS) == SECOND + 145 * MS

    def test_the_ack_of_a_lone_segment_may_be_delayed(self) -> None:
        subflow = make_subflow(rtt_ms=100)
        subflow.send(SECOND, 0, MSS)
        assert subflow.suspect_at(20 * MS) == SECOND + 125 * MS + DELAYED_ACK_NS

    def test_until_a_second_one_draws_it(self) -> None:
        subflow = make_subflow(rtt_ms=100)
        subflow.send(SECOND, 0, MSS)
        subflow.send(SECOND + 10 * MS, 0, MSS)
        assert subflow.suspect_at(20 * MS) == SECOND + 135 * MS

    def test_a_second_one_sent_late_does_not_make_the_first_overdue(self) -> None:
        subflow = make_subflow(rtt_ms=100)
        subflow.send(SECOND, 0, MSS)
        subflow.send(SECOND + 190 * MS, 0, MSS)
        assert subflow.suspect_at(20 * MS) == SECOND + 125 * MS + DELAYED_ACK_NS

    def test_silence_begins_with_the_first_unanswered_transmission(self) -> None:
        subflow = make_subflow(rtt_ms=50)
        assert subflow.silent_since is None
        first = subflow.send(SECOND, 0, MSS)
        subflow.send(2 * SECOND, MSS, 2 * MSS)
        assert subflow.silent_since == SECOND
        subflow.credit(3 * SECOND, first, 0, MSS, was_lost=False)
        assert subflow.silent_since == 3 * SECOND  # the other is still owed an answer
        subflow.in_flight = 0
        subflow.hear(4 * SECOND, 3 * SECOND)
        assert subflow.silent_since is None
        assert (subflow.heard_at, subflow.heard_sent_at) == (4 * SECOND, 3 * SECOND)


def test_settled_round_trips_have_no_variance() -> None:
    subflow = make_subflow()
    settle_rtt(subflow, 80, now=SECOND)
    assert (subflow.rtt.srtt_ns, subflow.rtt.min_rtt_ns) == (80 * MS, 80 * MS)


def test_a_delay_that_ended_slow_start_is_no_limit_met() -> None:
    """HyStart++ may leave slow start long before a path is full; only a loss tells its limit."""
    subflow = make_subflow(0, rtt_ms=20)
    subflow.controller.cwnd = subflow.controller.ssthresh = 20 * MSS
    assert not subflow.has_met_its_limit
    subflow.begin_reduction(subflow.controller.cwnd)
    assert subflow.has_met_its_limit
