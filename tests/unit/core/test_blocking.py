"""What a path costs by keeping the receive window full, against what it brings."""

from __future__ import annotations

from omtcp.core.blocking import OUT_FIRST_NS, Blocking

from .sending import MS, MSS, SECOND, Bench

A, B = 0, 1
RATE = 1_000_000
"""Bytes per second that A, the best path, could send: a segment a millisecond."""


class Rig:
    """A is the best path, B the other one."""

    def __init__(self) -> None:
        self.bench = Bench(100, 20)
        self.blocking = Blocking(self.bench.board)
        self.bench.subflows[B].delivered = 1

    def wait_for(self, path: int, ms: float, *, segments: int = 1) -> None:
        """The window is full; what `path` carries at the left edge comes after `ms`."""
        bench = self.bench
        bench.send(path, segments)
        bench.send(A, 10)
        self.blocking.on_window_full(bench.now)
        bench.wait(ms)
        bench.ack(bench.board.una // MSS + segments)
        self.settle()
        bench.ack(bench.board.nxt // MSS)

    def settle(self) -> None:
        if self.blocking.over:
            self.blocking.settle(self.bench.now, self.bench.subflows[A], RATE)

    @property
    def out(self) -> bool:
        """Whether B is left out."""
        return self.bench.now < self.bench.subflows[B].out_until

    def ruin(self) -> None:
        """B costs so much that it is left out."""
        self.wait_for(B, 60)
        assert self.out


def test_a_path_that_costs_more_than_it_brings_is_left_out() -> None:
    rig = Rig()
    rig.wait_for(B, 30)
    assert not rig.out
    rig.wait_for(B, 30)
    assert rig.out
    assert rig.bench.subflows[B].out_until == rig.bench.now + OUT_FIRST_NS


def test_a_path_that_brings_more_stays() -> None:
    rig = Rig()
    for _ in range(20):
        rig.wait_for(B, 30, segments=31)
    assert not rig.out


def test_what_was_saved_up_is_bounded() -> None:
    rig = Rig()
    rig.bench.send(B, 10_000)
    rig.bench.ack(10_000)
    rig.wait_for(B, 1)
    rig.wait_for(B, 300)
    assert rig.out


def test_the_best_path_costs_nothing() -> None:
    rig = Rig()
    for _ in range(5):
        rig.wait_for(A, 100)
    assert not any(subflow.out_until for subflow in rig.bench.subflows)


def test_nor_does_a_path_that_never_delivered() -> None:
    rig = Rig()
    bench = rig.bench
    bench.subflows[B].delivered = 0
    send = bench.send(B)
    bench.send(A, 10)
    rig.blocking.on_window_full(bench.now)
    bench.wait(100)
    bench.board.lose(send, send.end, "silence")
    bench.resend(A)
    bench.wait(100)
    bench.ack(11)
    rig.settle()
    assert not rig.out


def test_a_selective_acknowledgment_does_not_end_the_wait() -> None:
    rig = Rig()
    bench = rig.bench
    bench.send(B)
    bench.send(A, 10)
    rig.blocking.on_window_full(bench.now)
    bench.wait(30)
    bench.sack((1, 5))
    assert not rig.blocking.over
    rig.blocking.on_window_full(bench.now)
    bench.wait(30)
    bench.ack(11)
    rig.settle()
    assert rig.out


def test_who_lost_pays_whoever_repeats() -> None:
    rig = Rig()
    bench = rig.bench
    bench.send(B)
    bench.send(B, 10)
    bench.wait(20)
    bench.sack((1, 11))
    assert bench.lost == [(0, 1)]
    bench.resend(A)
    rig.blocking.on_window_full(bench.now)
    bench.wait(100)
    bench.ack(11)
    rig.settle()
    assert rig.out


def test_it_is_left_out_for_longer_each_time() -> None:
    rig = Rig()
    for expected in (OUT_FIRST_NS, 2 * OUT_FIRST_NS, 4 * OUT_FIRST_NS):
        rig.ruin()
        assert rig.bench.subflows[B].out_until - rig.bench.now == expected
        rig.bench.now = rig.bench.subflows[B].out_until


def test_unless_it_did_well_for_long() -> None:
    rig = Rig()
    rig.ruin()
    rig.bench.now = rig.bench.subflows[B].out_until + 60 * SECOND
    rig.ruin()
    assert rig.bench.subflows[B].out_until - rig.bench.now == OUT_FIRST_NS


def test_a_window_that_grows_makes_a_new_beginning() -> None:
    rig = Rig()
    rig.blocking.on_window(64_000)
    rig.ruin()
    rig.blocking.on_window(66_000)
    assert rig.out
    rig.blocking.on_window(128_000)
    assert not rig.out
    rig.wait_for(B, 35)
    assert not rig.out


def test_waits_are_measured_from_where_they_began() -> None:
    rig = Rig()
    bench = rig.bench
    bench.send(B)
    for _ in range(6):
        rig.blocking.on_window_full(bench.now)
        bench.wait(10)
        rig.settle()
    assert not rig.out
    bench.ack(1)
    rig.settle()
    assert rig.out
    assert bench.now - 10 * SECOND == 60 * MS
