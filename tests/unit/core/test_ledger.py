"""Which copy of a range an answer is of, and what becomes of the others."""

from __future__ import annotations

import pytest

from omtcp.core.ledger import Ledger
from omtcp.core.scoreboard import Scoreboard, Send
from omtcp.core.subflow import Subflow

from .sending import MSS, SECOND, make_subflow

MS = 1_000_000
START = 10 * SECOND
SHORT = MSS - 8
"""Segments of the second path."""


class Rig:
    """Two paths of 20 ms and 30 ms whose segments differ; the first owns what is on the board."""

    def __init__(self) -> None:
        self.now = START
        self.near, self.far = make_subflow(0, rtt_ms=20), make_subflow(1, mss=SHORT, rtt_ms=30)
        self.board = Scoreboard()
        self.ledger = Ledger()

    def send(self, start: int, end: int) -> Send:
        """New data over the first path."""
        send = self.near.send(self.now, start, end)
        self.board.record(send)
        return send

    def copy(self, path: Subflow, start: int, end: int) -> Send:
        send = path.send(self.now, start, end)
        self.ledger.file(send, start, end)
        return send

    def ack(self, ms: int, ack: int, *blocks: tuple[int, int]) -> list[tuple[int, int, int]]:
        """After so many ms; the path, start and end of each credit."""
        self.now = START + ms * MS
        edges = {ack} | {edge for block in blocks for edge in block}
        credited = self.board.acknowledge(ack, list(blocks))
        return [
            (credit.send.subflow.index, credit.start, credit.end)
            for credit in self.ledger.attribute(self.now, credited, edges)
        ]

    def dsack(self, ms: int, start: int, end: int) -> tuple[list[int], list[tuple[int, int]]]:
        """After so many ms; the paths credited, and what is unexplained."""
        self.now = START + ms * MS
        credited, rest = self.ledger.on_dsack(self.now, start, end)
        return [credit.send.subflow.index for credit in credited], rest


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_edge_of_an_ack_tells_whose_segment_it_was(rig: Rig) -> None:
    rig.send(0, 5 * MSS)
    rig.copy(rig.far, 0, 5 * SHORT)
    assert rig.ack(30, 2 * SHORT) == [(1, 0, 2 * SHORT)]  # of the first it would be late
    assert rig.ack(30, 3 * MSS) == [(0, 2 * SHORT, 3 * MSS)]


def test_so_do_the_edges_of_a_block(rig: Rig) -> None:
    rig.send(0, 5 * MSS)
    rig.copy(rig.far, 0, 5 * SHORT)
    assert rig.ack(30, 0, (3 * MSS, 4 * MSS)) == [(0, 3 * MSS, 4 * MSS)]
    assert rig.ack(30, 0, (SHORT, 2 * SHORT)) == [(1, SHORT, 2 * SHORT)]


def test_where_edges_do_not_tell_time_does(rig: Rig) -> None:
    rig.send(0, MSS)
    rig.copy(rig.far, 0, MSS)
    assert rig.ack(29, MSS) == [(1, 0, MSS)]


def test_no_copy_is_answered_before_it_can_be(rig: Rig) -> None:
    rig.send(0, 2 * SHORT)
    rig.copy(rig.far, 0, 2 * SHORT)
    assert rig.ack(20, SHORT) == [(0, 0, SHORT)]


def test_the_other_copy_stays_until_its_dsack(rig: Rig) -> None:
    send = rig.send(0, 2 * MSS)
    copy = rig.copy(rig.far, 0, 2 * MSS)
    assert rig.ack(30, 2 * SHORT) == [(1, 0, 2 * SHORT)]
    assert (send.outstanding, copy.outstanding) == (2 * MSS, 2 * (MSS - SHORT))
    assert not rig.ledger.answered
    assert rig.dsack(31, 0, MSS) == ([0], [])
    assert rig.ledger.answered
    assert send.outstanding == MSS


def test_a_dsack_that_no_copy_explains_is_left_to_others(rig: Rig) -> None:
    rig.send(0, 3 * MSS)
    rig.copy(rig.far, MSS, 2 * MSS)
    rig.ack(20, 3 * MSS)
    assert rig.dsack(31, 0, 3 * MSS) == ([1], [(0, MSS), (2 * MSS, 3 * MSS)])
    assert rig.dsack(32, MSS, 2 * MSS) == ([], [(MSS, 2 * MSS)])


def test_of_three_copies_each_is_credited_once(rig: Rig) -> None:
    third = make_subflow(2, mss=SHORT - 8, rtt_ms=40)
    rig.send(0, MSS)
    rig.copy(rig.far, 0, MSS)
    rig.copy(third, 0, MSS)
    assert rig.ack(20, MSS) == [(0, 0, MSS)]
    assert rig.dsack(30, 0, SHORT)[0] == [1]
    assert rig.dsack(40, 0, SHORT - 8)[0] == [2]
    assert rig.dsack(41, 0, SHORT - 8)[0] == []


def test_what_is_lost_and_has_a_copy_arrived_by_that(rig: Rig) -> None:
    send = rig.send(0, MSS)
    rig.copy(rig.far, 0, MSS)
    rig.board.lose(send, MSS, "fast")
    assert rig.ack(30, MSS) == [(1, 0, MSS)]
    assert not rig.ledger


def test_a_newer_copy_of_the_same_path_takes_the_place_of_the_older(rig: Rig) -> None:
    old = rig.copy(rig.far, 0, 3 * MSS)
    rig.copy(rig.far, MSS, 2 * MSS)
    assert old.outstanding == 2 * MSS
    assert rig.far.in_flight == 3 * MSS


def test_in_the_end_nothing_is_in_flight(rig: Rig) -> None:
    rig.copy(rig.far, 0, 3 * MSS)
    rig.copy(rig.near, 0, 3 * MSS)
    rig.ledger.close()
    assert (rig.far.in_flight, rig.near.in_flight, bool(rig.ledger)) == (0, 0, False)
