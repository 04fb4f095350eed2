"""Silent paths: suspicion, probes, the way back, and slow retransmit (P4)."""

from omtcp.core.config import Config
from omtcp.core.losses import Kind
from omtcp.core.rtt import RttEstimator
from omtcp.core.subflow import PathState
from omtcp.trace.events import LossDetected, PathRestored, PathSuspect

from .sending import MS, MSS, SECOND, Bench

A, B = 0, 1


class TestSilence:
    def silent_a(self, config: Config | None = None) -> Bench:
        """A owes an answer for long, B has just answered."""
        bench = Bench(50, 50, config=config)
        bench.send(A, 5)
        bench.send(B, 5)
        bench.wait(60)
        bench.sack((5, 8))
        return bench

    def test_a_path_silent_while_others_answer_is_suspect(self) -> None:
        bench = self.silent_a()
        a = bench.subflows[A]
        due = bench.recovery.deadline(bench.now)
        assert due == bench.now + 5 * MS  # 1.3·SRTT after its oldest transmission
        bench.wait(4.999)
        assert bench.silence.check(bench.now) == []
        bench.wait(0.001)
        assert bench.silence.check(bench.now) == [a]
        assert a.state is PathState.SUSPECT
        assert bench.lost == [(0, 5)]
        assert (a.in_flight, bench.subflows[B].in_flight) == (0, 2 * MSS)
        assert bench.of(PathSuspect) == [PathSuspect(A, 65 * MS)]
        assert bench.of(LossDetected) == [LossDetected(A, 0, 5 * MSS, "silence")]
        assert bench.windows() == [100, 100]
        assert bench.board.lost.values[0].lost_by == Kind.SUSPECT
        assert bench.pings.due(bench.now, busy=True) is a

    def test_a_single_path_probes_its_tail(self) -> None:
        """RFC 8985 section 7.2: after two round trips, and only once; its last segment."""
        bench = Bench(50)
        bench.send(A, 5)
        bench.wait(105)
        assert bench.silence.check(bench.now) == []
        assert bench.lost == []
        bench.wait(10)
        assert bench.silence.check(bench.now) == []
        assert bench.lost == [(4, 5)]
        assert bench.board.lost.values[0].lost_by == Kind.PROBE
        bench.wait(50)
        assert bench.silence.check(bench.now) == []
        assert bench.lost == [(4, 5)]

    def test_without_sack_silence_means_nothing(self) -> None:
        bench = Bench(50)
        bench.silence.watching = False
        bench.send(A, 5)
        bench.wait(190)
        assert bench.silence.check(bench.now) == []
        assert bench.lost == []

    def test_not_before_a_round_trip_is_known(self) -> None:
        """After a repeated SYN: the RTO is all there is to go by."""
        for paths in (1, 2):
            bench = Bench(*[50] * paths)
            for subflow in bench.subflows:
                subflow.rtt = RttEstimator()
            bench.send(A, 5)
            assert bench.recovery.deadline(bench.now) == bench.now + SECOND
            bench.wait(999)
            assert bench.silence.check(bench.now) == []
            assert bench.lost == []

    def test_an_unmeasured_path_is_compared_with_measured_ones(self) -> None:
        bench = Bench(50, 50, 80)
        bench.subflows[A].rtt = RttEstimator()
        assert bench.silence.check(bench.now) == []
        bench.send(A, 5)
        assert bench.recovery.deadline(bench.now) == bench.now + 200 * MS
        bench.wait(200)
        bench.subflows[B].hear(bench.now, bench.now)
        assert bench.silence.check(bench.now) == [bench.subflows[A]]

    def test_a_path_in_timeout_is_not_probed_besides(self) -> None:
        bench = Bench(50)
        bench.send(A, 5)
        bench.subflows[A].timeouts = 1
        assert bench.recovery.deadline(bench.now) == bench.subflows[A].rto_at

    def test_whoever_is_left_alone_is_judged_as_the_only_one(self) -> None:
        """At once: otherwise its deadline would already have passed."""
        bench = Bench(50, 50)
        a, b = bench.subflows
        b.rtt.rttvar_ns = 40 * MS  # among others it would be given 235 ms
        bench.send(A, 5)
        bench.send(B, 5)
        bench.wait(60)
        bench.sack((5, 6))
        bench.wait(170)
        assert bench.silence.check(bench.now) == [a]
        assert bench.lost == [(0, 5), (9, 10)]
        deadline = bench.recovery.deadline(bench.now)
        assert deadline is not None
        assert deadline > bench.now

    def test_what_was_given_up_is_not_waited_for(self) -> None:
        bench = self.silent_a()
        bench.wait(5)
        bench.silence.check(bench.now)
        a = bench.subflows[A]
        assert (a.order.edge, a.in_recovery) == (a.position, False)

    def test_of_a_path_never_heard_is_counted_from_its_first_transmission(self) -> None:
        bench = Bench(50, 50)
        a, b = bench.subflows
        a.heard_at = 0
        bench.send(A, 5)
        bench.wait(80)
        b.hear(bench.now, bench.now)
        assert bench.silence.check(bench.now) == [a]
        assert bench.of(PathSuspect) == [PathSuspect(A, 80 * MS)]

    def test_with_nothing_to_compare_one_segment_is_a_probe(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 5)
        bench.wait(76)
        assert bench.silence.check(bench.now) == []
        assert bench.lost == [(0, 1)]
        assert bench.board.lost.values[0].lost_by == Kind.PROBE
        bench.wait(10)
        bench.silence.check(bench.now)
        assert bench.lost == [(0, 1)]  # one probe until it is heard again
        assert bench.windows() == [100, 100]
        bench.resend(B)
        bench.wait(50)
        bench.ack(1)
        assert bench.silence.check(bench.now) == [bench.subflows[A]]
        assert bench.lost == [(1, 5)]

    def test_the_probe_is_the_first_segment_still_out(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 5)
        bench.wait(50)
        bench.ack(2)
        bench.wait(25)
        bench.silence.check(bench.now)
        assert bench.lost == [(2, 3)]

    def test_the_probe_skips_what_another_path_has_taken_over(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 5)
        bench.wait(76)
        bench.silence.check(bench.now)
        bench.resend(B)
        bench.subflows[A].hear(bench.now, 0)
        bench.wait(50)
        bench.subflows[B].state = PathState.ACTIVE
        bench.silence._probe(bench.subflows[A])
        assert bench.lost == [(1, 2)]

    def test_two_silent_paths_are_not_suspected_by_each_other(self) -> None:
        """When the acknowledgments' own way fails, all look silent: one must stay in use."""
        bench = Bench(50, 50)
        bench.send(A, 5)
        bench.send(B, 5)
        bench.wait(60)
        bench.sack((1, 2), (6, 7))
        bench.wait(40)
        bench.silence.check(bench.now)
        assert any(subflow.usable for subflow in bench.subflows)

    def test_pings_left_unanswered_are_silence_too(self) -> None:
        bench = Bench(50, 50)
        a, b = bench.subflows
        bench.pings.send(bench.now, a)
        bench.wait(500)
        b.hear(bench.now, bench.now)
        assert bench.silence.check(bench.now) == []
        bench.pings.send(bench.now, a)
        assert bench.silence.check(bench.now) == []  # it may yet answer the second
        assert bench.recovery.deadline(bench.now) == bench.now + 65 * MS
        bench.wait(65)
        assert bench.silence.check(bench.now) == [a]
        assert a.state is PathState.SUSPECT

    def test_a_ping_lost_long_ago_does_not_count_against_an_answer_since(self) -> None:
        bench = Bench(50, 50)
        a, b = bench.subflows
        for _ in range(2):
            bench.pings.send(bench.now, a)
        a.hear(bench.now, bench.now)
        bench.wait(1000)
        b.hear(bench.now, bench.now)
        assert bench.silence.check(bench.now) == []
        bench.pings.send(bench.now, a)
        assert bench.recovery.deadline(bench.now) == bench.now + 65 * MS

    def test_an_idle_path_without_comparison_has_nothing_to_probe_with(self) -> None:
        bench = Bench(50, 50)
        bench.wait(1)
        for _ in range(2):
            bench.pings.send(bench.now, bench.subflows[A])
        bench.wait(100)
        assert bench.silence.check(bench.now) == []
        assert bench.lost == []

    def test_suspecting_an_idle_path_starts_its_silence_now(self) -> None:
        bench = Bench(50, 50)
        bench.silence.suspect(bench.now, bench.subflows[A])
        assert bench.subflows[A].silent_since == bench.now

    def test_data_of_a_suspect_path_that_arrives_does_not_clear_it(self) -> None:
        """It says that the path worked when it was sent; whether it does now a ping tells."""
        bench = self.silent_a()
        bench.wait(10)
        bench.silence.check(bench.now)
        bench.ack(5)
        a = bench.subflows[A]
        assert a.state is PathState.SUSPECT
        assert bench.lost == []
        bench.silence.restore(bench.now, a)
        assert bench.windows() == [100, 100]  # all of it arrived: there was no loss
        assert bench.of(PathRestored) == [PathRestored(A)]

    def test_unused_paths_are_not_judged(self) -> None:
        bench = Bench(50, 50, 50)
        bench.send(A, 1)
        bench.subflows[A].state = PathState.DEFECTIVE
        bench.wait(100)
        bench.subflows[B].hear(bench.now, bench.now)
        assert bench.silence.check(bench.now) == []


