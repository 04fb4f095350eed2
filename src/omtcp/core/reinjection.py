"""What keeps everything waiting goes out again over a faster path (P4 in its general form).

A receive window that is full, or a transfer that is over but for what a slow path still carries,
waits for the byte at the left edge. If another path has nothing else to do and would bring that
byte sooner than the path that has it, it is sent again there, without any sign of loss
(opportunistic retransmission, Raiciu et al., NSDI 2012, section 4.2). A path that blocked the
window had been given more than the window has room for: its window is halved, at most once per
round trip (penalisation, ibid.).
"""

from __future__ import annotations

from collections.abc import Sequence

from omtcp.core.config import MILLISECOND
from omtcp.core.losses import Kind
from omtcp.core.scheduler import HINDRANCES
from omtcp.core.scoreboard import Scoreboard, Send
from omtcp.core.subflow import Subflow

LATE_NS = MILLISECOND
"""A copy is not late before, however near its path seemed: an ACK takes time to be read."""


class Reinjection:
    """Finds what blocks a connection, and moves it to `lost`, from where the next path takes it."""

    __slots__ = ("_board", "_penalised_at", "due_at")

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        self._penalised_at: dict[int, int] = {}
        self.due_at: int | None = None
        """When what blocks will be overdue, if it does not come before."""

    def on_timers(self, now: int) -> None:
        """Its deadline may be over: `move` is asked next."""
        if self.due_at is not None and self.due_at <= now:
            self.due_at = None

    def move(self, now: int, helpers: Sequence[Subflow], *, window_full: bool) -> bool:
        """Give `helpers`, the usable paths, what blocks at the left edge; whether anything.

        `window_full` says that the receive window is what blocks; else it is the end of the data.
        The first of the helpers is the best path. It may fill the window by right, the others may
        not.
        """
        self.due_at = None
        for helper in helpers:
            if helper.space < helper.mss:
                continue
            if helper is not helpers[0] and helper.refusal in HINDRANCES:
                continue
            if not helper.pacer.ready(now, helper.mss):
                helper.paced = True
                continue
            owners = self._take(now, helper, window_full=window_full)
            if owners:
                if window_full:
                    self._penalise(now, [owner for owner in owners if owner is not helpers[0]])
                return True
        return False

    def _take(self, now: int, helper: Subflow, *, window_full: bool) -> list[Subflow]:
        """Move the run at the left edge that others carry and `helper` would bring sooner."""
        board = self._board
        una = board.una
        limit = una + helper.space // helper.mss * helper.mss
        owners: list[Subflow] = []
        for start, end, send in board.flights.overlapping(una, limit):
            if start != una or not self._sooner(now, helper, send, window_full=window_full):
                break
            una = end
            owner = send.subflow
            for piece_start, piece_end in board.lose(send, end, Kind.REINJECTED):
                owner.drop(piece_end - piece_start)
            if owner not in owners:
                owners.append(owner)
        return owners

    def _sooner(self, now: int, helper: Subflow, send: Send, *, window_full: bool) -> bool:
        """Whether a copy over `helper` would arrive before what is on its way.

        What is overdue may be lost. While the window is full `helper` has nothing else to do, and
        a copy costs little. At the end of the data it may only be that the peer delays its ACK.
        """
        owner = send.subflow
        if owner is helper or helper.cost > owner.cost:
            return False
        due_at = send.sent_at + owner.rtt.srtt_ns
        if send.origin is not None:  # a copy already: no third one while it may only be late
            due_at += max(owner.rtt.srtt_ns // 2 + 4 * owner.rtt.rttvar_ns, LATE_NS)
        elif due_at - now > helper.segment_ns * 5 // 4:
            return True
        else:  # a path that is farther is asked only when it would still be sooner
            due_at += max(helper.segment_ns - owner.rtt.srtt_ns, 0)
        if due_at > now and window_full:
            self.due_at = due_at
        return due_at <= now and window_full

    def _penalise(self, now: int, owners: Sequence[Subflow]) -> None:
        for owner in owners:
            if not owner.has_lost:  # it has yet to show what it can do
                continue
            last = self._penalised_at.get(owner.index)
            if last is None or now - last > owner.rtt.srtt_ns:
                self._penalised_at[owner.index] = now
                owner.controller.penalise()
