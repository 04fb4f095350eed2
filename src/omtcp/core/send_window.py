"""What of our stream may be sent: what was written, and what of it the receiver has room for.

Offsets are stream offsets: the first data byte is 0, the FIN takes the place behind the last.
"""

from __future__ import annotations

from omtcp.core.scoreboard import Scoreboard
from omtcp.core.send_buffer import SendBuffer


class SendWindow:
    """Our stream as the receiver lets it through (RFC 9293 section 3.3.1, SND.WND)."""

    __slots__ = ("_board", "_buffer", "_widest", "closing", "largest", "override", "right")

    def __init__(self, buffer: SendBuffer, board: Scoreboard) -> None:
        self._buffer = buffer
        self._board = board
        self.closing = False
        """Whether a FIN follows what was written."""
        self.right = 0
        """Right edge of the receive window."""
        self.largest = 0
        """The largest receive window that the peer ever had, by its own account."""
        self.override = False
        """Whether a silly window is to be used after all, since it did not grow for an RTO."""
        self._widest = 0
        """The largest that was seen when it was looked at."""

    @property
    def size(self) -> int:
        """The whole receive window."""
        return self.right - self._board.una

    @property
    def usable(self) -> int:
        """What of it was not sent yet."""
        return self.right - self._board.nxt

    @property
    def end(self) -> int:
        """Offset behind everything there is to send, the FIN included."""
        return self._buffer.end + self.closing

    @property
    def busy(self) -> bool:
        """Whether anything is unsent or unacknowledged."""
        return self._board.una < self._buffer.end + self.closing

    @property
    def fin_acked(self) -> bool:
        """Whether the peer has everything and knows that it does."""
        return self.closing and self._board.una == self._buffer.end + 1

    def has_new_data(self) -> bool:
        """Whether data was never sent that the receiver has room for."""
        return self._board.nxt < min(self._buffer.end, self.right)

    @property
    def stalled(self) -> bool:
        """Whether only the receive window keeps data back while nothing is on its way.

        What is lost waits too: a receiver may take room back (RFC 9293 section 3.8.6).
        """
        board = self._board
        return board.una < self._buffer.end + self.closing and not board.flights

    def look(self) -> None:
        """Remember how wide it has been."""
        size = self.right - self._board.una
        if size > self._widest:
            self._widest = size

    @property
    def hungry(self) -> bool:
        """Whether there is data for all that the paths may take: no slow reader, nor a writer."""
        if 2 * self.size < self._widest:
            return False
        return self._board.nxt < self._buffer.end or bool(self._board.lost)

    def admits(self, room: int, mss: int) -> int:
        """What of `room` new bytes may be sent now without a silly segment, 0 to wait.

        That is RFC 9293 section 3.8.6.2.1.
        """
        board = self._board
        usable = self.right - board.nxt
        if room <= usable:
            return room
        if self.closing and board.nxt == self._buffer.end:
            return room  # a FIN alone needs no room
        if usable >= mss:
            return usable // mss * mss
        if usable > 0 and not board.flights and (self.override or usable >= self.largest // 2):
            self.override = False
            return usable
        return 0