class TestRestore:
    def answered_after(self, ms: float) -> Bench:
        """A fell silent, was suspected, and answered a ping `ms` after its oldest transmission."""
        bench = Bench(50, 50)
        a = bench.subflows[A]
        bench.send(A, 100)
        bench.wait(50)
        bench.ack(100)
        bench.send(A, 5)
        bench.wait(80)
        bench.subflows[B].hear(bench.now, bench.now)
        assert bench.silence.check(bench.now) == [a]
        bench.wait(ms - 80 - 50)
        offset = bench.pings.send(bench.now, a)
        bench.wait(50)
        assert bench.pings.answer(bench.now, offset, offset + 1) is a
        bench.silence.restore(bench.now, a)
        assert a.usable
        assert bench.of(PathRestored) == [PathRestored(A)]
        return bench

    def test_a_short_silence_was_a_loss_of_what_was_under_way(self) -> None:
        bench = self.answered_after(200)  # less than the RTO of 250 ms
        controller = bench.subflows[A].controller
        assert (controller.cwnd, controller.ssthresh) == (50 * MSS, 50 * MSS)

    def test_a_long_silence_ends_in_a_small_window(self) -> None:
        bench = self.answered_after(3000)
        controller = bench.subflows[A].controller
        assert controller.cwnd == 10 * MSS
        assert controller.ssthresh == 100 * MSS

    def test_an_untried_path_starts_as_it_is(self) -> None:
        bench = Bench(50, 50)
        b = bench.subflows[B]
        b.state = PathState.UNTRIED
        bench.silence.restore(bench.now, b)
        assert b.usable
        assert bench.events == []

    def test_of_an_active_path_is_nothing(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 2)
        bench.silence.restore(bench.now, bench.subflows[A])
        assert (bench.events, bench.lost) == ([], [])

    def test_of_a_path_in_timeout_sends_at_once_what_it_owes(self) -> None:
        """All paths had been silent, so none was suspected; the timer would come back late."""
        bench = Bench(50, 50)
        bench.send(A, 2)
        bench.subflows[A].timeouts = 2
        bench.silence.restore(bench.now, bench.subflows[A])
        assert bench.subflows[A].timeouts == 0
        assert bench.lost == [(0, 2)]


