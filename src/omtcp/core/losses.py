"""What is taken back from a path because it did not arrive, and goes out again (P3 to P5).

Nothing here sends: a range that is found lost moves to the scoreboard's `lost`, and whatever path
the scheduler then chooses carries it again.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event, WindowChanged


class Kind(StrEnum):
    """Why a range goes out again."""

    FAST = "fast"
    SLOW = "slow"
    TIMEOUT = "timeout"
    SUSPECT = "suspect"
    PROBE = "probe"
    REMOVED = "removed"
    """Its path was taken away, which says nothing about the network."""


class Losses:
    """Takes outstanding bytes from subflows, and tells the trace of windows that were cut."""

    def __init__(self, scoreboard: Scoreboard, report: Callable[[Event], None] | None) -> None:
        self._scoreboard = scoreboard
        self.report = report

    def take(self, subflow: Subflow, below: int | None, kind: Kind) -> list[tuple[int, int, int]]:
        """Move what is outstanding at positions under `below` to `lost`.

        Returns (start, end, position) of each piece; None for `below` takes everything.
        """
        taken = []
        while (send := subflow.oldest()) is not None:
            if below is not None and send.position >= below:
                break
            end = send.end
            if below is not None:
                end = min(end, send.start + below - send.position)
            pieces = self._scoreboard.lose(send, end, kind)
            for start, stop in pieces:
                subflow.drop(stop - start)
                subflow.lost_in_event += stop - start
                taken.append((start, stop, send.position + start - send.start))
            if send.outstanding:
                break
        return taken

    def resend(self, now: int, subflow: Subflow) -> None:
        """Everything on `subflow` must go out again, through no fault of congestion."""
        self.take(subflow, None, Kind.FAST)
        subflow.order.advance(subflow.position)
        subflow.timer_base = now

    def window_changed(self, subflow: Subflow, reason: str) -> None:
        """Trace a window that was cut or restarted."""
        if self.report:
            controller = subflow.controller
            self.report(WindowChanged(subflow.index, controller.cwnd, controller.ssthresh, reason))
