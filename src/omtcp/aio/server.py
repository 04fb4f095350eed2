"""A served address inside an asyncio program."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from omtcp.aio.administration import Host, PathAdministration
from omtcp.aio.transport import Transport
from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Closed, Event
from omtcp.core.stats import (
    NO_PRIMARY,
    ConnectionStats,
    PathStats,
    ServerStats,
    UplinkStats,
)
from omtcp.net.address import Address
from omtcp.net.driver import Driver
from omtcp.trace.events import Sink

_log = logging.getLogger("omtcp.aio")

_STATES = {"active": "up", "untried": "up"}
_PARTING_MAX_NS = 1_000_000_000
_NO_MTU = 1500
"""Stands in the place of a path that was removed."""


class ServingHost(Host, Protocol):
    """What an address is served on."""

    @property
    def address(self) -> Address:
        """The served address."""

    @property
    def ever(self) -> int:
        """How many paths there were so far: the index of the next one."""

    def device_of(self, index: int) -> str | None:
        """The interface of a path; None if there is no such path any more."""


class Server:
    """Hands each new connection to a protocol of its own."""

    def __init__(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        endpoint: Endpoint,
        name_of: Callable[[int], str | None],
    ) -> None:
        """`name_of` says what a path is called; None when it is no more."""
        self._protocol_factory = protocol_factory
        self._endpoint = endpoint
        self._name_of = name_of
        self._transports: dict[Connection, Transport] = {}
        self._driver: Driver | None = None
        self._paths: PathAdministration | None = None

    def attach(self, driver: Driver, paths: PathAdministration | None = None) -> None:
        """The driver that runs the endpoint, and who may change its paths."""
        self._driver = driver
        self._paths = paths

    @property
    def paths(self) -> PathAdministration:
        """The paths, to be looked at and changed."""
        assert self._paths is not None
        return self._paths

    @property
    def driver(self) -> Driver:
        """What runs the connections."""
        assert self._driver is not None
        return self._driver

    def handle_path(self, index: int, up: bool) -> None:
        """The link of a path went down, or came up."""
        self.driver.handle_path(index, up)

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
        """A snapshot of all connections that are under way, and of the paths."""
        return ServerStats(
            connections=tuple(
                self._stats_of(connection)
                for connection in self._endpoint.connections.values()
                if connection.sender is not None and not connection.over
            ),
            uplinks=tuple(
                UplinkStats(
                    name=name,
                    bytes_sent=path.tally.sent,
                    bytes_retransmitted=path.tally.resent,
                )
                for path in self._endpoint.paths
                if (name := self._name_of(path.index)) is not None
            ),
        )

    def _stats_of(self, connection: Connection) -> ConnectionStats:
        sender = connection.sender
        assert sender is not None
        named = [(subflow, self._name_of(subflow.index)) for subflow in sender.subflows]
        shown = [(subflow, name) for subflow, name in named if name is not None]
        subflows = [subflow for subflow, _ in shown]
        return ConnectionStats(
            peer=connection.flow.peer,
            primary=subflows.index(sender.best) if sender.best in subflows else NO_PRIMARY,
            paths=tuple(
                PathStats(
                    name=name,
                    state=_STATES.get(subflow.status, subflow.status),
                    cwnd=subflow.controller.cwnd,
                    srtt_ns=subflow.rtt.srtt_ns,
                    in_flight=subflow.in_flight,
                    bytes_sent=subflow.sent_bytes,
                    bytes_retransmitted=subflow.resent_bytes,
                )
                for subflow, name in shown
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
        paths: each DEV[@GATEWAY], maybe with its cost as in DEV,cost=5.
        config: options of every connection.
        trace: takes trace events.

    Raises:
        SetupError: the host cannot be prepared; it is left as it was.
    """
    # Here and not above, for workers: what they never use would take a third of their memory.
    from omtcp.aio.uplinks import watched
    from omtcp.net.plumbing import Plumbing
    from omtcp.net.watch import UplinkWatch

    with Plumbing(address, paths) as plumbing, UplinkWatch(plumbing) as watch:
        for warning in plumbing.warnings:
            _log.warning("%s", warning)
        async with serve_over(
            plumbing, protocol_factory, port, config=config, trace=trace, on_change=watch.follow
        ) as server:
            with watched(plumbing, watch, server.handle_path):
                yield server


@asynccontextmanager
async def serve_over(
    host: ServingHost,
    protocol_factory: Callable[[], asyncio.Protocol],
    port: int,
    *,
    config: Config | None = None,
    trace: Sink | None = None,
    secret: bytes | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> AsyncIterator[Server]:
    """Accept connections to `port` over what a host has been prepared with, as `serve` does.

    `secret` is that of the initial sequence numbers, 32 bytes; drawn unless given. `on_change` is
    called when there are other paths than before.
    """
    plumbed = [host.paths.get(index) for index in range(host.ever)]
    endpoint = Endpoint(
        config or Config(),
        host.address.packed,
        [path.uplink.mtu if path is not None else _NO_MTU for path in plumbed],
        secret=secret or secrets.token_bytes(32),
        random=random.SystemRandom().random,
        sink=trace,
    )
    for path, found in zip(endpoint.paths.ever(), plumbed, strict=True):
        path.removed = found is None
        if found is not None:
            path.cost = found.spec.cost or 0
            path.up = found.uplink.carrier
    endpoint.listen(port)
    server = Server(protocol_factory, endpoint, host.device_of)
    driver = Driver(
        asyncio.get_running_loop(),
        endpoint,
        [path.tun if path is not None else None for path in plumbed],
        server.on_event,
        server.on_accept,
    )
    server.attach(driver, PathAdministration(endpoint, host, driver, on_change))
    driver.start()
    try:
        yield server
    finally:
        endpoint.unlisten(port)
        try:
            await asyncio.sleep(server.abort_all())
        finally:
            driver.stop()
