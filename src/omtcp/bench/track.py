"""A sender under a window of any size, in virtual time, with its own time taken.

The core's endpoint is driven as the driver drives it. The network is a delay and a chance of loss
per segment; the receiver acknowledges every second segment at once, with SACK blocks in the order
that RFC 2018 wants. The congestion window is held at one size whatever is lost, since this is about
what a window costs, not about which one is fair.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from random import Random
from time import thread_time_ns

from omtcp.core.config import Config, Mode
from omtcp.core.connection import Connection, Transmit
from omtcp.core.endpoint import Endpoint
from omtcp.wire.seq import SEQ_MASK, seq_add, unwrap
from omtcp.wire.tcp import ACK, SYN, Segment

SERVER, CLIENT = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
PORT, CLIENT_PORT = 80, 40_000
MSS = 1460
RTT_NS = 50_000_000
_MTU = MSS + 40
_SCALE = 14
_BLOCKS = 4
_START = 1_000_000_000
_PIECE = memoryview(bytes(1 << 18))


@dataclass(slots=True)
class Costs:
    """Per ACK, processor nanoseconds of this thread; most: ranges on the scoreboard at once."""

    ns: list[int] = field(default_factory=list)
    most: int = 0

    @property
    def mean_us(self) -> float:
        return sum(self.ns) / len(self.ns) / 1e3

    @property
    def p99_us(self) -> float:
        return sorted(self.ns)[len(self.ns) * 99 // 100] / 1e3


class Receiver:
    """What has arrived, in stream offsets, and what it says of it."""

    def __init__(self) -> None:
        self.next = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._recent: deque[int] = deque(maxlen=4 * _BLOCKS)
        self._owed = 0

    def arrive(self, start: int, end: int) -> bool:
        """Takes in a segment; whether an ACK is due now."""
        self._owed += 1
        start = max(start, self.next)
        if start < end:
            self._add(start, end)
        return self._owed >= 2

    def _add(self, start: int, end: int) -> None:
        """Joins a segment with the islands that it touches, or with what is complete."""
        starts, ends = self._starts, self._ends
        low, high = bisect_left(ends, start), bisect_right(starts, end)
        if low < high:
            start, end = min(start, starts[low]), max(end, ends[high - 1])
        if start <= self.next:
            self.next = end
            del starts[:high], ends[:high]
            return
        starts[low:high], ends[low:high] = [start], [end]
        if self._recent and start <= self._recent[0] < end:
            self._recent[0] = start  # the same island again
        else:
            self._recent.appendleft(start)

    def blocks(self) -> list[tuple[int, int]]:
        """The islands that were heard of last, the latest first (RFC 2018 section 4)."""
        self._owed = 0
        found: list[tuple[int, int]] = []
        for position in self._recent:
            index = bisect_right(self._starts, position) - 1
            if index >= 0 and position < self._ends[index]:
                block = (self._starts[index], self._ends[index])
                if block not in found:
                    found.append(block)
        return found[:_BLOCKS]


class Track:
    """One connection with `window` bytes under way, of whose segments a share of `loss` is lost."""

    def __init__(self, window: int, loss: float, *, seed: int = 1) -> None:
        self._window = window
        self._loss = loss
        self._random = Random(seed)
        self.costs = Costs()
        self._receiver = Receiver()
        self._arrivals: list[tuple[int, int, int, int]] = []
        self._acks: deque[tuple[int, Segment]] = deque()
        self._free_at = 0
        self._spacing = max(RTT_NS * MSS // window, 1)
        self._count = 0
        self._now = _START
        self._endpoint = Endpoint(
            Config(mode=Mode.SINGLE, send_buffer=2 * window),
            SERVER,
            [_MTU],
            secret=bytes(32),
            random=self._random.random,
        )
        self._endpoint.listen(PORT)
        self._connection = self._open()

    @property
    def acknowledged(self) -> int:
        """Bytes that the sender knows have arrived."""
        sender = self._connection.sender
        return sender.board.una if sender is not None else 0

    @property
    def in_flight(self) -> int:
        """Bytes that the sender believes to be under way."""
        sender = self._connection.sender
        return sum(subflow.in_flight for subflow in sender.subflows) if sender is not None else 0

    def _segment(self, seq: int, ack: int, flags: int, **more: object) -> Segment:
        window = min(2 * self._window >> _SCALE, 0xFFFF)
        return Segment(CLIENT_PORT, PORT, seq, ack, flags, window, **more)  # type: ignore[arg-type]

    def _open(self) -> Connection:
        """The handshake."""
        options = {"mss": MSS, "window_scale": _SCALE, "sack_permitted": True}
        self._endpoint.handle_segment(self._now, CLIENT, self._segment(0, 0, SYN, **options))
        (connection,) = self._endpoint.poll_ready()
        answer = connection.poll_transmit(self._now)
        assert answer is not None
        self._first = seq_add(answer.segment.seq, 1)
        self._now += RTT_NS
        self._endpoint.handle_segment(self._now, CLIENT, self._segment(1, self._first, ACK))
        return connection

    def run(self, acks: int, *, warm: int = 0) -> Costs:
        """Goes on until so many ACKs were taken in, and tells what the last `acks` of them cost."""
        for _ in range(warm):
            self._step()
        self.costs = Costs()
        for _ in range(acks):
            self._step()
        return self.costs

    def _step(self) -> None:
        """Time until the next ACK, and the ACK."""
        while not self._acks:
            if not self._arrivals:
                self._turn(None)
                continue
            self._now = max(self._now, self._arrivals[0][0])
            at, _, start, end = heapq.heappop(self._arrivals)
            if self._receiver.arrive(start, end):
                self._acks.append((at + RTT_NS // 2, self._acknowledgment()))
        at, ack = self._acks.popleft()
        self._now = max(self._now, at)
        self._turn(ack)

    def _acknowledgment(self) -> Segment:
        sack = tuple(
            (seq_add(self._first, start), seq_add(self._first, end))
            for start, end in self._receiver.blocks()
        )
        return self._segment(1, seq_add(self._first, self._receiver.next), ACK, sack=sack)

    def _turn(self, ack: Segment | None) -> None:
        """What the driver does with an ACK, or when there is none for a while; the time it took."""
        endpoint, connection, now = self._endpoint, self._connection, self._now
        self._prepare(connection)
        if ack is None:
            now = self._now = max(now, endpoint.poll_timeout() or now)
        sent: list[Transmit] = []
        began = thread_time_ns()
        while (due := endpoint.poll_due(now)) is not None:
            due.handle_timeout(now)
        if ack is not None:
            endpoint.handle_segment(now, CLIENT, ack)
        endpoint.poll_ready()
        while connection.poll_event() is not None:
            pass
        while (transmit := connection.poll_transmit(now)) is not None:
            sent.append(transmit)
        endpoint.settle(now, connection)
        took = thread_time_ns() - began
        if ack is not None:
            self.costs.ns.append(took)
        for each in sent:
            self._carry(each)

    def _prepare(self, connection: Connection) -> None:
        """Data enough, and a window of the size that is asked about."""
        sender = connection.sender
        if sender is None:
            return
        while sender.window.end - sender.board.nxt < self._window:
            connection.write(_PIECE)
        (subflow,) = sender.subflows
        subflow.controller.cwnd = subflow.controller.ssthresh = self._window
        subflow.reduction = None
        self.costs.most = max(self.costs.most, len(sender.board.flights))

    def _carry(self, transmit: Transmit) -> None:
        """The pieces of a super-segment, each at its time, those that are not lost."""
        start = unwrap(transmit.segment.seq - self._first & SEQ_MASK, self._receiver.next)
        end = start + transmit.segment.length
        at = max(self._free_at, self._now)
        while start < end:
            stop = min(start + transmit.segment_size, end)
            at += self._spacing
            if self._random.random() >= self._loss:
                self._count += 1
                heapq.heappush(self._arrivals, (at + RTT_NS // 2, self._count, start, stop))
            start = stop
        self._free_at = at
