"""RACK (RFC 8985): the reordering window, what is lost by it, and what widens it."""

from __future__ import annotations

import pytest

from omtcp.core.config import Config, LossRule

from .sending import MS, MSS, Bench

A, B = 0, 1
QUARTER = 10 * MS
"""Of a round trip of 40 ms."""


def reordered(bench: Bench) -> Bench:
    """Path A delivers one segment late: it is known to reorder from then on."""
    bench.send(A, 2)
    bench.wait(40)
    bench.sack((1, 2))
    bench.wait(1)
    bench.ack(2)
    assert bench.subflows[A].rack.reordering_seen
    assert bench.lost == []
    return bench


class TestWindow:
    """Section 6.2, step 4."""

    def test_none_once_enough_arrived_above_a_hole(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 3))
        assert bench.lost == []
        assert bench.recovery.deadline(bench.now) == bench.now + QUARTER
        bench.sack((1, 3.1))
        assert bench.lost == [(0, 1)]

    def test_none_during_a_recovery(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 4))
        bench.sack((1, 4), (5, 6))
        assert bench.lost == [(0, 1), (4, 5)]

    def test_a_path_that_reorders_is_always_given_its_quarter(self) -> None:
        bench = reordered(Bench(40, 40))
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((3, 12))
        assert bench.lost == []
        assert bench.recovery.deadline(bench.now) == bench.now + QUARTER
        bench.wait(10)
        bench.recovery.on_timers(bench.now)
        assert bench.lost == [(2, 3)]

    def test_the_other_path_s_reordering_is_its_own(self) -> None:
        bench = reordered(Bench(40, 40))
        bench.send(B, 10)
        bench.wait(40)
        bench.sack((3, 12))
        assert bench.lost == [(2, 3)]

    def test_grows_by_a_quarter_per_round_trip_with_a_dsack(self) -> None:
        bench = reordered(Bench(40, 40))
        a = bench.subflows[A]
        for quarters in (2, 3, 4):
            bench.send(A, 2)
            a.rack.on_dsack(a)
            a.rack.on_dsack(a)  # in the same round trip
            assert a.rack.window_ns(a) == quarters * QUARTER
            bench.wait(40)
            bench.ack(2 * quarters)
        for _ in range(3):
            bench.send(A, 2)
            a.rack.on_dsack(a)
            bench.wait(40)
            bench.ack(bench.board.nxt / MSS)
        assert a.rack.window_ns(a) == a.rtt.srtt_ns  # and no further

    def test_shrinks_after_sixteen_recoveries_without_one(self) -> None:
        bench = reordered(Bench(40, 40))
        a = bench.subflows[A]
        a.rack.on_dsack(a)
        for _ in range(15):
            a.rack.on_recovery_end()
        assert a.rack.window_ns(a) == 2 * QUARTER
        a.rack.on_recovery_end()
        assert a.rack.window_ns(a) == QUARTER

    def test_a_recovery_ends_when_what_it_concerned_is_settled(self) -> None:
        bench = Bench(40, 40)
        a = bench.subflows[A]
        a.rack.on_dsack(a)
        for _ in range(16):
            first = bench.board.nxt // MSS
            bench.send(A, 10)
            bench.wait(40)
            bench.sack((first + 1, first + 10))
            bench.resend(A)
            bench.wait(40)
            bench.ack(first + 10)
            assert not a.in_recovery
        bench.send(A, 2)
        assert a.rack.window_ns(a) == QUARTER


class TestReordering:
    """Section 6.2, step 3."""

    def test_one_acknowledgment_s_ranges_have_no_order(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((8, 9), (3, 5))
        assert not bench.subflows[A].rack.reordering_seen

    def test_between_paths_is_none(self) -> None:
        bench = Bench(40, 40)
        for _ in range(5):
            bench.send(A)
            bench.send(B)
        bench.wait(40)
        bench.sack((1, 2), (3, 4))
        bench.wait(5)
        bench.ack(4)
        assert not any(subflow.rack.reordering_seen for subflow in bench.subflows)

    def test_a_retransmission_that_fills_a_hole_is_none(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 10))
        bench.resend(A)
        bench.wait(40)
        bench.ack(10)
        assert not bench.subflows[A].rack.reordering_seen

    def test_what_was_lost_too_early_shows_it(self) -> None:
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 10))
        assert bench.lost == [(0, 1)]
        bench.wait(1)
        bench.ack(10)
        assert bench.subflows[A].rack.reordering_seen


class TestLostAgain:
    @pytest.mark.parametrize("carrier", [A, B])
    def test_a_retransmission_lost_is_found_on_the_path_that_carried_it(self, carrier: int) -> None:
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 10))
        bench.resend(carrier)
        bench.wait(1)
        bench.send(carrier, 4)
        bench.wait(40)
        bench.sack((1, 14))
        assert bench.lost == [(0, 1)]
        assert bench.subflows[carrier].in_flight == 0

    def test_an_answer_to_the_first_copy_is_no_measure_for_the_second(self) -> None:
        """Section 6.2, step 2: the retransmission cannot have been answered within 5 ms."""
        bench = Bench(40, 40)
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 10))
        bench.resend(A)
        bench.wait(35)
        bench.ack(10)
        assert bench.subflows[A].rack.rtt_ns == 40 * MS


class TestLiteral:
    """The paper's P3 and nothing else."""

    def test_time_alone_loses_nothing(self) -> None:
        bench = Bench(40, 40, config=Config(recovery=LossRule.LITERAL))
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((1, 3))
        bench.wait(150)
        bench.recovery.on_timers(bench.now)
        bench.recovery.detect_losses(bench.now, bench.subflows[A])
        assert bench.lost == []

    def test_more_than_two_segments_do_whatever_the_path_has_shown(self) -> None:
        bench = reordered(Bench(40, 40, config=Config(recovery=LossRule.LITERAL)))
        bench.send(A, 10)
        bench.wait(40)
        bench.sack((3, 5.1))
        assert bench.lost == [(2, 3)]
