"""Drivers over devices that exist in memory only, in an event loop whose clock jumps.

Packets are real ones, made and parsed by `wire`; only the device and the time are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from random import Random
from typing import Any, TypeVar, cast

from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Event
from omtcp.net.driver import Driver
from omtcp.net.tun import Tun
from omtcp.wire.checksum import word_sum
from omtcp.wire.header import MAX_PAYLOAD
from omtcp.wire.packet import TcpPacket, parse_packet
from omtcp.wire.train import Packet

SERVER, CLIENT = bytes([198, 51, 100, 1]), bytes([203, 0, 113, 9])
PORT = 80
T = TypeVar("T")


class JumpingSelector(selectors.DefaultSelector):
    """When nothing is ready, time jumps to the next timer instead of passing."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; never waits."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits, and nobody will ever wake them")
        if not ready and timeout:
            self.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Virtual time; a test that would wait for ever fails instead."""

    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        self.timers = 0
        """How many were armed so far."""
        super().__init__(self.jumping)

    def time(self) -> float:
        """The clock, seconds."""
        return self.jumping.now

    def call_at(  # type: ignore[override]  # the base's type variables add nothing here
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Counted."""
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def run(main: Callable[[JumpingLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a test in a loop of its own."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class FakeTun:
    """One end of a wire; what is written comes out of `other`, cut as a device would."""

    def __init__(self) -> None:
        self.name = "fake0"
        self.mtu = 1500
        self.most = MAX_PAYLOAD
        self.other: FakeTun | None = None
        self.inbox: deque[bytes] = deque()
        self.written: list[bytes] = []
        self.fail_with: Exception | None = None
        """What the next write raises."""
        self.full = False
        """Whether the device has no room for packets."""
        self.read_error: Exception | None = None
        self._ready = os.eventfd(0, os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Readable while there are packets."""
        return self._ready

    def close(self) -> None:
        """Give the descriptor back."""
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1

    def put(self, packet: bytes) -> None:
        """A packet arrives here."""
        if self._ready >= 0:
            self.inbox.append(packet)
            os.eventfd_write(self._ready, 1)

    def read_into(self, buffer: bytearray | memoryview) -> tuple[int, bool] | None:
        """As `Tun.read_into`."""
        if self.read_error is not None:
            raise self.read_error
        if not self.inbox:
            if self._ready >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._ready)
            return None
        packet = self.inbox.popleft()
        buffer[: len(packet)] = packet
        return len(packet), True

    def write(
        self,
        header: bytes,
        payload: Sequence[bytes],
        segment_size: int,
        ip_header_length: int,
    ) -> bool:
        """As `Tun.write`; a super-segment stays whole, as it does between hosts of one machine."""
        if self.fail_with is not None:
            error, self.fail_with = self.fail_with, None
            raise error
        if self.full:
            return False
        return self._deliver(header + b"".join(payload))

    def write_all(
        self, packets: Iterable[Packet], segment_size: int, ip_header_length: int
    ) -> tuple[int, int]:
        """As `Tun.write_all`."""
        done = [
            self.write(
                bytes(header), [bytes(part) for part in payload], segment_size, ip_header_length
            )
            for header, payload in packets
        ]
        return len(done), done.count(False)

    def write_packet(self, packet: bytes) -> bool:
        """As `Tun.write_packet`."""
        return self.write(packet, (), 0, 20)

    def _deliver(self, packet: bytes) -> bool:
        self.written.append(packet)
        if self.other is not None:
            self.other.put(packet)
        return True

    def segments(self) -> list[TcpPacket]:
        """What was written, parsed."""
        parsed = [parse_packet(packet, checksum_valid=True) for packet in self.written]
        return [packet for packet in parsed if isinstance(packet, TcpPacket)]


def joined() -> tuple[FakeTun, FakeTun]:
    """Two ends of a wire."""
    one, two = FakeTun(), FakeTun()
    one.other, two.other = two, one
    return one, two


class Ends:
    """A server over some paths and a client over one, each with a driver."""

    def __init__(
        self,
        loop: JumpingLoop,
        *,
        paths: int = 1,
        config: Config | None = None,
        on_event: Callable[[Connection, Event], None] | None = None,
        on_accept: Callable[[Connection], None] | None = None,
    ) -> None:
        self.loop = loop
        random = Random(7).random
        self.tuns = [FakeTun() for _ in range(paths)]
        self.client_tun = FakeTun()
        for tun in self.tuns:
            tun.other = self.client_tun
        self.client_tun.other = self.tuns[0]
        self.endpoint = Endpoint(
            config or Config(), SERVER, [1500] * paths, secret=bytes(16), random=random
        )
        self.endpoint.listen(PORT)
        self.remote = Endpoint(Config(), CLIENT, [1500], secret=bytes(16), random=random)
        self.accepted: list[Connection] = []
        self.events: list[tuple[Connection, Event]] = []
        self.client_events: list[Event] = []
        self.driver = self._driver(
            self.endpoint,
            self.tuns,
            on_event or (lambda connection, event: self.events.append((connection, event))),
            on_accept or self.accepted.append,
        )
        self.client = self._driver(
            self.remote,
            [self.client_tun],
            lambda connection, event: self.client_events.append(event),
            lambda connection: None,
        )
        self.driver.start()
        self.client.start()

    def _driver(
        self,
        endpoint: Endpoint,
        tuns: Sequence[FakeTun],
        on_event: Callable[[Connection, Event], None],
        on_accept: Callable[[Connection], None],
    ) -> Driver:
        loop = self.loop

        class Jumping(Driver):
            @staticmethod
            def clock() -> int:
                return int(loop.time() * 1e9)

        return Jumping(loop, endpoint, cast("Sequence[Tun]", tuns), on_event, on_accept)

    def connect(self) -> Connection:
        """Have the client connect."""
        connection = self.remote.connect(self.client.clock(), SERVER, PORT)
        self.client.flush()
        return connection

    async def settle(self, turns: int = 50) -> None:
        """Let packets travel; no time passes."""
        for _ in range(turns):
            await asyncio.sleep(0)

    def close(self) -> None:
        """Stop both, close the devices."""
        self.driver.stop()
        self.client.stop()
        for tun in (*self.tuns, self.client_tun):
            tun.close()


def garbage(length: int = 40) -> bytes:
    """A packet that is none."""
    return bytes([0x45]) + bytes(length - 1)


def damaged(packet: bytes) -> bytes:
    """The same packet with a flipped bit in its IP header, so that its checksum is wrong."""
    assert word_sum(packet[:20]) is not None
    return packet[:8] + bytes([packet[8] ^ 1]) + packet[9:]
