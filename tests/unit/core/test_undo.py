"""What was taken for lost and was not (RFC 3708, RFC 2883): which path gets its window back."""

from __future__ import annotations

from omtcp.core.undo import REMEMBERED
from omtcp.trace.events import WindowChanged

from .sending import MS, MSS, Bench

A, B = 0, 1


def lost_and_resent(bench: Bench, carrier: int) -> None:
    """Two holes of A's ten segments are filled over `carrier`; A's window is cut."""
    bench.send(A, 10)
    bench.wait(40)
    bench.sack((1, 4), (5, 10))
    assert bench.lost == [(0, 1), (4, 5)]
    for _ in range(2):
        bench.resend(carrier, 1)
    bench.wait(40)
    bench.ack(10)
    assert bench.windows()[A] == 5


def dsack(bench: Bench, start: float, end: float) -> None:
    bench.recovery.on_dsack(int(start * MSS), int(end * MSS))


class TestDsack:
    def test_all_copies_needless_gives_the_window_back(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, A)
        dsack(bench, 0, 1)
        assert bench.windows() == [5, 100]
        dsack(bench, 4, 5)
        assert bench.windows() == [100, 100]
        assert bench.of(WindowChanged)[-1].reason == "undo"

    def test_of_the_path_that_was_wronged_not_of_the_one_that_carried(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, B)
        dsack(bench, 0, 1)
        dsack(bench, 4, 5)
        assert bench.windows() == [100, 100]
        assert bench.of(WindowChanged)[-1] == WindowChanged(A, 100 * MSS, 100 * MSS, "undo")

    def test_one_of_two_is_not_enough(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, B)
        dsack(bench, 4, 5)
        dsack(bench, 4, 5)  # the network may duplicate what it likes
        assert bench.windows() == [5, 100]

    def test_in_pieces(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, B)
        for start in (0, 0.5, 4, 4.5):
            dsack(bench, start, start + 0.5)
        assert bench.windows() == [100, 100]

    def test_of_what_was_never_repeated_says_nothing(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, B)
        dsack(bench, 1, 4)
        dsack(bench, 5, 10)
        assert bench.windows() == [5, 100]

    def test_of_a_segment_sent_three_times_proves_nothing(self) -> None:
        """Which of the copies was needless it does not say (RFC 3708 section 2)."""
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 10))
        bench.resend(B)
        bench.send(B, 4)
        bench.wait(40)
        bench.sack((1, 14))
        assert bench.lost == [(0, 1)]
        bench.resend(B)
        bench.wait(40)
        bench.ack(14)
        before = bench.windows()
        dsack(bench, 0, 1)
        assert bench.windows() == before

    def test_an_older_reduction_stays(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, A)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((11, 20))
        again = bench.windows()[A]
        assert again < 5
        dsack(bench, 0, 1)
        dsack(bench, 4, 5)
        assert bench.windows()[A] == again

    def test_widens_the_reordering_window_of_the_path_that_was_wronged(self) -> None:
        bench = Bench(40, 40)
        lost_and_resent(bench, B)
        dsack(bench, 0, 1)
        a, b = bench.subflows
        assert (a.rack.window_ns(a), b.rack.window_ns(b)) == (20 * MS, 10 * MS)

    def test_a_needless_move_from_a_silent_path_does_not(self) -> None:
        """It was not too little patience with reordering that moved it."""
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(80)
        bench.subflows[B].hear(bench.now, bench.now)
        bench.silence.check(bench.now)
        bench.resend(B)
        bench.wait(40)
        bench.ack(10)
        dsack(bench, 0, 10)
        a = bench.subflows[A]
        assert a.rack.window_ns(a) == 10 * MS

    def test_after_a_restoration_gives_back_what_that_took(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 40)
        bench.wait(80)
        bench.subflows[B].hear(bench.now, bench.now)
        bench.silence.check(bench.now)
        bench.resend(B)
        bench.silence.restore(bench.now, bench.subflows[A])
        assert bench.windows() == [20, 100]
        dsack(bench, 0, 40)
        assert bench.windows() == [100, 100]

    def test_of_a_timeout_s_copies_too(self) -> None:
        bench = Bench(40)
        bench.send(A, 4)
        bench.wait(240)
        bench.recovery.on_timers(bench.now)
        assert bench.windows() == [1]
        bench.resend(A)
        bench.wait(40)
        bench.ack(4)
        dsack(bench, 0, 4)
        assert bench.windows() == [100]

    def test_memory_is_bounded(self) -> None:
        bench = Bench(40, 40)
        a = bench.subflows[A]
        undo = bench.recovery.losses.undo
        for place in range(4 * REMEMBERED):
            undo.on_lost(a, 2 * place, 2 * place + 1, by_order=True)
            assert len(undo._taken) <= REMEMBERED
        lost = a.episode.lost
        undo.on_dsack(2 * place, 2 * place + 1)  # the newest is among what is remembered
        assert a.episode.lost == lost - 1
