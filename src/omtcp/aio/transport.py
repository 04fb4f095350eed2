"""A connection of ours as an asyncio transport: protocols written for sockets run unchanged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from omtcp.core.connection import Connection
from omtcp.core.events import Closed, Drained, EndOfStream, Event, Readable
from omtcp.errors import OmtcpError, PeerError, PeerTimeoutError

_log = logging.getLogger("omtcp.aio")

READ_SIZE = 256 << 10

_NOTHING: dict[str, Any] = {}
"""What asyncio would keep per transport; `get_extra_info` is our own."""


class Transport(asyncio.Transport):
    """What a protocol writes to.

    `write` keeps a reference to `bytes` and `memoryview` and copies nothing: the memory must not
    change until the peer has acknowledged it. A `bytearray` is copied, as its owner is free to
    change it. The write buffer that the protocol is asked to pause for is what was written and
    *not yet sent*; what is under way is the receive window's business, not memory's.
    """

    __slots__ = (
        "_closing",
        "_connection",
        "_eof",
        "_eof_sent",
        "_high",
        "_lost",
        "_low",
        "_paused",
        "_protocol",
        "_reading",
        "_wake",
    )

    def __init__(self, connection: Connection, wake: Callable[[Connection], None]) -> None:
        super().__init__(_NOTHING)
        self._connection = connection
        self._wake = wake
        self._protocol: asyncio.Protocol | None = None
        self._high = connection.config.send_buffer
        self._low = self._high // 4
        self._paused = False
        self._reading = True
        self._closing = False
        self._lost = False
        self._eof = False
        self._eof_sent = False

    def connect(self, protocol: asyncio.Protocol) -> None:
        """Introduce the protocol; called once."""
        self._protocol = protocol
        try:
            protocol.connection_made(self)
        except Exception:
            self._fail()

    def handle_event(self, event: Event) -> None:
        """The core says that something happened."""
        try:
            self._handle(event)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        """An error in a protocol, just caught, ends its own connection and no other."""
        _log.exception("%s: the protocol failed", self._connection.flow.peer)
        self.abort()

    def _handle(self, event: Event) -> None:
        if isinstance(event, Readable):
            self._deliver()
        elif isinstance(event, Drained):
            self._resume_writing()
        elif isinstance(event, EndOfStream):
            self._eof = True
            self._deliver()
        elif isinstance(event, Closed):
            self._lose(event.error)

    def _deliver(self) -> None:
        """Pass on what has arrived, unless the protocol paused; then the window closes."""
        connection = self._connection
        while connection.readable and self._reading and not self._lost:
            data = connection.read(READ_SIZE)
            if self._protocol is not None and not self._closing:
                self._protocol.data_received(data)
            self._wake(connection)
        if self._eof and self._reading and not self._closing and self._protocol is not None:
            self._eof = False
            if not self._protocol.eof_received():
                self.close()

    def _lose(self, error: OmtcpError | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        failure: Exception | None = None
        if isinstance(error, PeerTimeoutError):
            failure = TimeoutError(str(error))
        elif isinstance(error, PeerError):
            failure = ConnectionResetError(str(error))
        elif error is not None:
            failure = ConnectionAbortedError(str(error))
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(failure)

    # Writing

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Queue `data`; see the class for who owns it meanwhile."""
        if self._eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or self._connection.over or not data:
            return
        self._connection.write(bytes(data) if isinstance(data, bytearray) else data)
        self._wake(self._connection)
        self._check_high()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Queue each, without joining them."""
        for data in list_of_data:
            self.write(data)

    def _check_high(self) -> None:
        if not self._paused and self._connection.unsent > self._high:
            self._paused = True
            self._connection.notify_below(self._low)
            if self._protocol is not None:
                self._protocol.pause_writing()

    def _resume_writing(self) -> None:
        if self._paused:
            self._paused = False
            if self._protocol is not None:
                self._protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As asyncio has it; in bytes."""
        if high is None:
            high = self._connection.config.send_buffer if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self._high, self._low = high, low
        self._check_high()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high)."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Bytes written and not sent."""
        return self._connection.unsent

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def write_eof(self) -> None:
        """Send a FIN after what is queued; reading goes on."""
        self._eof_sent = True
        self._connection.close()
        self._wake(self._connection)

    # Reading

    def pause_reading(self) -> None:
        """Leave what arrives in the receive buffer."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on, with what has arrived meanwhile first."""
        if not self._reading:
            self._reading = True
            # Not at once: no protocol expects data while it is still in its own call.
            asyncio.get_running_loop().call_soon(self._resume_reading)

    def _resume_reading(self) -> None:
        try:
            self._deliver()
        except Exception:
            self._fail()

    def is_reading(self) -> bool:
        """Whether data is delivered as it arrives."""
        return self._reading and not self._closing

    # Ending

    def close(self) -> None:
        """Send what is queued and a FIN; what still arrives is dropped."""
        if not self._closing:
            self._closing = self._reading = True
            self._connection.close()
            self._wake(self._connection)

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the connection is over."""
        return self._closing

    def abort(self) -> None:
        """Reset the connection."""
        if not self._lost:
            self._closing = True
            self._connection.abort()
            self._wake(self._connection)

    # Looking

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername`, `sockname` as (address, port); `omtcp` is the core's connection."""
        flow = self._connection.flow
        if name == "peername":
            return (flow.remote_text, flow.remote_port)
        if name == "sockname":
            return (flow.local_text, flow.local_port)
        if name == "omtcp":
            return self._connection
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Put another protocol in place."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("buffered protocols are not supported")
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The present protocol."""
        assert self._protocol is not None
        return self._protocol
