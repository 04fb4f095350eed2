"""What keeps everything waiting goes out again over a faster path."""

from __future__ import annotations

import pytest

from omtcp.core.losses import Kind
from omtcp.core.reinjection import Reinjection
from omtcp.core.rtt import RttEstimator
from omtcp.core.scheduler import Refusal
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import Subflow

from .sending import MSS, SECOND, make_subflow

MS = 1_000_000
START = 10 * SECOND


class Rig:
    """A near path of 20 ms, the first, and a far one of 100 ms."""

    def __init__(self) -> None:
        self.near, self.far = make_subflow(0, rtt_ms=20), make_subflow(1, rtt_ms=100)
        self.board = Scoreboard()
        self.reinjection = Reinjection(self.board)

    def send(self, path: Subflow, segments: int, *, at: int = 0) -> None:
        nxt = self.board.nxt
        self.board.record(path.send(START + at * MS, nxt, nxt + segments * MSS))

    def move(self, at: int, *helpers: Subflow, full: bool = True) -> bool:
        return self.reinjection.move(
            START + at * MS, helpers or (self.near, self.far), window_full=full
        )

    @property
    def lost(self) -> list[tuple[int, int]]:
        return [(start // MSS, end // MSS) for start, end, _ in self.board.lost]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_a_far_path_blocks_goes_over_the_near_one(rig: Rig) -> None:
    rig.send(rig.far, 2)
    rig.send(rig.near, 3)
    assert rig.move(10)
    assert rig.lost == [(0, 2)]
    assert rig.far.in_flight == 0
    assert {send.lost_by for _, _, send in rig.board.lost} == {Kind.REINJECTED}


def test_not_over_a_near_path_with_a_slow_link(rig: Rig) -> None:
    rig.near.rate.on_sample(START, 2 * MSS, 300 * MS, 20 * MS)  # 150 ms for a segment
    rig.send(rig.far, 2)
    assert not rig.move(10)


def test_not_over_a_path_that_others_do_better_without(rig: Rig) -> None:
    rig.near.refusal = Refusal.BLOCKING
    rig.send(rig.far, 2)
    assert not rig.move(10, rig.far, rig.near)
    assert rig.move(10, rig.near, rig.far)  # the best path is no hindrance, whatever it once was


def test_not_when_it_is_about_to_arrive(rig: Rig) -> None:
    rig.send(rig.far, 2)
    assert not rig.move(80)
    assert rig.reinjection.due_at == START + 100 * MS


def test_but_when_it_is_overdue(rig: Rig) -> None:
    rig.send(rig.far, 2)
    assert rig.move(101)


def test_at_the_end_of_the_data_its_ack_may_only_be_delayed(rig: Rig) -> None:
    rig.send(rig.far, 2)
    assert not rig.move(101, full=False)
    assert rig.reinjection.due_at is None
    assert rig.move(10, full=False)


def test_a_far_helper_is_no_help_unless_it_would_be_sooner(rig: Rig) -> None:
    rig.send(rig.near, 2)
    assert not rig.move(21, rig.far)
    assert not rig.move(99, rig.far)
    assert rig.move(101, rig.far)


def test_not_over_the_path_that_has_it(rig: Rig) -> None:
    rig.send(rig.far, 2)
    assert not rig.move(500, rig.far)


def test_no_more_than_the_helper_has_room_for(rig: Rig) -> None:
    rig.send(rig.far, 5)
    rig.near.controller.cwnd = 3 * MSS
    assert rig.move(10)
    assert rig.lost == [(0, 3)]
    rig.near.controller.cwnd = 0
    assert not rig.move(10, rig.near)


def test_a_copy_is_given_more_time(rig: Rig) -> None:
    rig.send(rig.far, 1)
    assert rig.move(10)
    taken = rig.board.take_lost(MSS, 1 << 30)
    assert taken is not None
    start, end, origin = taken
    rig.board.record(rig.near.send(START + 10 * MS, start, end, origin))
    assert not rig.move(31, rig.far)


def test_however_near_its_path_seemed(rig: Rig) -> None:
    rig.send(rig.far, 1)
    assert rig.move(10)
    taken = rig.board.take_lost(MSS, 1 << 30)
    assert taken is not None
    start, end, origin = taken
    rig.near.rtt = RttEstimator()
    rig.near.rtt.on_sample(START, 1)
    rig.board.record(rig.near.send(START + 10 * MS, start, end, origin))
    rig.far.rtt = rig.near.rtt
    assert not rig.move(10, rig.far)
    assert rig.reinjection.due_at == START + 11 * MS + 1
    assert rig.move(12, rig.far)


class TestPenalty:
    def test_the_path_that_blocked_the_window_is_halved_once_a_round_trip(self, rig: Rig) -> None:
        rig.far.has_lost = True
        before = rig.far.controller.cwnd
        rig.send(rig.far, 4)
        rig.near.controller.cwnd = 2 * MSS
        assert rig.move(10)
        assert rig.far.controller.cwnd == before // 2
        assert rig.move(20) or rig.far.controller.cwnd == before // 2
        assert rig.far.controller.cwnd == before // 2

    def test_not_the_best_path(self, rig: Rig) -> None:
        rig.far.has_lost = True
        before = rig.far.controller.cwnd
        rig.send(rig.far, 1)
        assert rig.move(10, rig.far, rig.near)
        assert rig.far.controller.cwnd == before

    def test_nor_one_that_has_yet_to_show_what_it_can_do(self, rig: Rig) -> None:
        before = rig.far.controller.cwnd
        rig.send(rig.far, 1)
        assert rig.move(10)
        assert rig.far.controller.cwnd == before

    def test_nor_at_the_end_of_the_data(self, rig: Rig) -> None:
        rig.far.has_lost = True
        before = rig.far.controller.cwnd
        rig.send(rig.far, 1)
        assert rig.move(10, full=False)
        assert rig.far.controller.cwnd == before
