"""Retransmission timer and user timeout per subflow (P5)."""

from omtcp.core.config import Config
from omtcp.core.subflow import PathState
from omtcp.trace.events import LossDetected, PathDefective, WindowChanged

from .sending import MS, MSS, SECOND, Bench

A, B = 0, 1


class TestTimeout:
    """P5: a retransmission timer and a user timeout per subflow."""

    def test_of_one_subflow_alone(self) -> None:
        bench = Bench(50, 300)
        bench.send(A, 5)
        bench.send(B, 5)
        rto_at = bench.subflows[A].rto_at
        assert rto_at == bench.now + 250 * MS
        bench.now = rto_at
        assert bench.recovery.on_timers(bench.now)
        assert bench.lost == [(0, 5)]
        assert bench.windows() == [1, 100]
        assert [subflow.timeouts for subflow in bench.subflows] == [1, 0]
        assert bench.of(LossDetected) == [LossDetected(A, 0, 5 * MSS, "timeout")]
        assert bench.of(WindowChanged) == [WindowChanged(A, MSS, 2500, "timeout")]
        a = bench.subflows[A]
        assert (a.in_flight, a.rto_at) == (0, None)
        assert (a.order.edge, a.in_recovery) == (a.position, False)

    def test_doubles_each_time(self) -> None:
        bench = Bench(50)
        bench.send(A)
        for expected in (250, 500, 1000):
            at = bench.subflows[A].rto_at
            assert at == bench.now + expected * MS
            bench.now = at
            bench.recovery.on_timers(bench.now)
            bench.resend(A)
        assert bench.subflows[A].timeouts == 3
        bench.ack(1)
        assert bench.subflows[A].timeouts == 0
        assert bench.subflows[A].rtt.rto_ns == 250 * MS

    def test_during_fast_recovery_reduces_ssthresh_no_further(self) -> None:
        bench = Bench(50)
        bench.send(A, 100)
        bench.sack((1, 50))
        ssthresh = bench.subflows[A].controller.ssthresh
        bench.now += 250 * MS
        bench.recovery.on_timers(bench.now)
        assert bench.subflows[A].controller.ssthresh == ssthresh
        assert bench.windows() == [1]
        assert bench.lost == [(0, 1), (50, 100)]
        assert bench.subflows[A].space == MSS  # not what the interrupted recovery would admit

    def test_the_user_timeout_makes_a_path_defective(self) -> None:
        bench = Bench(50, 50, config=Config(user_timeout_ns=10 * SECOND))
        bench.pings.send(bench.now, bench.subflows[B])
        assert bench.recovery.deadline(bench.now) == bench.now + 10 * SECOND
        bench.wait(9999)
        assert bench.recovery.on_timers(bench.now)
        assert bench.subflows[B].usable
        bench.wait(1)
        assert bench.recovery.on_timers(bench.now)
        assert bench.subflows[B].state is PathState.DEFECTIVE
        assert bench.of(PathDefective) == [PathDefective(B)]
        assert bench.recovery.deadline(bench.now) is None

    def test_all_defective_is_the_end(self) -> None:
        bench = Bench(50, 50, config=Config(user_timeout_ns=10 * SECOND))
        for subflow in bench.subflows:
            bench.pings.send(bench.now, subflow)
        bench.wait(10_000)
        assert not bench.recovery.on_timers(bench.now)
        assert bench.of(PathDefective) == [PathDefective(A), PathDefective(B)]
        assert not bench.recovery.on_timers(bench.now)
        assert len(bench.of(PathDefective)) == 2

    def test_an_answer_starts_the_user_timeout_anew(self) -> None:
        bench = Bench(50, config=Config(user_timeout_ns=10 * SECOND))
        bench.send(A, 2)
        bench.wait(9000)
        bench.ack(1)
        bench.wait(9000)
        assert bench.recovery.on_timers(bench.now)
        bench.wait(1000)
        assert not bench.recovery.on_timers(bench.now)

    def test_nothing_due_nothing_done(self) -> None:
        bench = Bench(50, 50)
        assert bench.recovery.deadline(bench.now) is None
        assert bench.recovery.on_timers(bench.now)
        assert bench.events == []

    def test_the_deadline_is_the_earliest_of_all(self) -> None:
        bench = Bench(50, 200)
        bench.send(B, 2)
        silence_at = bench.recovery.deadline(bench.now)
        assert silence_at == bench.now + 250 * MS  # 1.25·SRTT; its RTO is 400 ms
        bench.send(A, 2)
        assert bench.recovery.deadline(bench.now) == bench.now + 65 * MS
        bench.wait(80)
        bench.silence.check(bench.now)  # A's probe was taken: its RTO is left
        assert bench.recovery.deadline(bench.now) == bench.now + 170 * MS
