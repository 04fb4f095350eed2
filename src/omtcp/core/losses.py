"""What is taken back from a path because it did not arrive, and goes out again (P3 to P5).

Nothing here sends: a range that is found lost moves to the scoreboard's `lost`, and whatever path
the scheduler then chooses carries it again.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from omtcp.core.ledger import Ledger
from omtcp.core.scoreboard import REINJECTED, Scoreboard, Send
from omtcp.core.subflow import Subflow
from omtcp.core.undo import Undo
from omtcp.trace.events import Event


class Kind(StrEnum):
    """Why a range goes out again."""

    FAST = "fast"
    SLOW = "slow"
    TIMEOUT = "timeout"
    SUSPECT = "suspect"
    PROBE = "probe"
    REMOVED = "removed"
    """Its path was taken away, which says nothing about the network."""
    REINJECTED = REINJECTED


class Losses:
    """Takes outstanding bytes from subflows, and tells the trace of windows that were cut."""

    __slots__ = (
        "_ledger",
        "_scoreboard",
        "report",
        "undo",
    )

    def __init__(
        self, scoreboard: Scoreboard, ledger: Ledger, report: Callable[[Event], None] | None
    ) -> None:
        self._scoreboard = scoreboard
        self._ledger = ledger
        self.report = report
        self.undo = Undo(report)

    def take(self, subflow: Subflow, below: int | None, kind: Kind) -> list[tuple[int, int, int]]:
        """Move what is outstanding at positions under `below` to `lost`; copies are forgotten.

        Returns (start, end, position) of each piece; None for `below` takes everything.
        """
        taken = []
        if below is None:
            subflow.frto.stop()
        while (send := subflow.oldest()) is not None:
            if below is not None and send.position >= below:
                break
            end = send.end
            if below is not None:
                end = min(end, send.start + below - send.position)
            taken += self._lose(send, None, end, kind)
            if send.outstanding:
                break
        return taken

    def _lose(
        self, send: Send, start: int | None, end: int, kind: Kind
    ) -> list[tuple[int, int, int]]:
        subflow = send.subflow
        taken = []
        pieces = self._scoreboard.lose(send, end, kind, start=start)
        if self._ledger:
            pieces += self._lose_copies(send, send.start if start is None else start, end)
        for piece_start, piece_end in pieces:
            subflow.drop(piece_end - piece_start)
            self.undo.on_lost(subflow, piece_start, piece_end, by_order=kind is Kind.FAST)
            taken.append((piece_start, piece_end, send.position + piece_start - send.start))
        return taken

    def _lose_copies(self, send: Send, start: int, end: int) -> list[tuple[int, int]]:
        """Copies are forgotten; returns those of which that tells that they were lost."""
        board, ledger = self._scoreboard, self._ledger
        pieces = ledger.lose(send, start, end)
        if ledger.answered:
            return pieces
        lost = []
        for piece in pieces:
            if piece[0] < board.una or piece[0] in board.sacked:
                send.subflow.drop(piece[1] - piece[0])
            else:
                lost.append(piece)
        return lost

    def first_segment(self, subflow: Subflow) -> int:
        """The position where the first segment that is outstanding ends."""
        oldest = subflow.oldest()
        assert oldest is not None
        first = self._outstanding(oldest)[0][0]
        end = oldest.position + first - oldest.start + subflow.mss
        return min(end, subflow.position)  # the last one may be shorter

    def take_last_segment(self, subflow: Subflow, kind: Kind) -> None:
        """Move the last segment that is outstanding to `lost`."""
        last = next(send for send in reversed(subflow.sends) if send.outstanding)
        start, end = self._outstanding(last)[-1]
        self._lose(last, max(start, end - subflow.mss), end, kind)

    def _outstanding(self, send: Send) -> list[tuple[int, int]]:
        """The pieces of `send` that are neither acknowledged nor lost, in order."""
        flights = self._scoreboard.flights.overlapping(send.start, send.end)
        pieces = [(start, end) for start, end, owner in flights if owner is send]
        return sorted(pieces + self._ledger.pieces(send, send.start, send.end))

    def resend(self, now: int, subflow: Subflow) -> None:
        """Everything on `subflow` must go out again, through no fault of congestion."""
        subflow.begin_episode()
        self.take(subflow, None, Kind.TIMEOUT)
        subflow.order.advance(subflow.position)
        subflow.timer_base = now

    def window_changed(self, subflow: Subflow, reason: str) -> None:
        """Trace a window that was cut or restarted."""
        if self.report:
            self.report(subflow.window_changed(reason))
