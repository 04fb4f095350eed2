"""A multihomed server, a client, and the links between them, in virtual time.

Both ends are the real core. The client has one address and one way back, as the paper assumes;
the server has one link per path. Nothing here sleeps or looks at a clock: `step` jumps to the next
arrival or deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Closed, Drained, EndOfStream, Readable
from omtcp.errors import LocalError
from omtcp.link import LinkConfig
from omtcp.link.pipe import Pipe
from omtcp.sim.packets import cut, wire_size
from omtcp.trace.events import Sink
from omtcp.wire.tcp import Segment

SERVER = bytes([198, 51, 100, 1])
CLIENT = bytes([203, 0, 113, 9])
PORT = 80
MTU = 1500
CHUNK = 1 << 20

Filter = Callable[[int, Segment], bool]
"""(now, segment) -> whether the network drops it."""


class Arrival(NamedTuple):
    """In-order bytes that the client had read at a time."""

    now: int
    total: int


class Client:
    """The receiving application: reads at once, or not at all while `paused`."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.data = bytearray()
        self.keep = True
        """Whether to keep the bytes, not only count them."""
        self.arrivals: list[Arrival] = []
        self.total = 0
        self.paused = False
        self.ended = False
        self.closed: Closed | None = None

    def pump(self, now: int) -> None:
        """Handle events and read what there is."""
        connection = self.connection
        if connection is None:
            return
        while (event := connection.poll_event()) is not None:
            if isinstance(event, EndOfStream):
                self.ended = True
                connection.close()
            elif isinstance(event, Closed):
                self.closed = event
        while not self.paused and (data := connection.read(CHUNK)):
            self.total += len(data)
            if self.keep:
                self.data += data
            self.arrivals.append(Arrival(now, self.total))

    def longest_silence(self, since: int = 0) -> int:
        """The longest time between two reads after `since`, in ns."""
        times = [arrival.now for arrival in self.arrivals if arrival.now >= since]
        return max((b - a for a, b in zip(times, times[1:], strict=False)), default=0)

    def received_by(self, now: int) -> int:
        """Bytes read up to `now`."""
        total = 0
        for arrival in self.arrivals:
            if arrival.now > now:
                break
            total = arrival.total
        return total


class _Side:
    """An endpoint with the pipes it sends into."""

    def __init__(self, endpoint: Endpoint, pipes: Sequence[Pipe[Segment]]) -> None:
        self.endpoint = endpoint
        self.pipes = list(pipes)


