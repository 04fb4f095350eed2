"""Loss within a subflow, what arrives after all, and reneging: what is concluded and cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.config import Config, LossRule
from omtcp.core.subflow import PathState
from omtcp.trace.events import LossDetected, PathRestored, WindowChanged

from .sending import MS, MSS, Bench

A, B = 0, 1


class TestFastRetransmit:
    """P3: more than 2·MSS of one subflow's data delivered above its first hole."""

    def test_reordering_between_subflows_never_triggers(self) -> None:
        bench = Bench()
        for _ in range(20):
            bench.send(A)
            bench.send(B)
        for segment in range(1, 40, 2):
            bench.sack((segment, segment + 1))  # all that B carried, nothing of A's
        assert bench.lost == []
        assert bench.of(LossDetected) == []
        assert bench.windows() == [100, 100]

    @given(data=st.data())
    def test_whatever_the_interleaving(self, data: st.DataObject) -> None:
        """Each path delivers in order; how the paths' deliveries mix is the adversary's."""
        bench = Bench(50, 50, 50)
        paths = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=30))
        queues: dict[int, list[tuple[int, int]]] = {0: [], 1: [], 2: []}
        for path in paths:
            send = bench.send(path, data.draw(st.integers(1, 4)))
            queues[path].append((send.start // MSS, send.end // MSS))
        while any(queues.values()):
            path = data.draw(st.sampled_from([path for path, queue in queues.items() if queue]))
            bench.sack(queues[path].pop(0))
        assert bench.of(LossDetected) == []
        assert bench.windows() == [100, 100, 100]

    def test_exactly_two_segments_are_not_enough(self) -> None:
        bench = Bench()
        bench.send(A, 10)
        bench.sack((1, 3))
        assert bench.lost == []
        bench.sack((1, 3.001))
        assert bench.lost == [(0, 1)]

    def test_only_that_window_is_cut(self) -> None:
        """P11."""
        bench = Bench(50, 50)
        bench.send(A, 100)
        bench.send(B, 100)
        bench.sack((1, 4))
        assert bench.windows() == [50, 100]
        assert bench.of(LossDetected) == [LossDetected(A, 0, MSS, "reordering")]
        assert bench.of(WindowChanged) == [WindowChanged(A, 50 * MSS, 50 * MSS, "loss")]
        assert [subflow.in_flight for subflow in bench.subflows] == [96 * MSS, 100 * MSS]

    def test_the_paper_s_rule_looks_at_each_hole_by_itself(self) -> None:
        bench = Bench(config=Config(recovery=LossRule.LITERAL))
        bench.send(A, 20)
        bench.sack((1, 2), (3, 4), (5, 8), (9, 10))
        assert bench.lost == [(0, 1), (2, 3), (4, 5)]

    def test_a_block_across_two_paths_counts_for_each_by_itself(self) -> None:
        bench = Bench()
        for path in (A, B, A, B, A, B):
            bench.send(path)
        bench.sack((1, 6))
        assert bench.lost == []  # A has 2 segments above its hole, B has none missing

    def test_the_retransmission_may_take_any_path(self) -> None:
        bench = Bench()
        bench.send(A, 10)
        bench.sack((1, 10))
        again = bench.resend(B)
        assert (again.subflow.index, again.again, again.start, again.end) == (B, True, 0, MSS)
        bench.wait(50)
        bench.ack(10)
        assert bench.subflows[B].delivered == MSS
        assert bench.subflows[A].delivered == 9 * MSS
        assert [subflow.in_flight for subflow in bench.subflows] == [0, 0]

    def test_one_reduction_per_event(self) -> None:
        bench = Bench()
        bench.send(A, 100)
        bench.sack((1, 4))
        bench.sack((1, 4), (10, 13))
        bench.sack((1, 4), (10, 13), (50, 53))
        assert len(bench.of(LossDetected)) == 3
        assert len(bench.of(WindowChanged)) == 1
        assert bench.subflows[A].in_recovery

    def test_the_window_does_not_grow_during_recovery_and_does_after(self) -> None:
        bench = Bench()
        subflow = bench.subflows[A]
        subflow.limited = True
        bench.send(A, 100)
        bench.sack((1, 60))
        bench.resend(A)
        bench.sack((1, 100))
        assert bench.windows() == [50, 100]
        bench.ack(100)
        assert not subflow.in_recovery
        bench.send(A, 60)
        bench.ack(160)
        assert bench.windows()[A] > 50

    def test_the_window_shrinks_in_step_with_what_arrives(self) -> None:
        """RFC 9937: neither silence for half a window nor a burst."""
        bench = Bench()
        a = bench.subflows[A]
        bench.send(A, 100)
        bench.sack((1, 4))
        assert a.space == MSS  # the retransmission itself
        bench.resend(A)
        released = []
        for segment in range(4, 44, 2):
            bench.sack((1, segment + 2))
            released.append(a.space // MSS)
            if a.space >= MSS:
                bench.send(A, a.space // MSS)
        assert set(released) == {0, 1}
        assert 19 <= sum(released) <= 21  # half of the 40 that arrived

    def test_a_loss_after_recovery_is_a_new_event(self) -> None:
        bench = Bench()
        bench.send(A, 100)
        bench.sack((1, 100))
        bench.resend(A)
        bench.ack(100)
        bench.send(A, 50)
        bench.sack((101, 150))
        assert bench.windows() == [25, 100]

    def test_a_retransmission_lost_again_is_detected(self) -> None:
        """Its position is behind the data sent before it, so it needs no timeout."""
        bench = Bench()
        bench.send(A, 10)
        bench.sack((1, 10))
        bench.resend(A)
        bench.send(A, 3)
        assert bench.lost == []
        bench.sack((1, 13))
        assert bench.lost == [(0, 1)]
        assert len(bench.of(WindowChanged)) == 2  # lost in another round trip: another event

    def test_new_data_lost_while_recovering_is_a_new_event(self) -> None:
        bench = Bench()
        bench.send(A, 10)
        bench.sack((1, 10))
        bench.send(A, 10)
        bench.sack((1, 10), (15, 20))
        assert bench.lost == [(0, 1), (10, 15)]
        assert len(bench.of(WindowChanged)) == 2

    def test_what_was_sent_on_another_path_since_is_not_lost_with_it(self) -> None:
        bench = Bench()
        bench.send(A, 3)
        bench.sack((0.5, 3))
        bench.resend(B)
        bench.send(A, 5)
        bench.sack((0.5, 8))
        assert bench.lost == []


class TestByTime:
    """Too little above a hole for P3: a quarter round trip of grace decides (RFC 8985)."""

    def test_lost_once_overdue(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 2)
        bench.send(B, 1)
        bench.wait(40)
        bench.sack((1, 2))
        assert bench.lost == []
        at = bench.recovery.deadline(bench.now)
        assert at == bench.now + 10 * MS
        bench.wait(9.999)
        bench.recovery.on_timers(bench.now)
        assert bench.lost == []
        bench.wait(0.001)
        bench.recovery.on_timers(bench.now)
        assert bench.lost == [(0, 1)]
        assert [event.path for event in bench.of(WindowChanged)] == [A]

    def test_late_credits_find_it_too(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 1)
        bench.wait(20)
        bench.send(A, 1)
        bench.wait(40)
        bench.sack((1, 2))
        assert bench.lost == [(0, 1)]

    def test_all_that_is_overdue_is_lost_at_once(self) -> None:
        """Were it one transmission at a time, the deadline would stay in the past."""
        bench = Bench(40, 40)
        for _ in range(5):
            bench.send(A, 0.1)
        bench.wait(20)
        bench.send(A, 0.1)
        bench.send(A, 0.1)
        bench.wait(40)
        bench.sack((0.5, 0.6))
        assert [start for start, _, _ in bench.board.lost] == [0, 100, 200, 300, 400]
        assert bench.board.flights.total == 100

    def test_but_not_what_was_sent_after_all_that_was_delivered(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 1)
        bench.wait(60)
        bench.ack(0.5)
        bench.sack((0.7, 0.9))
        bench.send(A, 3)
        bench.wait(100)
        bench.recovery.on_timers(bench.now)
        assert bench.lost == [(0.5, 0.7)]
        assert bench.board.flights.total == 3100

    def test_nor_what_was_sent_with_it(self) -> None:
        """Only what was sent a round trip and a quarter ago is overdue, whatever has arrived."""
        bench = Bench(40, 40)
        bench.send(A, 0.1)
        bench.wait(30)
        bench.send(A, 0.1)
        bench.send(A, 0.1)
        bench.wait(25)
        bench.sack((0.2, 0.3))
        assert bench.lost == [(0, 0.1)]

    def test_an_island_below_all_that_is_out_is_no_reason(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 0.1)
        bench.send(A, 0.1)
        bench.silence._probe(bench.subflows[A])
        bench.wait(40)
        bench.sack((0.1, 0.2))
        bench.send(A, 0.1)
        bench.wait(200)
        bench.recovery.detect_losses(bench.now, bench.subflows[A])
        assert bench.lost == [(0, 0.1)]
        assert bench.board.flights.total == 100

    def test_nothing_out_of_order_is_never_overdue(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 2)
        bench.wait(150)
        bench.recovery.on_timers(bench.now)
        assert bench.lost == []


class TestSpurious:
    def test_a_late_arrival_of_all_takes_the_reduction_back(self) -> None:
        bench = Bench()
        bench.send(A, 100)
        bench.sack((1, 4))
        assert bench.windows()[A] == 50
        bench.ack(4)
        assert bench.windows()[A] == 100
        assert bench.of(WindowChanged)[-1].reason == "undo"
        assert not bench.subflows[A].in_recovery

    def test_a_late_arrival_of_a_part_does_not(self) -> None:
        bench = Bench()
        bench.send(A, 100)
        bench.sack((1, 2), (3, 20))
        assert bench.lost == [(0, 1), (2, 3)]
        bench.resend(A, 1)
        bench.ack(20)
        assert bench.windows()[A] == 50

    def test_an_early_answer_is_the_first_copy_s_delivery(self) -> None:
        bench = Bench(80, 50)
        bench.send(A, 3)
        bench.wait(200)
        bench.silence.suspect(bench.now, bench.subflows[A])
        bench.resend(B)
        bench.wait(5)
        bench.ack(3)
        assert [subflow.delivered for subflow in bench.subflows] == [3 * MSS, 0]
        assert [subflow.in_flight for subflow in bench.subflows] == [0, 0]
        assert bench.subflows[A].order.edge == 3 * MSS

    def test_a_copy_that_was_lost_too_is_not_taken_from_the_flight_twice(self) -> None:
        bench = Bench(80, 50)
        bench.send(A, 3)
        bench.wait(200)
        bench.silence.suspect(bench.now, bench.subflows[A])
        bench.resend(B)
        bench.recovery.losses.resend(bench.now, bench.subflows[B])
        bench.wait(5)
        bench.ack(3)
        assert [subflow.in_flight for subflow in bench.subflows] == [0, 0]
        assert bench.subflows[A].delivered == 3 * MSS

    def test_a_copy_of_several_transmissions_vouches_for_the_first_only(self) -> None:
        """Where the others were sent the copy does not say."""
        bench = Bench(80, 50)
        bench.send(A, 1)
        bench.send(A, 1)
        bench.wait(200)
        bench.silence.suspect(bench.now, bench.subflows[A])
        assert bench.resend(B).end == 2 * MSS
        bench.wait(5)
        bench.ack(2)
        assert bench.subflows[A].order.edge <= bench.subflows[A].position
        assert [subflow.in_flight for subflow in bench.subflows] == [0, 0]

    def test_an_answer_in_time_proves_nothing_about_the_first_copy(self) -> None:
        bench = Bench(80, 50)
        bench.send(A, 3)
        bench.wait(200)
        bench.silence.suspect(bench.now, bench.subflows[A])
        bench.resend(B)
        bench.wait(50)
        bench.ack(3)
        assert bench.subflows[A].state is PathState.SUSPECT

    def test_nor_does_a_fast_answer_to_a_second_copy_on_the_same_path(self) -> None:
        bench = Bench(80, 50)
        bench.send(A, 10)
        bench.sack((1, 10))
        bench.resend(A)
        bench.wait(5)
        bench.ack(10)
        assert bench.of(PathRestored) == []


class TestReneging:
    def test_a_sacked_left_edge_at_a_timeout_puts_all_back(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 4)
        bench.send(B, 2)
        bench.send(A, 2)
        bench.sack((1, 2), (4, 6))
        bench.ack(1)  # and not 2: the second segment was dropped again
        bench.now += 250 * MS
        bench.recovery.on_timers(bench.now)
        assert bench.lost == [(1, 2), (2, 4), (4, 6), (6, 8)]
        assert list(bench.board.sacked) == []
        assert bench.resend(B).end == 8 * MSS
        bench.ack(8)
        assert bench.board.flights.total == bench.board.lost.total == 0

    def test_is_noticed_when_nothing_is_in_flight(self) -> None:
        """All was SACKed once, so that no timer of a subflow runs."""
        bench = Bench(50, 50)
        bench.send(A, 2)
        bench.send(B, 2)
        bench.wait(50)
        bench.sack((1, 4))
        bench.ack(1)
        assert bench.board.flights.total == bench.board.lost.total == 0
        at = bench.recovery.deadline(bench.now)
        assert at == bench.now + bench.subflows[A].rtt.rto_ns
        bench.recovery.on_timers(at - 1)
        assert bench.lost == []
        bench.recovery.on_timers(at)
        assert bench.lost == [(1, 4)]
        assert bench.windows() == [100, 100]

    def test_is_noticed_while_something_else_keeps_the_timers_from_expiring(self) -> None:
        """Segments beyond the left edge come and go over one path, as probes do."""
        bench = Bench(50, 50)
        bench.send(A, 2)
        bench.wait(50)
        bench.sack((1, 2))
        bench.ack(1)
        assert bench.recovery.deadline(bench.now) == bench.now + bench.subflows[A].rtt.rto_ns
        noticed = 0
        while bench.lost == [] and noticed < 20:
            bench.send(B, 1)
            bench.wait(40)
            bench.sack((2, bench.board.nxt // MSS))
            bench.recovery.on_timers(bench.now)
            noticed += 1
        assert bench.lost[0][0] == 1
        assert 5 <= noticed <= 8, "an RTO, not at once and not never"

    def test_no_timeout_is_taken_for_reneging(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 4)
        bench.sack((2, 4))
        bench.now += 250 * MS
        bench.recovery.on_timers(bench.now)
        assert bench.lost == [(0, 2)]
        assert list(bench.board.sacked) == [(2 * MSS, 4 * MSS)]

    def test_data_thought_reneged_may_arrive_after_all(self) -> None:
        """It says nothing about round trips, windows, or positions not yet sent."""
        bench = Bench(50, 50)
        bench.send(A, 4)
        bench.wait(50)
        bench.sack((1, 2))
        bench.ack(1)
        bench.now += 250 * MS
        bench.recovery.on_timers(bench.now)
        a = bench.subflows[A]
        bench.wait(1)
        bench.ack(2)
        assert (a.order.edge, list(a.order.islands)) == (a.position, [])
        assert a.rtt.latest_ns == 50 * MS
        assert bench.windows()[A] < 5
        assert (a.in_flight, bench.lost) == (0, [(2, 4)])

    def test_losses_after_reneging_are_still_found(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 40)
        bench.sack((1, 40))
        bench.resend(A)
        bench.ack(1)
        bench.send(A, 1)
        bench.now += 250 * MS
        bench.recovery.on_timers(bench.now)
        bench.ack(40)  # none of it was dropped, it was an old acknowledgment that came late
        bench.resend(B)
        bench.send(A, 5)
        bench.sack((42, 46))
        assert bench.lost == [(41, 42)]


def test_resend_repeats_all_without_blaming_the_path() -> None:
    bench = Bench(50, 50)
    bench.send(A, 3)
    bench.send(B, 2)
    bench.wait(30)
    bench.recovery.losses.resend(bench.now, bench.subflows[A])
    assert bench.lost == [(0, 3)]
    assert bench.windows() == [100, 100]
    assert (bench.subflows[A].in_flight, bench.of(LossDetected)) == (0, [])


@pytest.mark.parametrize("lose", [True, False])
def test_untraced(lose: bool) -> None:
    """Without a listener no event is built, and the same is decided."""
    bench = Bench(50, 50)
    bench.recovery.losses.report = None
    bench.send(A, 10)
    bench.send(B, 10)
    bench.wait(50)
    if lose:
        bench.sack((1, 10))
        bench.resend(A)
    bench.wait(150)
    bench.subflows[B].hear(bench.now, bench.now)
    assert bench.silence.check(bench.now) == [bench.subflows[A]]
    bench.silence.restore(bench.now, bench.subflows[A])
    bench.wait(1000)
    bench.recovery.on_timers(bench.now)
    assert bench.subflows[B].timeouts == 1
    bench.wait(100_000)
    bench.pings.send(0, bench.subflows[A])
    bench.recovery.on_timers(bench.now)
    assert bench.subflows[A].state is PathState.DEFECTIVE
    assert bench.events == [event for event in bench.events if "Ping" in type(event).__name__]
