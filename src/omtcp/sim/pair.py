"""A multihomed server, clients at one address, and the links between them, in virtual time.

Both ends are the real core. The clients have one address and one way back, as the paper assumes;
the server has one link per path. Nothing here sleeps or looks at a clock: `step` jumps to the next
arrival, deadline or action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from omtcp.core.config import Config, Mode
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Closed, Drained, EndOfStream, Readable
from omtcp.errors import LocalError
from omtcp.link import LinkConfig
from omtcp.link.pipe import Pipe
from omtcp.sim.client import CHUNK, Buffer, Client, Writer
from omtcp.sim.packets import cut, wire_size
from omtcp.sim.rivals import Rivals
from omtcp.sim.schedule import Action, Schedule
from omtcp.sim.shared import SharedLink
from omtcp.sim.traffic import ConstantRate
from omtcp.trace.events import Sink
from omtcp.wire.tcp import Segment

SERVER = bytes([198, 51, 100, 1])
CLIENT = bytes([203, 0, 113, 9])
PORT = 80
MTU = 1500
START = 1_000_000_000
"""The core's time when a simulation starts; zero would hide mistakes."""
BACK = -1
"""Stands for the way back where a path is named."""

Filter = Callable[[int, Segment], bool]
"""(now, segment) -> whether the network drops it."""
Tap = Callable[[int, int, Segment], None]
"""(now, path or BACK, packet)."""


