"""An answer that comes before its path could have given it: whose it is, and what it says."""

from __future__ import annotations

from omtcp.core.subflow import PathState

from .sending import MS, MSS, SECOND, Bench

A, B = 0, 1


def test_after_an_outage_it_measures_no_round_trip() -> None:
    """The paths' queues are empty then, and the first answers faster than any before."""
    bench = Bench(30, 30)
    bench.send(A, 4)
    bench.wait(3000)
    bench.silence.suspect(bench.now, bench.subflows[A])
    bench.resend(B)
    bench.wait(1)
    bench.ack(4)
    assert bench.subflows[A].rtt.srtt_ns == 30 * MS
    assert bench.subflows[A].rtt.rto_ns < SECOND


class TestAPathThatWasMeasuredBadly:
    """B was measured at 30 ms, but takes 1 ms; A is dead, and B repeats what it swallows."""

    @staticmethod
    def repeat(bench: Bench, rtt: int = 1) -> int:
        """One more segment, over A in vain and then over B; which path is credited."""
        before = bench.subflows[B].delivered
        bench.send(A, 1)
        bench.wait(60)
        bench.silence.suspect(bench.now, bench.subflows[A])
        bench.resend(B)
        bench.wait(rtt)
        bench.ack(bench.board.nxt // MSS)
        bench.subflows[A].state = PathState.ACTIVE
        return B if bench.subflows[B].delivered > before else A

    def test_is_believed_in_the_end(self) -> None:
        bench = Bench(30, 30)
        assert [self.repeat(bench) for _ in range(6)] == [A, A, A, B, B, B]
        assert bench.subflows[B].rtt.min_rtt_ns == MS

    def test_answers_that_come_at_any_time_are_those_of_a_slow_path(self) -> None:
        bench = Bench(30, 30)
        assert {self.repeat(bench, rtt) for rtt in (1, 15, 4, 2, 9, 20, 3, 12)} == {A}
        assert bench.subflows[B].rtt.min_rtt_ns == 30 * MS

    def test_early_answers_to_what_the_path_itself_carried_say_nothing(self) -> None:
        bench = Bench(30)
        for _ in range(6):
            bench.send(A, 1)
            bench.wait(29)
            bench.silence.suspect(bench.now, bench.subflows[A])
            bench.resend(A)
            bench.wait(1)
            bench.ack(bench.board.nxt // MSS)
        assert bench.subflows[A].rtt.min_rtt_ns >= 29 * MS

    def test_early_answers_to_one_burst_are_one(self) -> None:
        bench = Bench(30, 30)
        bench.send(A, 8)
        bench.wait(60)
        bench.silence.suspect(bench.now, bench.subflows[A])
        for _ in range(8):
            bench.resend(B, 1)
        bench.wait(1)
        for edge in range(1, 9):
            bench.ack(edge)
        assert bench.subflows[B].delivered == 0
        assert bench.subflows[B].rtt.min_rtt_ns == 30 * MS
