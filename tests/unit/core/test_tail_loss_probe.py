"""Tail loss probes (RFC 8985 section 7): where they go, and what the path that lost pays."""

from __future__ import annotations

from omtcp.core.losses import Kind
from omtcp.trace.events import WindowChanged

from .sending import MSS, Bench

A, B = 0, 1


def probed(*, carrier: int = B) -> Bench:
    """A's last segments find no answer; the first of them goes over B, or the last over A."""
    bench = Bench(40, 40) if carrier == B else Bench(40)
    bench.send(A, 3)
    bench.wait(95)
    bench.silence.check(bench.now)
    assert bench.lost == ([(0, 1)] if carrier == B else [(2, 3)])
    assert bench.board.lost.values[0].lost_by == Kind.PROBE
    bench.resend(carrier)
    return bench


class TestOverAnotherPath:
    def test_a_loss_it_repairs_costs_the_path_that_lost(self) -> None:
        """Section 7.4.2; P11: and no other."""
        bench = probed()
        bench.wait(1)
        bench.send(B, 1)
        bench.wait(39)
        bench.ack(1)
        assert bench.windows() == [100, 100]  # a DSACK may still follow
        bench.wait(1)
        bench.sack((3, 4))
        assert bench.windows() == [2, 100]
        assert [event.path for event in bench.of(WindowChanged)] == [A]

    def test_both_copies_arrived_nothing_was_lost(self) -> None:
        bench = probed()
        bench.wait(1)
        bench.send(B, 1)
        bench.wait(39)
        bench.ack(1)
        bench.recovery.on_dsack(0, MSS)
        bench.sack((3, 4))
        assert bench.windows() == [100, 100]

    def test_a_late_dsack_takes_the_reduction_back(self) -> None:
        bench = probed()
        bench.wait(1)
        bench.send(B, 1)
        bench.wait(39)
        bench.sack((3, 4), ack=1)
        bench.wait(10)
        bench.sack((3, 4))
        bench.send(B, 1)
        bench.wait(40)
        bench.sack((3, 5))
        assert bench.windows() == [2, 100]
        bench.recovery.on_dsack(0, MSS)
        assert bench.windows() == [100, 100]

    def test_a_loss_already_paid_for_is_not_paid_twice(self) -> None:
        bench = probed()
        bench.wait(1)
        bench.send(B, 1)
        bench.wait(39)
        bench.sack((2, 3), ack=1)  # A's own order: its second segment is lost
        bench.wait(35)
        bench.recovery.on_timers(bench.now)
        assert bench.windows() == [2, 100]
        bench.sack((3, 4))
        assert bench.windows() == [2, 100]

    def test_the_hole_it_left_holds_nothing_up(self) -> None:
        """The path's own order never sees these positions: recovery must end without them."""
        bench = probed()
        bench.wait(1)
        bench.send(B, 1)
        bench.wait(39)
        bench.ack(1)
        bench.wait(1)
        bench.sack((3, 4))
        a = bench.subflows[A]
        assert a.in_recovery
        bench.ack(4)
        assert not a.in_recovery


class TestOverTheSamePath:
    def test_its_answer_shows_what_was_lost_before(self) -> None:
        bench = probed(carrier=A)
        bench.wait(40)
        bench.sack((2, 3))
        bench.wait(10)
        bench.recovery.on_timers(bench.now)
        assert bench.lost == [(0, 2)]
        assert bench.windows() == [2]

    def test_the_last_alone_was_lost(self) -> None:
        bench = Bench(40)
        a = bench.subflows[A]
        bench.send(A, 3)
        bench.wait(40)
        bench.ack(2)
        bench.wait(150)
        bench.silence.check(bench.now)
        assert bench.lost == [(2, 3)]
        bench.resend(A)
        bench.wait(40)
        bench.ack(3)
        bench.send(A, 1)
        bench.wait(40)
        bench.ack(4)
        assert bench.windows() == [2]
        assert not a.in_recovery

    def test_not_beside_a_timeout(self) -> None:
        bench = Bench(40)
        bench.send(A, 3)
        bench.subflows[A].timeouts = 1
        bench.wait(200)
        bench.silence.check(bench.now)
        assert bench.lost == []

    def test_the_hole_of_a_probe_that_was_lost_is_forgotten_in_time(self) -> None:
        bench = probed(carrier=A)
        a = bench.subflows[A]
        bench.wait(240)
        bench.recovery.on_timers(bench.now)
        bench.resend(A)
        bench.wait(40)
        bench.ack(3)
        bench.send(A, 3)
        bench.wait(40)
        bench.ack(6)
        assert (a.order.edge, list(a.order.islands), a.in_recovery) == (a.position, [], False)
        assert a.rto_at is None
