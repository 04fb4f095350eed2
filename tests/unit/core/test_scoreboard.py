"""What was sent where, and what became of it."""

import pytest

from omtcp.core.scoreboard import Credit, Scoreboard, Send
from omtcp.core.subflow import Subflow

from .sending import make_subflow


def board_with(*sends: tuple[Subflow, int, int]) -> tuple[Scoreboard, list[Send]]:
    board = Scoreboard()
    made = [subflow.send(0, start, end) for subflow, start, end in sends]
    for send in made:
        board.record(send)
    return board, made


def spans(credited: list[Credit]) -> list[tuple[int, int, int]]:
    return [(credit.send.subflow.index, credit.start, credit.end) for credit in credited]


class TestCredit:
    """P2: each newly acknowledged byte is credited to the path that carried it."""

    def test_a_cumulative_ack_credits_every_path_below_it(self) -> None:
        a, b = make_subflow(0), make_subflow(1)
        board, sends = board_with((a, 0, 1000), (b, 1000, 3000), (a, 3000, 4000))
        credited = board.acknowledge(3500, [])
        assert spans(credited) == [(0, 0, 1000), (1, 1000, 3000), (0, 3000, 3500)]
        assert [send.outstanding for send in sends] == [0, 0, 500]
        assert (board.una, board.nxt) == (3500, 4000)

    def test_a_block_credits_what_it_newly_covers_only(self) -> None:
        a, b = make_subflow(0), make_subflow(1)
        board, _ = board_with((a, 0, 1000), (b, 1000, 3000), (a, 3000, 4000))
        assert spans(board.acknowledge(0, [(1500, 2000)])) == [(1, 1500, 2000)]
        assert spans(board.acknowledge(0, [(1000, 3500)])) == [
            (1, 1000, 1500),
            (1, 2000, 3000),
            (0, 3000, 3500),
        ]
        assert board.acknowledge(0, [(1000, 3500)]) == []
        assert spans(board.acknowledge(4000, [])) == [(0, 0, 1000), (0, 3500, 4000)]
        assert not board.sacked

    def test_a_block_below_the_ack_says_nothing_new(self) -> None:
        board, _ = board_with((make_subflow(), 0, 4000))
        assert spans(board.acknowledge(2000, [(500, 2500), (100, 200)])) == [
            (0, 0, 2000),
            (0, 2000, 2500),
        ]
        assert list(board.sacked) == [(2000, 2500)]

    def test_what_was_taken_for_lost_is_credited_to_its_transmission(self) -> None:
        a = make_subflow()
        board, (send,) = board_with((a, 0, 3000))
        assert board.lose(send, 1000, "fast") == [(0, 1000)]
        credited = board.acknowledge(2000, [])
        assert credited == [Credit(send, 1000, 2000, False), Credit(send, 0, 1000, True)]
        assert (len(board.lost), send.outstanding) == (0, 1000)


class TestLoss:
    def test_only_what_is_outstanding_of_that_transmission_is_lost(self) -> None:
        a, b = make_subflow(0), make_subflow(1)
        board, (first, _) = board_with((a, 0, 4000), (b, 4000, 5000))
        board.acknowledge(0, [(1000, 2000)])
        assert board.lose(first, 3000, "fast") == [(0, 1000), (2000, 3000)]
        assert (first.outstanding, first.lost_by) == (1000, "fast")
        assert [(start, end) for start, end, _ in board.lost] == [(0, 1000), (2000, 3000)]

    def test_what_another_transmission_carries_now_is_left_alone(self) -> None:
        a, b = make_subflow(0), make_subflow(1)
        board, (first,) = board_with((a, 0, 3000))
        board.lose(first, 1000, "probe")
        start, end, origin = board.take_lost(5000, 5000) or (0, 0, first)
        board.record(b.send(1, start, end, origin))
        assert board.lose(first, 3000, "fast") == [(1000, 3000)]
        assert board.lose(first, 3000, "timeout") == []
        assert first.lost_by == "fast"

    def test_taken_in_stream_order_and_joined(self) -> None:
        a, b = make_subflow(0), make_subflow(1)
        board, sends = board_with((a, 0, 1000), (b, 1000, 2000), (a, 2000, 3000), (b, 4000, 5000))
        for send in (sends[3], sends[1], sends[0], sends[2]):
            board.lose(send, send.end, "fast")
        assert board.take_lost(2500, 9999) == (0, 2500, sends[0])
        assert board.take_lost(2500, 9999) == (2500, 3000, sends[2])
        assert board.take_lost(2500, 9999) == (4000, 5000, sends[3])
        assert board.take_lost(2500, 9999) is None

    @pytest.mark.parametrize("kinds", [("reinjected", "reinjected"), ("fast", "reinjected")])
    def test_what_may_yet_arrive_is_not_joined(self, kinds: tuple[str, str]) -> None:
        """Else the answer to the second transmission would be taken for the copy's."""
        a = make_subflow()
        board, sends = board_with((a, 0, 1000), (a, 1000, 2000))
        for send, kind in zip(sends, kinds, strict=True):
            board.lose(send, send.end, kind)
        assert board.take_lost(9999, 9999) == (0, 1000, sends[0])
        assert board.take_lost(9999, 9999) == (1000, 2000, sends[1])

    def test_no_further_than_the_limit_and_the_window(self) -> None:
        board, (send,) = board_with((make_subflow(), 0, 5000))
        board.lose(send, 5000, "fast")
        assert board.take_lost(1000, 9999) == (0, 1000, send)
        assert board.take_lost(4000, 1500) == (1000, 1500, send)
        assert board.take_lost(4000, 1500) is None
        assert list(board.lost) == [(1500, 5000, send)]


class TestReneging:
    def test_sacked_data_is_kept_until_acknowledged(self) -> None:
        board, _ = board_with((make_subflow(), 0, 3000))
        board.acknowledge(0, [(1000, 2000)])
        assert list(board.sacked) == [(1000, 2000)]
        assert not board.renege()

    def test_the_left_edge_cannot_be_sacked(self) -> None:
        board, _ = board_with((make_subflow(), 0, 3000))
        board.acknowledge(0, [(1000, 2000)])
        board.acknowledge(1000, [])
        assert board.renege()


def test_repr_says_what_went_where() -> None:
    a = make_subflow(3)
    a.send(0, 0, 500)
    assert repr(a.send(0, 500, 900)) == "Send(500-900 on 3 at 500)"
