"""A served address inside an asyncio program."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from omtcp.aio.transport import Transport
from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Closed, Event
from omtcp.core.stats import ConnectionStats, PathStats, ServerStats
from omtcp.errors import SetupError
from omtcp.net.driver import Driver
from omtcp.net.plumbing import Plumbing
from omtcp.net.watch import UplinkWatch
from omtcp.trace.events import Sink

_log = logging.getLogger("omtcp.aio")

_STATES = {"active": "up", "untried": "up"}
_PARTING_MAX_NS = 1_000_000_000


class Server:
    """Hands each new connection to a protocol of its own."""

    def __init__(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        endpoint: Endpoint,
        names: Sequence[str],
    ) -> None:
        self._protocol_factory = protocol_factory
        self._endpoint = endpoint
        self._names = list(names)
        self._transports: dict[Connection, Transport] = {}
        self._driver: Driver | None = None

    def attach(self, driver: Driver) -> None:
        """The driver that runs the endpoint."""
        self._driver = driver

    def on_accept(self, connection: Connection) -> None:
        """A handshake is complete."""
        assert self._driver is not None
        transport = self._transports[connection] = Transport(connection, self._driver.wake)
        try:
            protocol = self._protocol_factory()
        except Exception:
            _log.exception("%s: no protocol could be made", connection.flow.peer)
            transport.abort()
        else:
            transport.connect(protocol)

    def on_event(self, connection: Connection, event: Event) -> None:
        """Something happened on a connection."""
        transport = self._transports.get(connection)
        if transport is None:
            return
        transport.handle_event(event)
        if isinstance(event, Closed):  # the last one, however long the state has been CLOSED
            del self._transports[connection]

    def stats(self) -> ServerStats:
        """A snapshot of all connections that are under way."""
        return ServerStats(
            connections=tuple(
                self._stats_of(connection)
                for connection in self._endpoint.connections.values()
                if connection.sender is not None and not connection.over
            )
        )

    def _stats_of(self, connection: Connection) -> ConnectionStats:
        sender = connection.sender
        assert sender is not None
        return ConnectionStats(
            peer=connection.flow.peer,
            primary=sender.best.index,
            paths=tuple(
                PathStats(
                    name=self._names[subflow.index],
                    state=_STATES.get(subflow.state, subflow.state),
                    cwnd=subflow.controller.cwnd,
                    srtt_ns=subflow.rtt.srtt_ns,
                    in_flight=subflow.in_flight,
                    bytes_sent=subflow.sent_bytes,
                    bytes_retransmitted=subflow.resent_bytes,
                )
                for subflow in sender.subflows
            ),
        )

    def abort_all(self) -> float:
        """Reset what is still open, so that no client waits for us.

        Returns for how many seconds what still arrives should be refused: a reset that overtakes
        data on another path is not believed (RFC 5961 section 3.2), the client asks again.
        """
        parting_ns = 0
        for connection in list(self._endpoint.connections.values()):
            sender = connection.sender
            if sender is not None and sender.board.una < sender.board.nxt:
                slowest = max(subflow.rtt.rto_ns for subflow in sender.subflows)
                parting_ns = max(parting_ns, min(slowest, _PARTING_MAX_NS))
            connection.abort()
            self._endpoint.touch(connection)
        if self._driver is not None:
            self._driver.flush()
        return parting_ns / 1e9


@asynccontextmanager
async def serve(
    protocol_factory: Callable[[], asyncio.Protocol],
    address: str,
    port: int,
    paths: Sequence[str],
    *,
    config: Config | None = None,
    trace: Sink | None = None,
) -> AsyncIterator[Server]:
    """Accept connections to `address` and `port` over `paths` while the context lasts.

    Args:
        protocol_factory: makes a protocol per connection, as for `loop.create_server`.
        address: IPv4 or IPv6, not owned by this host's kernel.
        port: to listen on.
        paths: each DEV[@GATEWAY].
        config: options of every connection.
        trace: takes trace events.

    Raises:
        SetupError: the host cannot be prepared; it is left as it was.
    """
    with Plumbing(address, paths) as plumbing:
        for warning in plumbing.warnings:
            _log.warning("%s", warning)
        endpoint = Endpoint(
            config or Config(),
            plumbing.address.packed,
            [uplink.mtu for uplink in plumbing.uplinks],
            secret=secrets.token_bytes(32),
            random=random.SystemRandom().random,
            sink=trace,
        )
        endpoint.listen(port)
        server = Server(protocol_factory, endpoint, [uplink.device for uplink in plumbing.uplinks])
        driver = Driver(
            asyncio.get_running_loop(),
            endpoint,
            plumbing.tuns,
            server.on_event,
            server.on_accept,
        )
        server.attach(driver)
        driver.start()
        try:
            with _watched(plumbing, driver):
                yield server
        finally:
            endpoint.unlisten(port)
            try:
                await asyncio.sleep(server.abort_all())
            finally:
                driver.stop()


@contextmanager
def _watched(plumbing: Plumbing, driver: Driver) -> Iterator[None]:
    """Meanwhile uplinks that come back are repaired, and the driver hears which go and come."""
    loop = asyncio.get_running_loop()

    def tell(changes: list[tuple[int, bool]]) -> None:
        for path, up in changes:
            _log.warning("path %s is %s", plumbing.uplinks[path], "up" if up else "down")
            driver.handle_path(path, up)

    def on_readable() -> None:
        try:
            tell(watch.handle_readable())
        except SetupError as error:
            _log.warning("%s", error)
            tell(watch.poll_changes())

    with UplinkWatch(plumbing) as watch:
        for path, uplink in enumerate(plumbing.uplinks):
            if not uplink.carrier:
                driver.handle_path(path, False)
        loop.add_reader(watch.fileno(), on_readable)
        try:
            yield
        finally:
            loop.remove_reader(watch.fileno())
