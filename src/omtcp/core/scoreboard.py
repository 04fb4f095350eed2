"""What was sent where, and what became of it, in byte ranges (P2).

Every byte in [una, nxt) is in exactly one of three places: in `flights`, under the transmission
that is on its way; in `lost`, waiting to go out again; or in `sacked`, kept until it is
cumulatively acknowledged. A transmission (`Send`) is one contiguous range on one path, however many
segments it spans; SACK blocks and losses cut ranges, never segments.

A subflow counts the bytes it sends in a space of its own, its *positions*. Bytes of a subflow are
sent in the order of their positions, whatever their stream offsets, so loss detection per subflow
(P3) is a question about positions: reordering between subflows does not exist there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from omtcp.core.ranges import RangeMap, RangeSet

if TYPE_CHECKING:
    from omtcp.core.subflow import Subflow


REINJECTED = "reinjected"
"""Why a range goes out again that nobody takes for lost: its transmission may well arrive."""


class Send:
    """One contiguous range of the stream, sent at once over one subflow."""

    __slots__ = (
        "again",
        "delivered",
        "delivered_at",
        "end",
        "lost_by",
        "origin",
        "outstanding",
        "position",
        "sent_at",
        "start",
        "subflow",
    )

    def __init__(
        self, subflow: Subflow, start: int, end: int, sent_at: int, origin: Send | None = None
    ) -> None:
        self.subflow = subflow
        self.start = start
        self.end = end
        self.position = subflow.position
        """Of `start`, in the subflow's own count of bytes."""
        self.sent_at = sent_at
        self.delivered = subflow.delivered
        """What the subflow had delivered by then, and when it last had: for the delivery rate."""
        self.delivered_at = subflow.rate.delivered_at
        self.outstanding = end - start
        """Bytes neither acknowledged nor lost."""
        self.origin = origin
        """The transmission that this one repeats, None for new data."""
        self.again = origin is not None
        self.lost_by = ""
        """How the last part of it was found lost; the kind of its retransmission."""

    def __repr__(self) -> str:
        return f"Send({self.start}-{self.end} on {self.subflow.index} at {self.position})"


class Credit(NamedTuple):
    """Newly acknowledged bytes [start, end) and the transmission that carried them."""

    send: Send
    start: int
    end: int
    was_lost: bool


class Scoreboard:
    """The send side's memory of [una, nxt)."""

    __slots__ = ("flights", "lost", "nxt", "sacked", "una")

    def __init__(self) -> None:
        self.una = 0
        self.nxt = 0
        self.flights: RangeMap[Send] = RangeMap()
        self.lost: RangeMap[Send] = RangeMap()
        self.sacked = RangeSet()

    def record(self, send: Send, start: int | None = None) -> None:
        """Remember a transmission; its range is new, or was taken from `lost` before.

        With `start`, only what lies from there on.
        """
        self.flights.insert(send.start if start is None else start, send.end, send)
        self.nxt = max(self.nxt, send.end)

    def acknowledge(self, ack: int, blocks: list[tuple[int, int]]) -> list[Credit]:
        """Take a cumulative ACK and SACK blocks; return what they newly acknowledge.

        Blocks are stream offsets within (una, nxt]; the caller has sorted out DSACKs and nonsense.
        """
        credited: list[Credit] = []
        if ack > self.una:
            self._credit(self.una, ack, credited)
            self.una = ack
            if self.sacked:
                self.sacked.discard_below(ack)
        for start, end in blocks:
            start = max(start, self.una)
            if start < end:
                for gap_start, gap_end in self.sacked.missing(start, end):
                    self._credit(gap_start, gap_end, credited)
                self.sacked.add(start, end)
        return credited

    def _credit(self, start: int, end: int, credited: list[Credit]) -> None:
        for piece_start, piece_end, send in self.flights.cut(start, end):
            send.outstanding -= piece_end - piece_start
            credited.append(Credit(send, piece_start, piece_end, False))
        if self.lost:
            for piece_start, piece_end, send in self.lost.cut(start, end):
                credited.append(Credit(send, piece_start, piece_end, True))

    def lose(
        self, send: Send, end: int, kind: str, *, start: int | None = None
    ) -> list[tuple[int, int]]:
        """Move what is outstanding of `send` below offset `end` to `lost`; return the pieces.

        With `start`, only what lies from there on.
        """
        start = send.start if start is None else start
        pieces = [
            (piece_start, piece_end)
            for piece_start, piece_end, owner in self.flights.overlapping(start, end)
            if owner is send
        ]
        for piece_start, piece_end in pieces:
            self.flights.cut(piece_start, piece_end)
            self.lost.insert(piece_start, piece_end, send)
            send.outstanding -= piece_end - piece_start
        if pieces:
            send.lost_by = kind
        return pieces

    def take_lost(self, limit: int, right: int) -> tuple[int, int, Send] | None:
        """Remove and return the first lost run, at most `limit` bytes and below `right`.

        Neighbouring pieces are joined: the run (start, end, first transmission) is contiguous.
        Not those that are still under way, for theirs are the answers to be expected, and of a
        joined run only the first transmission is remembered.
        """
        lost = self.lost
        if not lost:
            return None
        start, end, send = lost.starts[0], lost.ends[0], lost.values[0]
        stop = min(start + limit, right)
        index = 1
        while end < stop and index < len(lost) and lost.starts[index] == end:
            if REINJECTED in (send.lost_by, lost.values[index].lost_by):
                break
            end = lost.ends[index]
            index += 1
        end = min(end, stop)
        if end <= start:
            return None
        lost.cut(start, end)
        return start, end, send

    def renege(self) -> bool:
        """Whether the receiver dropped SACKed data; if so every SACK mark is forgotten.

        The byte at `una` cannot be SACKed while `una` stands still, unless the receiver reneged
        (RFC 2018 section 8). Call this when a retransmission timer expires.
        """
        return self.una in self.sacked
