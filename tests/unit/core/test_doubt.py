"""Paths in doubt: little is overdue, which may be loss or the beginning of an outage."""

from __future__ import annotations

from omtcp.core.losses import Kind
from omtcp.core.subflow import PathState
from omtcp.trace.events import PathCleared, PathProbing, PathRestored, PathSuspect, WindowChanged

from .sending import MS, MSS, Bench

A, B = 0, 1


def doubted(*, later: int = 2) -> Bench:
    """Two segments of A are overdue while B answers; `later` more were sent 40 ms after them."""
    bench = Bench(50, 50)
    bench.send(A, 2)
    bench.wait(40)
    if later:
        bench.send(A, later)
    bench.send(B, 5)
    bench.wait(25)
    bench.subflows[B].hear(bench.now, bench.now)
    assert bench.silence.check(bench.now) == [bench.subflows[A]]
    return bench


class TestBegin:
    def test_what_is_overdue_moves_and_the_rest_may_still_arrive(self) -> None:
        bench = doubted()
        a = bench.subflows[A]
        assert a.state is PathState.PROBING
        assert not a.usable
        assert bench.lost == [(0, 2)]
        assert bench.board.lost.values[0].lost_by == Kind.SUSPECT
        assert a.in_flight == 2 * MSS
        assert bench.of(PathProbing) == [PathProbing(A, 65 * MS)]
        assert bench.of(PathSuspect) == []

    def test_it_is_asked_at_once(self) -> None:
        bench = doubted()
        assert bench.pings.due(bench.now, busy=True) is bench.subflows[A]

    def test_four_segments_overdue_are_no_doubt_any_more(self) -> None:
        bench = Bench(50, 50)
        bench.send(A, 4)
        bench.wait(65)
        bench.subflows[B].hear(bench.now, bench.now)
        bench.silence.check(bench.now)
        assert bench.of(PathProbing) == []
        assert bench.of(PathSuspect) == [PathSuspect(A, 65 * MS)]

    def test_what_is_not_yet_due_is_no_evidence(self) -> None:
        assert doubted(later=30).subflows[A].state is PathState.PROBING


class TestEnd:
    def test_more_that_falls_due_makes_it_suspect_and_moves_everything(self) -> None:
        bench = doubted(later=2)
        a = bench.subflows[A]
        bench.send(B, 1)
        assert bench.recovery.deadline(bench.now) == bench.now + 40 * MS
        bench.wait(39)
        bench.silence.check(bench.now)
        assert a.state is PathState.PROBING
        bench.wait(1)
        bench.silence.check(bench.now)
        assert len(bench.of(PathSuspect)) == 1
        assert bench.lost == [(0, 2), (2, 4)]

    def test_so_do_pings_without_an_answer(self) -> None:
        bench = doubted(later=0)
        a = bench.subflows[A]
        bench.pings.send(bench.now, a)
        bench.wait(50)
        bench.silence.check(bench.now)
        bench.pings.send(bench.now, a)
        bench.wait(64)
        bench.silence.check(bench.now)
        assert a.state is PathState.PROBING
        assert bench.silence.deadline(a) == bench.now + MS
        bench.wait(1)
        bench.silence.check(bench.now)
        assert len(bench.of(PathSuspect)) == 1

    def test_what_it_alone_carried_since_speaks_for_it(self) -> None:
        """Two segments were lost, and no more: one congestion event."""
        bench = doubted()
        a = bench.subflows[A]
        bench.wait(20)
        bench.sack((2, 4))
        assert a.state is PathState.ACTIVE
        assert bench.of(PathCleared) == [PathCleared(A)]
        assert bench.of(PathRestored) == []
        assert [event.path for event in bench.of(WindowChanged)] == [A]
        assert bench.lost == [(0, 2)]

    def test_and_what_else_that_flight_lost_belongs_to_the_same_event(self) -> None:
        bench = doubted(later=10)
        bench.wait(20)
        bench.sack((2, 3))
        bench.sack((2, 3), (6, 12))
        assert bench.lost == [(0, 2), (3, 6)]
        assert len(bench.of(WindowChanged)) == 1

    def test_an_answer_to_the_moved_bytes_says_nothing(self) -> None:
        """Nobody knows which copy it means."""
        bench = doubted()
        bench.resend(B)
        bench.wait(50)
        bench.ack(2)
        assert bench.subflows[A].state is PathState.PROBING

    def test_all_of_it_arrived_after_all(self) -> None:
        bench = doubted(later=0)
        a = bench.subflows[A]
        bench.ack(2)
        assert a.state is PathState.PROBING
        bench.silence.restore(bench.now, a)
        assert bench.windows() == [100, 100]
        assert bench.of(PathCleared) == [PathCleared(A)]

    def test_a_second_doubt_starts_from_nothing(self) -> None:
        bench = doubted(later=0)
        a = bench.subflows[A]
        bench.silence.restore(bench.now, a)
        bench.send(A, 3)
        bench.wait(120)
        bench.subflows[B].hear(bench.now, bench.now)
        bench.silence.check(bench.now)
        assert a.state is PathState.PROBING
