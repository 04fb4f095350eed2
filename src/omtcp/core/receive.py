"""The receive half of a connection: reassembly, the window to announce, and when to acknowledge.

All positions are offsets of the peer's stream, unbounded; the FIN takes one offset after the
last byte. The owner feeds `on_fin` and `on_data`, sends an ACK when `ack_now` is true or
`ack_deadline` has passed, fills it with `rcv_nxt`, `window` and `sack_blocks`, and says so with
`on_ack_sent`.
"""

from bisect import bisect_left, bisect_right
from itertools import islice

from omtcp.wire.buffer import Buffer

MILLISECOND = 1_000_000

ACK_DELAY_NS = 40 * MILLISECOND
"""As Linux at its least; RFC 9293 section 3.8.6.3 admits up to 500 ms."""
QUICK_ACKS = 16
"""ACKs that are not delayed at the start, so as not to slow the peer's slow start down."""
DEFAULT_MSS = 1460
MINIMUM_FULL_SIZE = 536

_DUPLICATES = 16
"""Duplicates remembered until they are reported; a peer that repeats more is told the first."""


class Reassembly:
    """What arrived beyond the left edge: islands of bytes, and which of them changed last."""

    __slots__ = ("_chunks", "_ends", "_recent", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._chunks: dict[int, Buffer] = {}
        """Offset -> bytes there; inside an island each chunk starts where another ends."""
        self._recent: list[int] = []
        """Where each island starts, the one that changed last first."""

    def __bool__(self) -> bool:
        return bool(self._starts)

    @property
    def end(self) -> int:
        """Behind the last byte of the last island, 0 without any."""
        return self._ends[-1] if self._ends else 0

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that no island covers."""
        gaps = []
        i = bisect_right(self._ends, start)
        while start < end:
            if i == len(self._starts) or self._starts[i] >= end:
                gaps.append((start, end))
                break
            if self._starts[i] > start:
                gaps.append((start, self._starts[i]))
            start = self._ends[i]
            i += 1
        return gaps

    def insert(self, start: int, chunk: Buffer) -> None:
        """Keep `chunk`, none of which is here yet."""
        end = start + len(chunk)
        self._chunks[start] = chunk
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self._recent = [at for at in self._recent if not start <= at < end]
        self._recent.insert(0, start)

    def touch(self, offset: int) -> None:
        """Data at `offset` arrived again: its island is the one to report first."""
        island = self.island(offset)
        if island is not None:
            self._recent.remove(island[0])
            self._recent.insert(0, island[0])

    def island(self, offset: int) -> tuple[int, int] | None:
        """The island that contains `offset`."""
        i = bisect_right(self._starts, offset) - 1
        if i < 0 or offset >= self._ends[i]:
            return None
        return self._starts[i], self._ends[i]

    def take(self, offset: int) -> list[Buffer]:
        """Remove and return the chunks of the first island if it starts at `offset`."""
        if not self._starts or self._starts[0] != offset:
            return []
        end = self._ends.pop(0)
        self._recent.remove(self._starts.pop(0))
        chunks = []
        while offset < end:
            chunk = self._chunks.pop(offset)
            chunks.append(chunk)
            offset += len(chunk)
        return chunks

    def blocks(self, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` islands, the most recently changed first."""
        islands = (self.island(at) for at in islice(self._recent, limit))
        return [island for island in islands if island is not None]


_NO_ISLANDS = Reassembly()
"""Of whom nothing arrived out of order, as of most; it stays empty."""


class Receiver:
    """One direction of a connection, at its receiving end.

    `capacity` is how many bytes beyond what the application has read are accepted; it doubles up
    to `capacity_max` each time the application has read a whole capacity and left nothing. `mss`
    is the size that we told the peer to send at most.
    """

    __slots__ = (
        "_acked_nxt",
        "_arrived",
        "_consumed",
        "_delay_ns",
        "_duplicates",
        "_edge",
        "_fin",
        "_full_size",
        "_grow_at",
        "_islands",
        "_mss",
        "_quick_acks",
        "_sack_changed",
        "_worthwhile",
        "ack_deadline",
        "ack_now",
        "capacity",
        "capacity_max",
        "finished",
        "rcv_nxt",
        "readable",
        "window_shift",
    )

    def __init__(
        self,
        capacity: int,
        capacity_max: int | None = None,
        *,
        mss: int = DEFAULT_MSS,
        ack_delay_ns: int = ACK_DELAY_NS,
        quick_acks: int = QUICK_ACKS,
    ) -> None:
        self.capacity = capacity
        self.capacity_max = capacity if capacity_max is None else max(capacity, capacity_max)
        self.rcv_nxt = 0
        """The next offset expected; everything before it has arrived, the FIN included."""
        self.readable = 0
        """Bytes in order that the application has not read."""
        self.finished = False
        """Whether everything up to the FIN has arrived, the FIN included."""
        self.ack_now = False
        """Whether an ACK is due at once; the owner may set it too, for a challenge say."""
        self.ack_deadline: int | None = None
        """When the ACK of what has arrived is due at the latest, None if nothing is owed."""
        self.window_shift = 0
        """The window scale that our announcements go through (RFC 7323 section 2)."""
        self._mss = mss
        self._delay_ns = ack_delay_ns
        self._quick_acks = quick_acks
        self._arrived: list[Buffer] = []
        self._islands = _NO_ISLANDS
        self._consumed = 0
        self._edge = capacity
        self._fin: int | None = None
        self._full_size = min(mss, MINIMUM_FULL_SIZE)
        self._grow_at = capacity
        self._worthwhile = min(capacity // 2, mss)
        """By how much the right edge moves at least (RFC 9293 section 3.8.6.2.2)."""
        self._acked_nxt = 0
        self._duplicates: list[tuple[int, int]] = []
        self._sack_changed = False

    # What arrives.

    def on_fin(self, offset: int) -> None:
        """The peer's stream ends at `offset`; to be followed by `on_data` of that segment.

        A FIN that contradicts what has arrived is ignored, and so is data beyond the end.
        """
        self.ack_now = True
        if self._fin is None and offset >= max(self.rcv_nxt, self._islands.end):
            self._fin = offset

    def on_data(self, now: int, start: int, payload: tuple[Buffer, ...]) -> None:
        """Bytes from `start` on; anything of them may be a duplicate or outside the window."""
        length = sum(map(len, payload))
        end = start + length
        self._full_size = max(self._full_size, min(length, self._mss))
        if start == self.rcv_nxt and not self._islands and end <= self._limit():
            for buffer in payload:
                self._append(buffer)
            self._schedule_ack(now)
        elif length:
            self.ack_now = True  # RFC 5681 section 4.2: out of order, or filling a gap
            self._accept(start, end, payload)
        self._reach_fin()

    def _accept(self, start: int, end: int, payload: tuple[Buffer, ...]) -> None:
        """The general case: keep what is new, report what is not."""
        low, high = max(start, self.rcv_nxt), min(end, self._limit())
        gaps = self._islands.missing(low, high)
        self._note_duplicate(start, high, gaps)
        for gap_start, gap_end in gaps:
            at = start
            for buffer in payload:
                piece_start, piece_end = max(at, gap_start), min(at + len(buffer), gap_end)
                if piece_start < piece_end:
                    if self._islands is _NO_ISLANDS:
                        self._islands = Reassembly()
                    piece = memoryview(buffer)[piece_start - at : piece_end - at]
                    self._islands.insert(piece_start, _keep(piece))
                    self._sack_changed = True
                at += len(buffer)
        for chunk in self._islands.take(self.rcv_nxt):
            self._append(chunk)

    def _note_duplicate(self, start: int, end: int, gaps: list[tuple[int, int]]) -> None:
        """Remember the first run of [start, end) that is not in `gaps` (RFC 2883 section 4)."""
        if gaps and gaps[0][0] == start:
            start = gaps[0][1]
            gaps = gaps[1:]
        if gaps:
            end = gaps[0][0]
        if start < end:
            self._islands.touch(start)
            if len(self._duplicates) < _DUPLICATES:
                self._duplicates.append((start, end))

    def _append(self, buffer: Buffer) -> None:
        if len(buffer):
            self._arrived.append(_keep(buffer))
            self.rcv_nxt += len(buffer)
            self.readable += len(buffer)

    def _limit(self) -> int:
        """The first offset that is not accepted: as promised or as there is room, and the FIN."""
        edge, room = self._edge, self._consumed + self.capacity
        limit = edge if edge > room else room
        return limit if self._fin is None else min(limit, self._fin)

    def _reach_fin(self) -> None:
        if self._fin is not None and not self.finished and self.rcv_nxt == self._fin:
            self.rcv_nxt += 1
            self.finished = True
            self.ack_now = True

    # The application.

    def read(self, limit: int) -> bytes:
        """Take up to `limit` bytes in order; empty when there are none.

        Bytes are copied once, here, or not at all when a whole chunk is of type bytes.
        """
        arrived = self._arrived
        if len(arrived) == 1 and len(arrived[0]) <= limit:  # as requests come
            chunk = arrived.pop()
            self._consume(len(chunk))
            return bytes(chunk)
        taken: list[Buffer] = []
        left = limit
        for chunk in arrived:
            if len(chunk) > left:
                break
            taken.append(chunk)
            left -= len(chunk)
        del arrived[: len(taken)]
        if arrived and left > 0:
            rest = memoryview(arrived[0])
            taken.append(rest[:left])
            arrived[0] = rest[left:]
            left = 0
        self._consume(limit - left)
        return bytes(taken[0]) if len(taken) == 1 else b"".join(taken)

    def _consume(self, count: int) -> None:
        """Grow the buffer for an application that keeps up, and tell the peer of new room."""
        self._consumed += count
        self.readable -= count
        if self.readable == 0 and self._consumed >= self._grow_at:
            self.capacity = min(2 * self.capacity, self.capacity_max)
            self._grow_at = self._consumed + self.capacity
            self._worthwhile = min(self.capacity // 2, self._mss)
        left = max(0, self._edge - self.rcv_nxt)
        window = self.window
        if window > left and window >= 2 * left and not self.finished:
            self.ack_now = True

    # Acknowledgments.

    @property
    def window(self) -> int:
        """The window to announce, a multiple of the scale.

        Its right edge never moves left, and moves right only by as much as is worth a segment
        (RFC 9293 section 3.8.6.2.2). Rounding goes upwards, for the same reason, unless that
        has already added up to more than two segments beyond the capacity.
        """
        room = self._consumed + self.capacity
        edge = self._edge
        if room - edge >= self._worthwhile:
            edge = room
        window = edge - self.rcv_nxt
        if window <= 0:
            return 0
        remainder = window & ((1 << self.window_shift) - 1)
        if remainder:
            up = window - remainder + (1 << self.window_shift)
            fits = self.rcv_nxt + up <= room + 2 * self._mss
            window = up if fits else window - remainder
        return window

    def sack_blocks(self, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` blocks for the next ACK.

        A duplicate comes first (RFC 2883), with the island around it next; then the islands,
        the most recently changed first (RFC 2018 section 4).
        """
        if not self._duplicates:
            return self._islands.blocks(limit)
        duplicate = self._duplicates[0]
        blocks = [duplicate]
        around = self._islands.island(duplicate[0])
        if around is not None:
            blocks.append(around)
        blocks += [island for island in self._islands.blocks(limit) if island != around]
        return blocks[:limit]

    def on_ack_sent(self, *, carried_sack: bool = True) -> None:
        """A segment with our ACK and window is leaving.

        One that did not carry `sack_blocks`, for want of room, leaves what is new in them owed.
        """
        edge = self.rcv_nxt + self.window
        if edge > self._edge:
            self._edge = edge
        self._acked_nxt = self.rcv_nxt
        self.ack_deadline = None
        if self._quick_acks:
            self._quick_acks -= 1
        if carried_sack:
            self._sack_changed = False
            if self._duplicates:
                del self._duplicates[0]
        self.ack_now = False
        if self._duplicates or (self._sack_changed and self._islands):
            self.ack_now = True

    def _schedule_ack(self, now: int) -> None:
        """RFC 9293 section 3.8.6.3: at once for more than one full-sized segment, else soon."""
        owed = self.rcv_nxt - self._acked_nxt
        if owed > self._full_size or (owed and self._quick_acks):
            self.ack_now = True
        elif owed and self.ack_deadline is None:
            self.ack_deadline = now + self._delay_ns


def _keep(buffer: Buffer) -> Buffer:
    """The same bytes for as long as we like: a copy, unless nobody can change or reuse them.

    A view into a bytes object is safe, but keeps the whole of it in memory; that is worth it
    only for most of the object.
    """
    if isinstance(buffer, bytes):
        return buffer
    if isinstance(buffer, memoryview):
        whole = buffer.obj
        if isinstance(whole, bytes) and 2 * len(buffer) >= len(whole):
            return buffer
    return bytes(buffer)
