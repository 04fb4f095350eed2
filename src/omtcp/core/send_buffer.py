"""The bytes that the application wrote and the peer has not cumulatively acknowledged.

The buffer keeps references to what was written, never copies, and hands out slices for a gathering
write. SACKed data stays too, since a receiver may renege on it (RFC 2018 section 8).
"""

from bisect import bisect_right

Buffer = bytes | bytearray | memoryview

# A ping needs bytes that the peer already has (see pings.py): a few stay behind the left edge.
KEPT_BEHIND = 64


class SendBuffer:
    """A byte stream held in chunks; offsets are unbounded and begin at 0."""

    __slots__ = ("_chunks", "_starts", "end", "released")

    def __init__(self) -> None:
        self._chunks: list[memoryview | bytes] = []
        self._starts: list[int] = []
        self.end = 0
        """Offset behind the last byte written."""
        self.released = 0
        """Offset up to which the peer has acknowledged."""

    @property
    def size(self) -> int:
        """Bytes written and not yet acknowledged."""
        return self.end - self.released

    def write(self, data: Buffer) -> None:
        """Append `data`, which must not change until it is acknowledged."""
        view = memoryview(data)
        if view.format != "B" or view.ndim != 1:
            view = view.cast("B")
        if view.nbytes:
            self._starts.append(self.end)
            self._chunks.append(view)
            self.end += view.nbytes

    def slices(self, start: int, end: int) -> tuple[memoryview | bytes, ...]:
        """The bytes [start, end) as one or more views; they must still be held."""
        index = bisect_right(self._starts, start) - 1
        chunk_start = self._starts[index]
        chunk = self._chunks[index]
        if end <= chunk_start + len(chunk):
            return (chunk[start - chunk_start : end - chunk_start],)
        parts = []
        while start < end:
            chunk_start, chunk = self._starts[index], self._chunks[index]
            stop = min(end, chunk_start + len(chunk))
            parts.append(chunk[start - chunk_start : stop - chunk_start])
            start = stop
            index += 1
        return tuple(parts)

    def release(self, offset: int) -> None:
        """Forget what lies more than a ping's reach before `offset`."""
        if offset <= self.released:
            return
        self.released = min(offset, self.end)
        index = bisect_right(self._starts, self.released - KEPT_BEHIND) - 1
        if index > 0:
            del self._chunks[:index]
            del self._starts[:index]
        if self.released == self.end and self._chunks:
            self._shrink()

    def _shrink(self) -> None:
        """Everything is acknowledged: an idle connection needs no more than a ping's reach.

        Only of bytes objects is that little copied, and kept as it is: a view of it would take
        three times as much again. Other memory may be a file's, which may have been cut short:
        then it must not be touched from here.
        """
        last = self._chunks[-1]
        if isinstance(last, memoryview) and isinstance(last.obj, bytes):
            kept = bytes(last[-KEPT_BEHIND:])
            self._chunks[-1] = kept
            self._starts[-1] = self.end - len(kept)

    def holds(self, offset: int) -> bool:
        """Whether the byte at `offset` can still be had."""
        return bool(self._starts) and self._starts[0] <= offset < self.end

    def clear(self) -> None:
        """Drop every reference; the stream is over."""
        self._chunks.clear()
        self._starts.clear()
        self.released = self.end
