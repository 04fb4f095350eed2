"""Loss recovery with a peer that sends no SACK: NewReno (RFC 6582), on one subflow (P1).

A duplicate ACK says that some segment arrived, not which. So the first hole is all that is ever
known: the third duplicate names it, and during recovery each partial ACK names the next one.
"""

from __future__ import annotations

from collections.abc import Callable

from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import Subflow

DUPLICATE_THRESHOLD = 3
_UNTIL_TOLD = 1 << 62


class PlainRecovery:
    """Duplicate ACKs, and what follows from them."""

    __slots__ = (
        "_board",
        "_duplicates",
        "_on_reduction",
        "_recover",
        "_subflow",
    )

    def __init__(
        self, board: Scoreboard, subflow: Subflow, on_reduction: Callable[[Subflow, str], None]
    ) -> None:
        """`on_reduction` is told of a window that was cut."""
        self._board = board
        self._subflow = subflow
        self._on_reduction = on_reduction
        self._duplicates = 0
        self._recover = 0
        """RFC 6582's recover: what had been sent when the last recovery or timeout began."""

    def on_duplicate(self, now: int) -> None:
        """An ACK that acknowledges nothing new while data is out (RFC 5681 section 2)."""
        subflow = self._subflow
        self._duplicates += 1
        if subflow.in_flight > subflow.mss:  # a segment has left the network
            subflow.in_flight -= subflow.mss
            subflow.inflated += subflow.mss
        if self._duplicates == DUPLICATE_THRESHOLD and self._board.una >= self._recover:
            self._recover = self._board.nxt
            in_flight = subflow.in_flight + subflow.inflated
            self._lose_first(subflow)
            subflow.recovery_position = _UNTIL_TOLD
            subflow.controller.on_loss(now=now, in_flight=in_flight)
            self._on_reduction(subflow, "loss")

    def on_advance(self, una: int) -> None:
        """The cumulative ACK moved to `una`, and has been credited."""
        subflow = self._subflow
        self._duplicates = 0
        subflow.order.advance(subflow.position)  # the order of arrival is not known
        if subflow.recovery_position != _UNTIL_TOLD:
            return
        if una < self._recover:
            self._lose_first(subflow)
        else:
            subflow.recovery_position = subflow.order.edge

    def on_timeout(self) -> None:
        """The retransmission timer expired: no fast retransmit for what was out (section 4)."""
        self._duplicates = 0
        self._recover = self._board.nxt

    def _lose_first(self, subflow: Subflow) -> None:
        """The first segment that is not acknowledged goes out again."""
        start = self._board.una
        end = start + subflow.mss
        for _, _, send in self._board.flights.overlapping(start, end):
            for piece_start, piece_end in self._board.lose(send, end, "fast"):
                subflow.drop(piece_end - piece_start)
                subflow.owed += piece_end - piece_start