class Pair:
    """Server and client; see the module."""

    def __init__(
        self,
        links: Sequence[LinkConfig],
        *,
        back: LinkConfig | None = None,
        config: Config | None = None,
        client_config: Config | None = None,
        seed: int = 0,
        sink: Sink | None = None,
    ) -> None:
        """`links` lead to the client, one per path; `back` is its way to the server."""
        self.seed = seed
        self.now = 1_000_000_000
        random = Random(seed)
        self._random = random
        if back is None:
            back = LinkConfig(delay_ns=min(link.delay_ns for link in links))
        self.forward = [Pipe[Segment](link, random) for link in links]
        self.back = Pipe[Segment](back, random)
        self.server = Endpoint(
            config or Config(),
            SERVER,
            [link.mtu or MTU for link in links],
            secret=b"server secret 16",
            random=random.random,
            sink=sink,
        )
        self.remote = Endpoint(
            client_config or Config(),
            CLIENT,
            [MTU],
            secret=b"client secret 16",
            random=random.random,
        )
        self.server.listen(PORT)
        self.client = Client()
        self.accepted: Connection | None = None
        self._unwritten = memoryview(b"")
        self._close_after = False
        self.drops: list[Filter] = []
        """Any of them may drop a segment on its way to the client."""
        self.sent_segments = 0
        self._schedule: list[tuple[int, Callable[[], None]]] = []

    # What tests ask for

    def at(self, now: int, action: Callable[[], None]) -> None:
        """Run `action` at time `now`, counted from the start of the simulation."""
        self._schedule.append((1_000_000_000 + now, action))
        self._schedule.sort(key=lambda entry: entry[0])

    @property
    def elapsed(self) -> int:
        """Virtual time since the start."""
        return self.now - 1_000_000_000

    def connect(self) -> Connection:
        """Have the client connect; returns its connection."""
        connection = self.client.connection = self.remote.connect(self.now, SERVER, PORT)
        self._drain()
        return connection

    def serve(self, data: bytes | memoryview, *, close: bool = True) -> None:
        """Write `data` from the server, as its buffer drains, then close."""
        self._unwritten = memoryview(data)
        self._close_after = close
        self._feed()
        self._drain()

    def configure(self, path: int, config: LinkConfig, *, lose_in_flight: bool = True) -> None:
        """Change a forward link now."""
        self.forward[path].configure(self.now, config, lose_in_flight=lose_in_flight)

    def run(
        self,
        until: Callable[[], bool] | None = None,
        *,
        seconds: float = 60.0,
        max_steps: int = 50_000_000,
    ) -> bool:
        """Step until `until` holds or nothing is left to do; whether it holds.

        Stops after `seconds` of virtual time. Raises LocalError after `max_steps`, a livelock.
        """
        limit = self.now + int(seconds * 1e9)
        for _ in range(max_steps):
            if until is not None and until():
                return True
            if not self.step(limit):
                return until() if until is not None else True
        raise LocalError(f"still busy after {max_steps} steps (seed {self.seed})")

    def step(self, limit: int | None = None) -> bool:
        """Jump to the next arrival, deadline or action and handle it; False when there is none."""
        now = self._next()
        if now is None or (limit is not None and now > limit):
            if limit is not None:
                self.now = max(self.now, limit)
            return False
        self.now = max(self.now, now)
        while self._schedule and self._schedule[0][0] <= self.now:
            self._schedule.pop(0)[1]()
        for pipe in self.forward:
            while (segment := pipe.poll_delivery(self.now)) is not None:
                self.remote.handle_segment(self.now, SERVER, segment)
        while (segment := self.back.poll_delivery(self.now)) is not None:
            self.server.handle_segment(self.now, CLIENT, segment)
        for endpoint in (self.server, self.remote):
            at = endpoint.poll_timeout()
            if at is not None and at <= self.now:
                endpoint.handle_timeout(self.now)
        self._drain()
        return True

    def _next(self) -> int | None:
        times = [pipe.next_delivery() for pipe in (*self.forward, self.back)]
        times += [self.server.poll_timeout(), self.remote.poll_timeout()]
        if self._schedule:
            times.append(self._schedule[0][0])
        return min((at for at in times if at is not None), default=None)

    # Moving things

    def _feed(self) -> None:
        connection = self.accepted
        if connection is None or not (self._unwritten or self._close_after):
            return
        high = connection.config.send_buffer
        while self._unwritten and connection.unsent < high:
            connection.write(self._unwritten[:CHUNK])
            self._unwritten = self._unwritten[CHUNK:]
        if self._unwritten:
            connection.notify_below(high // 2)
        elif self._close_after:
            self._close_after = False
            connection.close()
        self.server.touch(connection)

    def _drain(self) -> None:
        busy = True
        while busy:
            busy = False
            while (accepted := self.server.poll_accept()) is not None:
                self.accepted = accepted
                self._feed()
            for connection in self.server.poll_ready():
                busy = True
                self._pump_server(connection)
                while (transmit := connection.poll_transmit(self.now)) is not None:
                    self._forward(transmit.path, transmit.segment, transmit.segment_size)
                self._pump_server(connection)
                self.server.settle(self.now, connection)
            for connection in self.remote.poll_ready():
                busy = True
                self.client.pump(self.now)
                while (transmit := connection.poll_transmit(self.now)) is not None:
                    for piece in cut(transmit.segment, transmit.segment_size):
                        self.back.send(self.now, piece, wire_size(piece))
                self.remote.settle(self.now, connection)
            while (reply := self.server.poll_reply()) is not None:
                self._forward(0, reply.segment, 1)
            while (reply := self.remote.poll_reply()) is not None:
                self.back.send(self.now, reply.segment, wire_size(reply.segment))

    def _pump_server(self, connection: Connection) -> None:
        while (event := connection.poll_event()) is not None:
            if isinstance(event, Drained):
                self._feed()
            elif isinstance(event, Readable):
                self.on_request(connection, connection.read(CHUNK))
            elif isinstance(event, EndOfStream) and not self._unwritten:
                connection.close()

    def on_request(self, connection: Connection, data: bytes) -> None:
        """What the client sent; tests replace it."""

    def _forward(self, path: int, segment: Segment, segment_size: int) -> None:
        pipe = self.forward[path]
        for piece in cut(segment, segment_size):
            self.sent_segments += 1
            if any(drop(self.now, piece) for drop in self.drops):
                continue
            pipe.send(self.now, piece, wire_size(piece), ect=piece.ecn != 0)
