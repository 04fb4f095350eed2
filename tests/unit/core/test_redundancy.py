"""What each path sends next where every path is to carry everything."""

from __future__ import annotations

import pytest

from omtcp.core.ledger import Ledger
from omtcp.core.redundancy import COPY, Redundancy
from omtcp.core.scoreboard import Scoreboard

from .sending import MSS, SECOND, make_subflow

MS = 1_000_000
START = 10 * SECOND


class Rig:
    """Two paths of 20 ms and a far one of 100 ms; stamps change where `boundary` says."""

    def __init__(self) -> None:
        self.paths = [make_subflow(i, rtt_ms=rtt) for i, rtt in enumerate((20, 20, 100))]
        self.board = Scoreboard()
        self.ledger = Ledger()
        self.boundary = 1 << 60
        self.redundancy = Redundancy(self.board, self.ledger, self.paths, self._alike)

    def _alike(self, start: int) -> int | None:
        return self.boundary if start < self.boundary < 1 << 60 else None

    def send(self, path: int, start: int, end: int, *, at: int = 0) -> str:
        return self.redundancy.send(START + at * MS, self.paths[path], start, end)

    def run(self, path: int, *, at: int = 0) -> tuple[int, int]:
        return self.redundancy.run(START + at * MS, self.paths[path])


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_others_have_under_way_is_repeated_once(rig: Rig) -> None:
    assert rig.send(0, 0, 3 * MSS) == ""
    assert rig.run(1) == (0, 3 * MSS)
    assert rig.send(1, 0, 2 * MSS) == COPY
    assert rig.run(1) == (2 * MSS, 3 * MSS)
    assert rig.run(0) == (3 * MSS, 3 * MSS)


def test_copies_and_new_data_may_leave_together(rig: Rig) -> None:
    rig.send(0, 0, MSS)
    assert rig.redundancy.takes_more(*rig.run(1))
    assert rig.send(1, 0, 3 * MSS) == COPY
    assert rig.board.nxt == 3 * MSS
    assert rig.run(0) == (MSS, 3 * MSS)
    assert rig.paths[1].in_flight == 3 * MSS


def test_but_not_where_the_timestamp_changes(rig: Rig) -> None:
    rig.send(0, 0, 3 * MSS)
    rig.boundary = 2 * MSS
    assert rig.run(1) == (0, 2 * MSS)
    assert not rig.redundancy.takes_more(*rig.run(1))
    rig.send(1, 0, 2 * MSS)
    assert rig.redundancy.takes_more(*rig.run(1))


def test_what_has_arrived_is_passed_over(rig: Rig) -> None:
    rig.send(0, 0, 5 * MSS)
    rig.board.acknowledge(MSS, [(2 * MSS, 3 * MSS)])
    assert rig.run(1) == (MSS, 2 * MSS)
    rig.send(1, MSS, 2 * MSS)
    assert rig.run(1) == (3 * MSS, 5 * MSS)


def test_a_copy_that_comes_late_waits_until_nothing_is_better(rig: Rig) -> None:
    rig.send(0, 0, 2 * MSS)
    assert rig.run(2) == (2 * MSS, 2 * MSS)
    assert rig.redundancy.left_out(rig.paths[2]) == (0, 2 * MSS)
    assert rig.run(1, at=9) == (0, 2 * MSS)


def test_what_everybody_waits_for_comes_first_once_it_is_overdue(rig: Rig) -> None:
    rig.send(0, 0, 2 * MSS)
    rig.send(1, 0, MSS, at=1)
    assert rig.run(2, at=20) == (2 * MSS, 2 * MSS)
    assert rig.run(2, at=30) == (0, 2 * MSS)


def test_what_a_path_lost_it_may_send_again(rig: Rig) -> None:
    rig.send(0, 0, MSS)
    rig.send(1, 0, MSS)
    assert rig.redundancy.left_out(rig.paths[1]) == (MSS, MSS)
    rig.ledger.lose(rig.paths[1].sends[0], 0, MSS)
    assert rig.redundancy.left_out(rig.paths[1]) == (0, MSS)


class TestLost:
    def lose(self, rig: Rig) -> None:
        rig.board.lose(rig.paths[0].sends[0], 2 * MSS, "fast")

    def spare(self, rig: Rig, *, at: int) -> list[tuple[int, int]]:
        rig.redundancy.spare(START + at * MS)
        return [(start, end) for start, end, _ in rig.board.lost]

    def test_a_copy_about_to_arrive_takes_its_place(self, rig: Rig) -> None:
        rig.send(0, 0, 2 * MSS)
        rig.send(1, 0, MSS)
        self.lose(rig)
        assert self.spare(rig, at=10) == [(MSS, 2 * MSS)]
        assert not rig.ledger
        assert [send.subflow.index for _, _, send in rig.board.flights] == [1]

    def test_not_one_that_is_overdue(self, rig: Rig) -> None:
        rig.send(0, 0, MSS)
        rig.send(1, 0, MSS)
        self.lose(rig)
        assert self.spare(rig, at=23) == [(0, MSS)]

    def test_nor_one_that_a_repetition_would_overtake(self, rig: Rig) -> None:
        rig.send(0, 0, MSS)
        rig.send(2, 0, MSS)
        self.lose(rig)
        assert self.spare(rig, at=10) == [(0, MSS)]

    def test_it_goes_where_nobody_waits_for_a_copy(self, rig: Rig) -> None:
        rig.send(0, 0, MSS)
        rig.send(2, 0, MSS)
        self.lose(rig)
        carriers = rig.redundancy.carriers(START + 10 * MS, 0)
        assert [subflow.index for subflow in carriers] == [0, 1]

    def test_the_others_repeat_it_too(self, rig: Rig) -> None:
        rig.send(0, 0, 2 * MSS)
        self.lose(rig)
        assert rig.run(1) == (2 * MSS, 2 * MSS)
        taken = rig.board.take_lost(MSS, 1 << 60)
        assert taken is not None
        rig.board.record(rig.paths[0].send(START, *taken))
        rig.redundancy.on_repeated(rig.paths[0], 0)
        assert rig.run(1) == (0, MSS)


class TestSizes:
    def test_each_path_has_its_own_while_it_lasts(self, rig: Rig) -> None:
        assert [subflow.mss for subflow in rig.paths] == [1000, 995, 990]
        rig.redundancy.end()
        assert [subflow.mss for subflow in rig.paths] == [1000, 1000, 1000]

    def test_a_size_that_the_network_asked_for_stays(self, rig: Rig) -> None:
        rig.paths[1].resize(500)
        rig.redundancy.end()
        assert rig.paths[1].mss == 500

    def test_paths_that_differ_need_none(self, rig: Rig) -> None:
        rig.redundancy.end()
        rig.paths[1].resize(900)
        again = Redundancy(rig.board, rig.ledger, rig.paths, lambda _: None)
        assert [subflow.mss for subflow in rig.paths] == [1000, 900, 995]
        again.end()
        assert [subflow.mss for subflow in rig.paths] == [1000, 900, 1000]

    def test_paths_come_and_go(self, rig: Rig) -> None:
        rig.send(0, 0, MSS)
        del rig.paths[1]
        rig.paths.append(make_subflow(3, rtt_ms=20))
        rig.redundancy.follow()
        assert [subflow.mss for subflow in rig.paths] == [1000, 990, 995]
        assert rig.run(2) == (MSS, MSS)
        assert rig.redundancy.left_out(rig.paths[2]) == (0, MSS)