class TestSlowRetransmit:
    """P4: data of a waiting subflow moves before the receive buffer runs out."""

    def waiting(self) -> Bench:
        """A has exhausted its window and hears nothing; B has answered since."""
        bench = Bench(80, 50, config=Config(suspect_floor_ns=20 * MS))
        bench.subflows[A].controller.cwnd = 5 * MSS
        bench.send(A, 5)
        bench.send(B, 5)
        bench.wait(85)
        bench.sack((5, 8))
        bench.wait(5)
        return bench

    def test_once_the_space_left_is_less_than_the_helper_s_window(self) -> None:
        bench = self.waiting()
        assert not bench.silence.slow_retransmit(bench.now, 100 * MSS)
        assert bench.silence.slow_retransmit(bench.now, 100 * MSS - 1)
        assert bench.lost == [(0, 5)]
        assert bench.board.lost.values[0].lost_by == Kind.SLOW
        assert bench.subflows[A].state is PathState.SUSPECT
        assert bench.windows() == [5, 100]

    def test_not_before_an_answer_was_due(self) -> None:
        bench = self.waiting()
        bench.now -= 1 * MS
        assert not bench.silence.slow_retransmit(bench.now, 0)

    def test_not_while_its_window_is_open(self) -> None:
        bench = self.waiting()
        bench.subflows[A].controller.cwnd = 6 * MSS
        assert not bench.silence.slow_retransmit(bench.now, 0)

    def test_not_without_another_path(self) -> None:
        bench = self.waiting()
        bench.subflows[B].state = PathState.SUSPECT
        assert not bench.silence.slow_retransmit(bench.now, 0)

    def test_not_when_the_other_path_is_as_silent(self) -> None:
        bench = self.waiting()
        bench.subflows[B].heard_at = 0
        assert not bench.silence.slow_retransmit(bench.now, 0)

    def test_the_helper_is_the_nearest(self) -> None:
        bench = Bench(80, 50, 20)
        bench.subflows[A].controller.cwnd = 5 * MSS
        bench.subflows[2].controller.cwnd = 30 * MSS
        bench.send(A, 5)
        bench.send(2, 1)
        bench.wait(85)
        bench.sack((5, 6))
        bench.wait(10)
        assert not bench.silence.slow_retransmit(bench.now, 50 * MSS)
        assert bench.silence.slow_retransmit(bench.now, 20 * MSS)

    def test_the_last_usable_path_keeps_its_data(self) -> None:
        """Both wait with full windows; once the first has moved, the other has no helper left."""
        bench = Bench(50, 50)
        for path in (A, B):
            bench.subflows[path].controller.cwnd = 5 * MSS
            bench.send(path, 5)
        bench.wait(61)
        for subflow in bench.subflows:
            subflow.heard_at = bench.now - 1
        bench.wait(61)
        assert bench.silence.slow_retransmit(bench.now, 0)
        assert [subflow.usable for subflow in bench.subflows] == [False, True]