class Pair:
    """A server and its clients; see the module.

    Attributes worth knowing: `client`, `accepted` and `clients`, `connections` (the first, and
    all, in the order they came); `drops`, `path_drops` and `drops_back` (filters); `taps`.
    """

    def __init__(
        self,
        links: Sequence[LinkConfig],
        *,
        back: LinkConfig | None = None,
        config: Config | None = None,
        client_config: Config | None = None,
        seed: int = 0,
        sink: Sink | None = None,
        behind: Sequence[SharedLink | None] = (),
    ) -> None:
        """A server and a host of clients that have not connected yet.

        Args:
            links: lead to the client, one per path.
            back: the client's way to the server.
            config: options of the server.
            client_config: options of the clients.
            seed: of all that is random.
            sink: takes the server's trace.
            behind: what each path leads into behind its link, None for the client itself; the
                same link several times for paths that share it. See `compete`.
        """
        self.seed = seed
        self.now = START
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
        self.clients: list[Client] = [Client()]
        self.connections: list[Connection] = []
        self._client_of: dict[Connection, Client] = {}
        self._writers: dict[Connection, Writer] = {}
        self._first_writer = Writer()
        self.drops: list[Filter] = []
        """Any of them may drop a packet on its way to the client."""
        self.path_drops: list[list[Filter]] = [[] for _ in links]
        """The same for each path alone."""
        self.drops_back: list[Filter] = []
        """Any of them may drop a packet on its way to the server."""
        self.taps: list[Tap] = []
        """See each packet as it is sent, before any link decides about it."""
        self.arrival_taps: list[Tap] = []
        """See each packet as it arrives."""
        self.sent_segments = 0
        self._deliver_by = [partial(self._deliver, path) for path in range(len(links))]
        self.behind = list(behind) or [None] * len(links)
        self._shared = list(dict.fromkeys(link for link in self.behind if link is not None))
        self._rivals = Rivals()
        self.touched = False
        """Whether others gave it something to do now."""
        self._schedule = Schedule()

    # What tests ask for

    @property
    def client(self) -> Client:
        """The first client."""
        return self.clients[0]

    @property
    def accepted(self) -> Connection | None:
        """The server's end of the first connection."""
        return self.connections[0] if self.connections else None

    def at(self, now: int, action: Callable[[], None]) -> None:
        """Run `action` at time `now`, counted from the start of the simulation."""
        self._at(START + now, lambda _: action())

    def _at(self, now: int, action: Action) -> None:
        self._schedule.add(now, action)

    def every(self, interval: int, action: Callable[[], bool], *, first: int = 0) -> None:
        """Run `action` every `interval` ns from `first` on, for as long as it says True."""

        def run(now: int) -> None:
            if action():
                self._at(now + interval, run)

        self._at(START + first, run)

    @property
    def elapsed(self) -> int:
        """Virtual time since the start."""
        return self.now - START

    def connect(self) -> Connection:
        """Have a client connect, the first or one more; returns its connection."""
        if self.client.connection is not None:
            self.clients.append(Client())
        client = self.clients[-1]
        connection = client.connection = self.remote.connect(self.now, SERVER, PORT)
        self._client_of[connection] = client
        self._drain()
        return connection

    def serve(self, data: bytes | memoryview, *, close: bool = True) -> None:
        """Write `data` to the first connection as its buffer drains, then close.

        It may be called before there is a connection.
        """
        accepted = self.accepted
        writer = self._writers[accepted] if accepted else self._first_writer
        self._put(writer, data, close)
        if accepted is not None:
            self._feed(accepted)
        self._drain()

    def write(self, connection: Connection, data: Buffer, *, close: bool = False) -> None:
        """Write `data` to a connection of the server as its buffer drains.

        To be called from `on_request`, `on_accept` or an action of `at`; else call `wake` after.
        """
        self._put(self._writers[connection], data, close)
        self._feed(connection)

    def send(self, data: Buffer, *, close: bool = False, client: Client | None = None) -> None:
        """Have a client write `data`, by default the first."""
        client = client or self.client
        assert client.connection is not None
        self._put(client.writer, data, close)
        self.remote.touch(client.connection)
        self._drain()

    @staticmethod
    def _put(writer: Writer, data: Buffer, close: bool) -> None:
        writer.write(data)
        if close:
            writer.close()

    def pause(self, client: Client | None = None) -> None:
        """Have a client stop reading."""
        (client or self.client).paused = True

    def resume(self, client: Client | None = None) -> None:
        """Have a client read again, first what has arrived."""
        client = client or self.client
        client.paused = False
        assert client.connection is not None
        self.remote.touch(client.connection)

    def read(self, limit: int, client: Client | None = None) -> int:
        """Have a paused client read up to `limit` bytes; how many there were."""
        client = client or self.client
        assert client.connection is not None
        taken = client.read(self.now, limit)
        self.remote.touch(client.connection)
        return taken

    def wake(self) -> None:
        """Send what came of verbs that a test called on a connection itself."""
        for endpoint in (self.server, self.remote):
            for connection in endpoint.connections.values():
                endpoint.touch(connection)
        self._drain()

    def configure(self, path: int, config: LinkConfig, *, lose_in_flight: bool = True) -> None:
        """Change a forward link, or with BACK the way back, now."""
        pipe = self.back if path == BACK else self.forward[path]
        pipe.configure(self.now, config, lose_in_flight=lose_in_flight)

    def add_link(self, link: LinkConfig, *, cost: int = 0) -> int:
        """Give the server one more path, now; its index."""
        self.forward.append(Pipe[Segment](link, self._random))
        self.path_drops.append([])
        self._deliver_by.append(partial(self._deliver, len(self._deliver_by)))
        self.behind.append(None)
        path = self.server.add_path(self.now, link.mtu or MTU, cost=cost)
        self._drain()
        return path

    def cross_traffic(
        self, path: int, rate_bps: int, *, start: int = 0, end: int, packet_size: int = 1500
    ) -> ConstantRate:
        """Load a link with somebody else's packets from `start` to `end`, counted as for `at`."""
        pipe = self.back if path == BACK else self.forward[path]
        source = ConstantRate(pipe, rate_bps, START + end, self._at, packet_size)
        self._at(START + start, source)
        return source

    def compete(
        self,
        link: SharedLink,
        data: Buffer,
        *,
        delay_ns: int = 0,
        back_ns: int,
        start: int = 0,
        config: Config | None = None,
    ) -> Pair:
        """Have somebody else send `data` through `link`, one of `behind`, over one connection.

        `delay_ns` lies between their server and the link, `back_ns` between their client and the
        server; they begin at `start`, counted as for `at`, and run CUBIC over one path unless
        `config` says otherwise. They are a pair of their own, which runs in step with this one.
        """
        rival = Pair(
            [LinkConfig(delay_ns=delay_ns)],
            back=LinkConfig(delay_ns=back_ns),
            config=config or Config(mode=Mode.SINGLE),
            client_config=self.remote.config,
            seed=self.seed + 1 + len(self._rivals),
            behind=[link],
        )
        rival.client.keep = False
        rival._put(rival._first_writer, data, True)
        self._rivals.add(rival)

        def begin(now: int) -> None:
            rival.now = now
            rival.connect()
            rival.touched = True

        self._at(START + start, begin)
        return rival

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
        now = self.next()
        if now is None or (limit is not None and now > limit):
            if limit is not None:
                self.now = max(self.now, limit)
            return False
        self.advance(max(self.now, now))
        return True

    def advance(self, now: int) -> None:
        """Handle everything that is due at `now`."""
        self.now = now
        self.touched = False
        self._schedule.run(now)
        for path, pipe in enumerate(self.forward):
            while (segment := pipe.poll_delivery(now)) is not None:
                link = self.behind[path]
                if link is None:
                    self._deliver(path, now, segment)
                else:
                    link.send(now, segment, self._deliver_by[path])
        for link in self._shared:
            link.deliver(now)
        while (segment := self.back.poll_delivery(now)) is not None:
            self._arrive(now, BACK, segment)
            self.server.handle_segment(now, CLIENT, segment)
        for endpoint in (self.server, self.remote):
            at = endpoint.poll_timeout()
            if at is not None and at <= now:
                endpoint.handle_timeout(now)
        self._drain()
        self._rivals.advance(now)

    def _deliver(self, path: int, now: int, segment: Segment) -> None:
        """A packet reaches the clients' host."""
        self.touched = True
        self._arrive(now, path, segment)
        self.remote.handle_segment(now, SERVER, segment)

    def _arrive(self, now: int, path: int, segment: Segment) -> None:
        for tap in self.arrival_taps:
            tap(now, path, segment)

    def next(self) -> int | None:
        """When something happens next, None when nothing will."""
        times = [pipe.next_delivery() for pipe in (*self.forward, self.back)]
        times += [link.next_delivery() for link in self._shared]
        times += [self.server.poll_timeout(), self.remote.poll_timeout()]
        times += [self._schedule.next(), self._rivals.next()]
        return min((at for at in times if at is not None), default=None)

    # The server's application; tests replace these two

    def on_accept(self, connection: Connection) -> None:
        """A handshake is complete at the server."""

    def on_request(self, connection: Connection, data: bytes) -> None:
        """What a client sent."""

    # Moving things

    def _feed(self, connection: Connection) -> None:
        writer = self._writers[connection]
        if writer:
            writer.feed(connection)
            self.server.touch(connection)

    def _drain(self) -> None:
        busy = True
        while busy:
            busy = False
            while (accepted := self.server.poll_accept()) is not None:
                self._welcome(accepted)
            for connection in self.server.poll_ready():
                busy = True
                self._pump_server(connection)
                while (transmit := connection.poll_transmit(self.now)) is not None:
                    self._forward(transmit.path, transmit.segment, transmit.segment_size)
                self._pump_server(connection)
                self.server.settle(self.now, connection)
            for connection in self.remote.poll_ready():
                busy = True
                client = self._client_of.get(connection)
                if client is not None:
                    client.pump(self.now)
                while (transmit := connection.poll_transmit(self.now)) is not None:
                    self._backward(transmit.segment, transmit.segment_size)
                self.remote.settle(self.now, connection)
                if connection.has_events:
                    self.remote.touch(connection)
            while (reply := self.server.poll_reply()) is not None:
                self._forward(reply.path, reply.segment, 1)
            while (reply := self.remote.poll_reply()) is not None:
                self._backward(reply.segment, 1)

    def _welcome(self, connection: Connection) -> None:
        self._writers[connection] = Writer() if self.connections else self._first_writer
        self.connections.append(connection)
        self.on_accept(connection)
        self._feed(connection)

    def _pump_server(self, connection: Connection) -> None:
        while (event := connection.poll_event()) is not None:
            if isinstance(event, Drained):
                self._feed(connection)
            elif isinstance(event, Readable):
                self.on_request(connection, connection.read(CHUNK))
            elif isinstance(event, EndOfStream):
                self._writers[connection].close()
                self._feed(connection)
            elif isinstance(event, Closed):
                self._writers[connection] = Writer()

    def _forward(self, path: int, segment: Segment, segment_size: int) -> None:
        pipe = self.forward[path]
        drops = self.drops + self.path_drops[path]
        for piece in cut(segment, segment_size):
            self.sent_segments += 1
            for tap in self.taps:
                tap(self.now, path, piece)
            if any(drop(self.now, piece) for drop in drops):
                continue
            pipe.send(self.now, piece, wire_size(piece), ect=piece.ecn != 0)

    def _backward(self, segment: Segment, segment_size: int) -> None:
        for piece in cut(segment, segment_size):
            for tap in self.taps:
                tap(self.now, BACK, piece)
            if any(drop(self.now, piece) for drop in self.drops_back):
                continue
            self.back.send(self.now, piece, wire_size(piece))
