"""The applications at both ends of a simulated connection."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import pairwise
from typing import NamedTuple

from omtcp.core.connection import Connection
from omtcp.core.events import Closed, EndOfStream

CHUNK = 1 << 20

Buffer = bytes | bytearray | memoryview


class Arrival(NamedTuple):
    """In-order bytes that the client had read at a time."""

    now: int
    total: int


class Writer:
    """What an application has yet to write, handed over as the send buffer drains."""

    __slots__ = ("_close", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[memoryview] = deque()
        self._close = False

    def __bool__(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._waiting) or self._close

    def write(self, data: Buffer) -> None:
        """Queue `data`; it must not change until it is acknowledged."""
        if len(data):
            self._waiting.append(memoryview(data))

    def close(self) -> None:
        """A FIN after all that is queued."""
        self._close = True

    def feed(self, connection: Connection) -> None:
        """Write until the send buffer is full, and ask to be called again when it is half so."""
        high = connection.config.send_buffer
        waiting = self._waiting
        while waiting and connection.unsent < high:
            data = waiting.popleft()
            connection.write(data[:CHUNK])
            if len(data) > CHUNK:
                waiting.appendleft(data[CHUNK:])
        if waiting:
            connection.notify_below(high // 2)
        elif self._close:
            self._close = False
            connection.close()


class Client:
    """The application at the client's end: reads at once, or not at all while `paused`."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.writer = Writer()
        self.data = bytearray()
        self.keep = True
        """Whether to keep the bytes, not only count them."""
        self.arrivals: list[Arrival] = []
        self.total = 0
        self.paused = False
        self.ended = False
        self.half_close = False
        """Whether to leave its own direction open at the end of the server's."""
        self.closed: Closed | None = None

    def pump(self, now: int) -> None:
        """Handle events, read what there is, write what there is room for."""
        connection = self.connection
        if connection is None:
            return
        while (event := connection.poll_event()) is not None:
            if isinstance(event, EndOfStream):
                self.ended = True
                if not self.half_close:
                    self.writer.close()
            elif isinstance(event, Closed):
                self.closed = event
        if not self.paused:
            self.read(now)
        if self.writer and self.closed is None:
            self.writer.feed(connection)

    def read(self, now: int, limit: int | None = None) -> int:
        """Read up to `limit` bytes of what has arrived, all of it by default; how many."""
        assert self.connection is not None
        count = 0
        while data := self.connection.read(CHUNK if limit is None else limit - count):
            count += len(data)
            if self.keep:
                self.data += data
            if limit is not None and count >= limit:
                break
        if count:
            self.total += count
            self.arrivals.append(Arrival(now, self.total))
        return count

    def longest_silence(self, since: int = 0) -> int:
        """The longest time between two reads after `since`, in ns."""
        times = [arrival.now for arrival in self.arrivals if arrival.now >= since]
        return max((b - a for a, b in pairwise(times)), default=0)

    def received_by(self, now: int) -> int:
        """Bytes read up to `now`."""
        index = bisect_right(self.arrivals, now, key=lambda arrival: arrival.now)
        return self.arrivals[index - 1].total if index else 0
