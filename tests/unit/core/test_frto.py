"""F-RTO (RFC 5682): two acknowledgments after a timeout tell whether it had a reason."""

from __future__ import annotations

from omtcp.trace.events import LossDetected, WindowChanged

from .sending import MS, MSS, Bench

A, B = 0, 1


def timed_out(*, new_data: bool = True) -> Bench:
    """Ten segments are out and the timer expires."""
    bench = Bench(40)
    bench.recovery.has_new_data = lambda: new_data
    bench.send(A, 10)
    bench.wait(240)
    bench.recovery.on_timers(bench.now)
    assert bench.windows() == [1]
    return bench


def test_only_the_first_segment_goes_out_again() -> None:
    bench = timed_out()
    a = bench.subflows[A]
    assert bench.lost == [(0, 1)]
    assert bench.of(LossDetected) == [LossDetected(A, 0, MSS, "timeout")]
    assert (a.in_flight, a.space) == (9 * MSS, MSS)
    bench.resend(A)
    assert a.space == 0
    assert a.rto_at == bench.now + 480 * MS


def test_without_new_data_everything_does() -> None:
    """New data is what tells late from lost."""
    assert timed_out(new_data=False).lost == [(0, 10)]


def test_late_data_that_goes_on_arriving_was_never_lost() -> None:
    bench = timed_out()
    a = bench.subflows[A]
    bench.resend(A)
    bench.wait(35)
    bench.ack(1)
    assert a.space == 2 * MSS  # of new data
    bench.send(A, 2)
    assert a.space <= 0
    bench.wait(1)
    bench.ack(3)
    assert bench.windows() == [100]
    assert bench.of(WindowChanged)[-1].reason == "undo"
    assert (bench.lost, a.timeouts, a.in_recovery) == ([], 0, False)
    assert a.in_flight == 9 * MSS
    bench.wait(40)
    bench.ack(12)
    assert a.in_flight == 0


def test_new_data_that_overtakes_the_rest_means_it_is_lost() -> None:
    bench = timed_out()
    a = bench.subflows[A]
    bench.resend(A)
    bench.wait(40)
    bench.ack(1)
    bench.send(A, 2)
    bench.wait(40)
    bench.sack((10, 12))
    assert bench.lost == [(1, 10)]
    assert bench.windows()[A] < 5
    assert (a.in_flight, a.owed) == (0, 0)
    bench.resend(A)
    bench.wait(40)
    bench.ack(12)
    assert a.in_flight == 0


def test_data_that_overtakes_the_first_segment_means_the_same() -> None:
    """Step 2a: a duplicate ACK with news."""
    bench = timed_out()
    bench.resend(A)
    bench.wait(40)
    bench.sack((5, 6))
    assert bench.lost == [(1, 5), (6, 10)]


def test_new_data_gone_meanwhile_means_the_same() -> None:
    bench = timed_out()
    bench.resend(A)
    bench.wait(40)
    bench.recovery.has_new_data = lambda: False
    bench.ack(1)
    assert bench.lost == [(1, 10)]


def test_an_answer_to_everything_leaves_nothing_to_decide() -> None:
    bench = timed_out()
    a = bench.subflows[A]
    bench.resend(A)
    bench.wait(40)
    bench.ack(10)
    assert not a.frto.active
    assert bench.windows()[A] < 5


def test_a_second_timeout_takes_everything() -> None:
    bench = timed_out()
    a = bench.subflows[A]
    bench.resend(A)
    bench.wait(480)
    bench.recovery.on_timers(bench.now)
    assert bench.lost == [(0, 1), (1, 10)]
    assert not a.frto.active
    assert a.timeouts == 2


def test_nor_is_one_within_a_recovery_doubted() -> None:
    bench = Bench(40)
    bench.recovery.has_new_data = lambda: True
    bench.send(A, 10)
    bench.wait(40)
    bench.sack((1, 5))
    bench.resend(A)
    bench.wait(240)
    bench.recovery.on_timers(bench.now)
    assert bench.lost == [(0, 1), (5, 10)]


def test_other_paths_answers_decide_nothing() -> None:
    bench = Bench(40, 40)
    bench.recovery.has_new_data = lambda: True
    bench.send(A, 4)
    bench.wait(239)
    bench.send(B, 2)
    bench.wait(1)
    bench.recovery.on_timers(bench.now)
    assert bench.lost == [(0, 1)]
    bench.wait(40)
    bench.sack((4, 6))
    assert bench.subflows[A].frto.active
    assert bench.lost == [(0, 1)]
