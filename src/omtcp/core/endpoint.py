"""All connections of one served address: who a segment belongs to, who has work, and when.

Sans I/O like `connection`, and with the same four kinds of methods. Timers are lazy: a connection
stands in the agenda under its earliest known deadline; a deadline that moved later is noticed when
the old one comes up.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace

from omtcp.core.agenda import Agenda
from omtcp.core.config import Config, Mode, Policy
from omtcp.core.connection import Connection
from omtcp.core.flow import Flow
from omtcp.core.isn import initial_sequence_number
from omtcp.core.paths import Path, Paths, check_cost
from omtcp.core.state import State
from omtcp.core.strangers import Reply, Strangers
from omtcp.errors import LocalError
from omtcp.trace.events import (
    NO_CONNECTION,
    Event,
    PathAdded,
    PathCostChanged,
    PathDrained,
    PathRemoved,
    PathUndrained,
    PolicyChanged,
    Sink,
)
from omtcp.wire.icmp import IcmpKind, IcmpMessage
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, RST, SYN, Segment

EPHEMERAL_FIRST = 49_152
"""RFC 6335 section 6."""

CALM = 4
"""The part of the backlog up to which a SYN is answered over several paths if need be."""

_HEADERS = {4: 40, 6: 60}


class Endpoint:
    """The connections of one address over a fixed list of paths."""

    def __init__(
        self,
        config: Config,
        address: bytes,
        path_mtus: list[int],
        *,
        secret: bytes,
        random: Callable[[], float],
        sink: Sink | None = None,
    ) -> None:
        """An endpoint that listens on no port yet.

        Args:
            config: options of all connections.
            address: the served address, 4 or 16 bytes.
            path_mtus: MTU per path, in the order of the paths.
            secret: key of the initial sequence numbers (RFC 6528), 16 bytes or more.
            random: uniform in [0, 1).
            sink: takes trace events.
        """
        self.config = config
        self.address = address
        self._version = 4 if len(address) == 4 else 6
        self.paths = Paths(self._size(mtu) for mtu in path_mtus)
        self._random = random
        self._sink = sink
        self._secret = secret
        self._strangers = Strangers(config, self._version, self.paths, secret)
        self.cookies = self._strangers.cookies
        self._ports: set[int] = set()
        self.connections: dict[tuple[int, bytes, int], Connection] = {}
        self._half_open: dict[Connection, None] = {}
        """Those that a stranger's SYN made and that are not established yet, oldest first."""
        self._waiting: dict[Connection, None] = {}
        """Those in TIME-WAIT, oldest first."""
        self._identities = 0
        self._ready: OrderedDict[Connection, None] = OrderedDict()
        """Longest waiting first; unlike with a dict it costs nothing to take that one out."""
        self._agenda = Agenda[Connection]()
        self._accepted: deque[Connection] = deque()

    def _size(self, mtu: int) -> int:
        return mtu - _HEADERS[self._version]

    # Opening

    def listen(self, port: int) -> None:
        """Accept connections to `port`.

        Raises:
            LocalError: somebody listens there already.
        """
        if port in self._ports:
            raise LocalError(f"port {port} is in use")
        self._ports.add(port)

    def unlisten(self, port: int) -> None:
        """Refuse new connections to `port`; those that exist go on."""
        self._ports.discard(port)

    def connect(self, now: int, remote: bytes, remote_port: int) -> Connection:
        """Open a connection from an ephemeral port.

        Raises:
            LocalError: no port is free towards that remote end.
        """
        count = 65_536 - EPHEMERAL_FIRST
        first = int(self._random() * count)
        for step in range(count):
            port = EPHEMERAL_FIRST + (first + step) % count
            if (port, remote, remote_port) not in self.connections:
                connection = self._add(now, Flow(self.address, port, remote, remote_port))
                connection.connect(now)
                self.touch(connection)
                return connection
        raise LocalError("no ephemeral port is free")

    def _add(self, now: int, flow: Flow, iss: int | None = None) -> Connection:
        self._identities += 1
        if iss is None:
            iss = initial_sequence_number(secret=self._secret, now=now, **flow._asdict())
        connection = Connection(
            self.config,
            flow,
            self.paths,
            iss=iss,
            random=self._random,
            identity=self._identities,
            sink=self._sink,
        )
        self.connections[flow.local_port, flow.remote, flow.remote_port] = connection
        return connection

    # What happened

    def handle_segment(self, now: int, source: bytes, segment: Segment, path: int = 0) -> None:
        """Take in a segment from `source` to our address, which arrived by `path`."""
        connection = self.find(source, segment)
        if connection is not None and self._reopens(connection, segment):
            self._forget(connection)
            connection = None
        if connection is None:
            connection = self._accept(now, source, segment, path)
            if connection is None:
                return
        connection.handle_segment(now, segment)
        if connection in self._half_open and connection.state is not State.SYN_RECEIVED:
            del self._half_open[connection]
            if connection.sender is not None:
                self._accepted.append(connection)
        self._ready[connection] = None

    @staticmethod
    def _reopens(connection: Connection, segment: Segment) -> bool:
        """Whether a SYN may replace a connection in TIME-WAIT (RFC 9293 section 3.10.7.4)."""
        return (
            segment.flags & (SYN | ACK | RST) == SYN
            and connection.state is State.TIME_WAIT
            and connection.is_after(segment.seq)
        )

    def _accept(self, now: int, source: bytes, segment: Segment, path: int) -> Connection | None:
        """A connection for the SYN of a stranger, or for a cookie; anything else is refused.

        Nobody is answered while no path may be used.
        """
        flow = Flow(self.address, segment.destination_port, source, segment.source_port)
        wanted = segment.flags & (SYN | ACK | RST) == SYN
        if not wanted or segment.destination_port not in self._ports:
            resumed = self._resume(now, flow, segment, path)
            if resumed is None:
                self._strangers.refuse(flow, segment, path)
            return resumed
        if not self.paths.rotation():
            return None
        path = self._preferred(path)
        if self.crowded:
            self._strangers.offer_cookie(now, flow, segment, path)
            return None
        connection = self._add(now, flow)
        # While many knock they get one answer each.
        calm = len(self._half_open) < self.config.syn_backlog // CALM
        connection.listen(path, staggered=calm and self.config.mode is not Mode.SINGLE)
        self._half_open[connection] = None
        return connection

    @property
    def crowded(self) -> bool:
        """Whether so many handshakes are under way that no more are remembered."""
        return len(self._half_open) >= self.config.syn_backlog

    def _preferred(self, path: int) -> int:
        """Over which path a SYN that came by `path` is answered, cheaper ones apart.

        The way it came: that path works, and with symmetric routes it is the one the operator
        meant for this client. `single` means the first path come what may.
        """
        return 0 if self.config.mode is Mode.SINGLE else path

    def _resume(self, now: int, flow: Flow, ack: Segment, path: int) -> Connection | None:
        """The connection of which `ack` brings the cookie back, if it does."""
        if ack.flags & (SYN | ACK | RST) != ACK or ack.destination_port not in self._ports:
            return None
        syn = self.cookies.taste(now, flow.octets, ack)
        order = self.paths.rotation(self._preferred(path))
        if syn is None or not order:
            return None
        connection = self._add(now, flow, seq_add(ack.ack, -1))
        connection.resume(now, syn, order[0], self.cookies.stamp_base(flow.octets))
        self._half_open[connection] = None  # for a moment: the ACK follows
        return connection

    def handle_icmp(self, now: int, message: IcmpMessage) -> bool:
        """Take in an ICMP error about a packet of ours; what cannot be ours is ignored.

        False if it matters to the connection that it names, and there is no such connection here.
        """
        if message.kind is not IcmpKind.TOO_BIG or message.source != self.address:
            return True
        key = (message.source_port, message.destination, message.destination_port)
        connection = self.connections.get(key)
        if connection is None:
            return False
        if message.mtu:
            size = message.mtu - _HEADERS[self._version]
            connection.handle_too_big(now, message.seq, size)
            self._ready[connection] = None
        return True

    def handle_path(self, now: int, path: int, up: bool) -> None:
        """The host says that the link of `path` went down, or came up.

        A hint that spares waiting: what is under way on a dead link goes elsewhere at once, and one
        that is back is asked at once whether it works.
        """
        self.paths[path].up = up
        for connection in self.connections.values():
            connection.handle_path(now, path, up)
            self._ready[connection] = None

    # The paths, while connections live

    def add_path(
        self, now: int, mtu: int, *, cost: int = 0, up: bool = True, name: str = ""
    ) -> int:
        """One more path, which every connection asks for a sign of life; returns its index.

        Raises:
            LocalError: the cost is below zero.
        """
        path = self.paths.add(self._size(mtu), cost=cost, up=up)
        self._report(now, PathAdded(path.index, name, cost))
        self._tell_connections(now)
        return path.index

    def drain_path(self, now: int, index: int, *, force: bool = False) -> None:
        """Have a path carry nothing new, not even pings; what is under way is waited for.

        Raises:
            LocalError: there is no such path, or no other could be used, unless that is forced.
        """
        path = self._closable(index, "drained", force)
        if not path.drained:
            path.drained = True
            self._report(now, PathDrained(index))
            self._tell_connections(now)

    def undrain_path(self, now: int, index: int) -> None:
        """Use a drained path again, once it has answered a ping.

        Raises:
            LocalError: there is no such path.
        """
        path = self.paths.find(index)
        if path.drained:
            path.drained = False
            self._report(now, PathUndrained(index))
            self._tell_connections(now)

    def remove_path(self, now: int, index: int, *, force: bool = False) -> None:
        """Forget a path; what is under way over it goes out over the others at once.

        Raises:
            LocalError: there is no such path, or no other could be used, unless that is forced.
        """
        path = self._closable(index, "removed", force)
        path.removed = True
        self._report(now, PathRemoved(index))
        self._tell_connections(now)

    def set_cost(self, now: int, index: int, cost: int) -> None:
        """Have a path cost something else from now on.

        Raises:
            LocalError: there is no such path, or the cost is below zero.
        """
        path = self.paths.find(index)
        path.cost = check_cost(cost)
        self._report(now, PathCostChanged(index, cost))
        self._tell_connections(now)

    def set_policy(self, now: int, policy: Policy) -> None:
        """Have all connections, those to come included, schedule by `policy` from now on.

        Raises:
            LocalError: the mode of this endpoint does not have that policy.
        """
        if policy is self.config.policy:
            return
        self.config = replace(self.config, policy=policy)
        self._report(now, PolicyChanged(policy))
        for connection in self.connections.values():
            connection.set_policy(policy)
            self._ready[connection] = None

    def _closable(self, index: int, what: str, force: bool) -> Path:
        path = self.paths.find(index)
        if not force and self.paths.is_last(index):
            raise LocalError(f"the last path that can be used is only {what} by force")
        return path

    def _tell_connections(self, now: int) -> None:
        for connection in self.connections.values():
            connection.handle_paths(now)
            self._ready[connection] = None

    def _report(self, now: int, event: Event) -> None:
        if self._sink:
            self._sink(now, NO_CONNECTION, event)

    def handle_timeout(self, now: int) -> None:
        """Expire what is due."""
        while (connection := self.poll_due(now)) is not None:
            connection.handle_timeout(now)

    def touch(self, connection: Connection) -> None:
        """The application called a verb of `connection`: look at it again."""
        self._ready[connection] = None

    # What the caller must do

    def poll_accept(self) -> Connection | None:
        """The next connection that completed its handshake."""
        return self._accepted.popleft() if self._accepted else None

    def poll_reply(self) -> Reply | None:
        """The next segment that belongs to no connection."""
        return self._strangers.poll_reply()

    def poll_ready(self) -> list[Connection]:
        """Connections that may have segments or events, each named once per call."""
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def next_ready(self) -> Connection | None:
        """The one of them that has waited longest: for taking turns with what is to be read."""
        return self._ready.popitem(last=False)[0] if self._ready else None

    def settle(self, now: int, connection: Connection) -> None:
        """Note the deadline of a connection that was polled dry, or forget it when it is over."""
        if connection.state is State.CLOSED:
            self._forget(connection)
            return
        if connection.state is State.TIME_WAIT:
            self._let_wait(connection)
        at = connection.poll_timeout(now)
        if at is not None:
            self._agenda.put(connection, at)

    def _let_wait(self, connection: Connection) -> None:
        """Bound who is in TIME-WAIT: its purpose is worth some memory, not all of it."""
        self._waiting[connection] = None
        if len(self._waiting) > self.config.time_wait_most:
            self.discard(next(iter(self._waiting)))

    def poll_due(self, now: int) -> Connection | None:
        """The next connection whose `handle_timeout` is to be called now, instead of ours.

        A quiet one whose deadline moved later since it was noted is not bothered.
        """
        while (connection := self._agenda.pop_due(now)) is not None:
            at = connection.poll_timeout(now) if connection.quiet else now
            if at is not None and at <= now:
                self._ready[connection] = None
                return connection
            if at is not None:
                self._agenda.put(connection, at)
        return None

    def poll_timeout(self) -> int | None:
        """When `handle_timeout` is to be called next; None for never."""
        return self._agenda.next_at()

    def find(self, source: bytes, segment: Segment) -> Connection | None:
        """The connection that a segment from `source` belongs to."""
        key = (segment.destination_port, source, segment.source_port)
        return self.connections.get(key)

    def discard(self, connection: Connection) -> None:
        """Drop a connection whose state cannot be trusted; its peer's next segment is refused."""
        self._forget(connection)
        self._ready.pop(connection, None)
        if connection in self._accepted:
            self._accepted.remove(connection)

    def _forget(self, connection: Connection) -> None:
        flow = connection.flow
        key = (flow.local_port, flow.remote, flow.remote_port)
        if self.connections.get(key) is connection:
            del self.connections[key]
        self._agenda.remove(connection)
        self._half_open.pop(connection, None)
        self._waiting.pop(connection, None)
