"""What was taken for lost and was not: reductions of a window that are taken back.

Three kinds of proof, all by range and so by path, whatever path carried the second copy:

- the bytes are acknowledged before they were sent again;
- they are acknowledged faster than the second copy can have been (Eifel, RFC 3522, without
  timestamps: those must not tell copies apart here, see `timestamps`);
- both copies arrived, says a DSACK (RFC 2883 section 4, RFC 3708 section 2). DSACKs of pings are
  sorted out before.

A reduction is taken back once *all* that it was made for has been disproved (RFC 3708 section 3.1).
The retransmission timer has a test of its own besides, see `frto`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from omtcp.core.delivery import Episode
from omtcp.core.ranges import RangeMap
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event

REMEMBERED = 256
"""Ranges that are kept; of more, those furthest to the left are forgotten."""


class _Taken(NamedTuple):
    """Why a range goes out again."""

    subflow: Subflow
    episode: Episode
    by_order: bool


class Undo:
    """Remembers which loss each retransmitted range was charged to."""

    __slots__ = (
        "_report",
        "_taken",
    )

    def __init__(self, report: Callable[[Event], None] | None) -> None:
        """`report` takes trace events."""
        self._report = report
        self._taken: RangeMap[_Taken | None] = RangeMap()

    def on_lost(self, subflow: Subflow, start: int, end: int, *, by_order: bool) -> None:
        """[start, end) is taken for lost on `subflow`; `by_order` if what overtook it said so.

        Of bytes that are lost twice a DSACK does not say which copy was needless, so they count
        as lost for good (RFC 3708 section 2).
        """
        twice = self._taken.cut(start, end)
        taken = None if twice else _Taken(subflow, subflow.episode, by_order)
        self._taken.insert(start, end, taken)
        subflow.episode.lost += end - start
        if len(self._taken) > REMEMBERED:
            self._taken.cut(self._taken.starts[0], self._taken.ends[REMEMBERED // 4])

    def on_arrival(self, start: int, end: int) -> None:
        """The first copy of [start, end) has arrived."""
        for piece_start, piece_end, taken in self._taken.cut(start, end):
            if taken is not None:
                self._disprove(taken, piece_end - piece_start)

    def on_dsack(self, start: int, end: int) -> None:
        """Both copies of [start, end) have arrived."""
        for piece_start, piece_end, taken in self._taken.cut(start, end):
            if taken is None:
                continue
            if taken.by_order:
                taken.subflow.rack.on_dsack(taken.subflow)
            self._disprove(taken, piece_end - piece_start)

    def _disprove(self, taken: _Taken, size: int) -> None:
        episode, subflow = taken.episode, taken.subflow
        episode.lost -= size
        if episode.lost <= 0 and episode is subflow.episode and episode.reduced:
            self.undo(subflow)

    def undo(self, subflow: Subflow) -> None:
        """The present reduction of `subflow` had no cause: take it back, if that is possible."""
        subflow.episode.reduced = False
        if subflow.controller.undo():
            subflow.recovery_position = min(subflow.recovery_position, subflow.order.edge)
            if self._report:
                self._report(subflow.window_changed("undo"))
