"""What a path costs the others by keeping the receive window full, against what it brings.

Everything is delivered in order: while the byte at the left edge is on its way over one path and
the window is full, the best path has to wait, whatever its own window admits. A path that brings
little and loses often may cost more in this way than it brings, and no forecast knows how often it
will lose. So it is measured. A path's balance is the bytes that it delivered, less those that the
best path could have sent while it waited for this one. A path that is in debt is left out for some
seconds, ever longer.
"""

from __future__ import annotations

from omtcp.core.config import MILLISECOND, SECOND
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import Subflow

DEBT_NS = 40 * MILLISECOND
"""How much of the best path's sending time a path may cost before it is left out."""
CREDIT = 5
"""How many times as much it may have saved up by delivering."""
GROWS = 1.1
"""By what factor a receive window is larger than before if its receiver makes it larger."""
OUT_FIRST_NS = 4 * SECOND
OUT_MOST_NS = 64 * SECOND


class Balance:
    """Of one path, in bytes."""

    __slots__ = ("_counted", "_out_ns", "_until", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._counted = 0
        self._until = 0
        self._out_ns = OUT_FIRST_NS

    def charge(self, now: int, subflow: Subflow, cost: float, allowed: float) -> None:
        """It brought what it delivered since the last time, and cost `cost`; judge it by that."""
        brought = subflow.delivered - self._counted
        self._counted = subflow.delivered
        self.value = min(self.value + brought, CREDIT * allowed) - cost
        if self.value >= -allowed:
            return
        if now - self._until > 2 * self._out_ns:  # it had paid for long enough
            self._out_ns = OUT_FIRST_NS
        self.value = 0.0
        subflow.out_until = self._until = now + self._out_ns
        self._out_ns = min(2 * self._out_ns, OUT_MOST_NS)


class Blocking:
    """Finds who keeps the best path waiting, and for how long."""

    __slots__ = ("_balances", "_board", "_owner", "_since", "_una", "_widest")

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        self._balances: dict[Subflow, Balance] = {}
        self._owner: Subflow | None = None
        """Whose byte is at the left edge of a full window, and since when."""
        self._since = 0
        self._una = 0
        self._widest = 0
        """The largest receive window so far, but for its last growth."""

    def on_window_full(self, now: int) -> None:
        """The best path has data and could send, but for the receive window."""
        if self._owner is None:
            self._owner, self._since, self._una = self._at_left_edge(), now, self._board.una

    def on_window(self, window_size: int) -> None:
        """The receive window has `window_size` bytes now; one that grows makes a new beginning."""
        if window_size > GROWS * self._widest:
            self._widest = window_size
            for subflow in self._balances:
                subflow.out_until = 0
            self._balances.clear()

    @property
    def over(self) -> bool:
        """Whether what was waited for has been delivered: it is to be settled now."""
        return self._owner is not None and self._board.una != self._una

    def settle(self, now: int, best: Subflow, rate: float) -> None:
        """The wait is over; `best` could have sent `rate` bytes per second meanwhile.

        A path that never delivered anything is another's business: it may be a black hole for
        segments of some size, which is found by trying.
        """
        owner, self._owner = self._owner, None
        assert owner is not None
        if owner is not best and owner.delivered:
            balance = self._balances.setdefault(owner, Balance())
            cost = rate * (now - self._since) / SECOND
            balance.charge(now, owner, cost, rate * DEBT_NS / SECOND)

    def _at_left_edge(self) -> Subflow | None:
        """Who was to deliver the first byte that is missing, before it went out again."""
        board = self._board
        for ranges in (board.lost, board.flights):
            if ranges and ranges.starts[0] == board.una:
                send = ranges.values[0]
                while send.origin is not None:
                    send = send.origin
                return send.subflow
        return None
