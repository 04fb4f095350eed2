"""A transport behaves as asyncio documents: who is called when, how often, and for whose fault."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from omtcp.aio.server import Server
from omtcp.aio.transport import Transport
from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.events import Closed, EndOfStream, Event
from omtcp.core.state import State
from omtcp.wire.tcp import FIN, RST

from ..net.loopback import (  # noqa: TID252  # tests are no package to import from
    CLIENT,
    PORT,
    SERVER,
    Ends,
    JumpingLoop,
    run,
)


class Recorder(asyncio.Protocol):
    """Notes every call; `keep_open` is what eof_received answers."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = b""
        self.error: Exception | None = None
        self.keep_open = False
        self.fail_in = ""
        self.transport: Transport | None = None

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fail_in:
            raise RuntimeError(f"{name} is broken")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._note("data")

    def eof_received(self) -> bool:
        self._note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self._note("lost")


class Site:
    """A server with recorders, and clients of it."""

    def __init__(
        self,
        loop: JumpingLoop,
        *,
        config: Config | None = None,
        prepare: Callable[[Recorder], None] = lambda recorder: None,
    ) -> None:
        self.protocols: list[Recorder] = []

        def make() -> Recorder:
            recorder = Recorder()
            prepare(recorder)
            self.protocols.append(recorder)
            return recorder

        self.ends = Ends(
            loop,
            config=config,
            on_event=self._on_event,
            on_accept=self._on_accept,
        )
        self.server = Server(make, self.ends.endpoint, {0: "eth0"}.get)
        self.server.attach(self.ends.driver)

    def _on_accept(self, connection: Connection) -> None:
        self.server.on_accept(connection)

    def _on_event(self, connection: Connection, event: Event) -> None:
        self.server.on_event(connection, event)

    async def connect(self) -> tuple[Connection, Recorder, Transport]:
        """A client's connection, and the server's protocol and transport for it."""
        connection = self.ends.connect()
        await self.ends.settle()
        recorder = self.protocols[-1]
        assert recorder.transport is not None
        return connection, recorder, recorder.transport

    async def send(self, connection: Connection, data: bytes) -> None:
        """A client writes, and the bytes arrive."""
        connection.write(data)
        self.ends.client.wake(connection)
        await self.ends.settle()

    async def receive(self, connection: Connection, count: int) -> bytes:
        """A client reads until it has so many bytes."""
        got = b""
        for _ in range(100_000):
            got += connection.read()
            self.ends.client.wake(connection)
            if len(got) >= count:
                return got
            await asyncio.sleep(0.001)
        raise AssertionError(f"only {len(got)} of {count} bytes came")

    async def hang_up(self, connection: Connection, verb: str) -> None:
        """A client closes or aborts."""
        getattr(connection, verb)()
        self.ends.client.wake(connection)
        await self.ends.settle()


def test_the_order_of_calls() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        await site.send(client, b"one ")
        await site.send(client, b"two")
        assert recorder.data == b"one two"
        await site.hang_up(client, "close")
        await asyncio.sleep(1)
        assert recorder.calls == ["made", "data", "data", "eof", "lost"]
        assert recorder.error is None
        assert transport.is_closing()
        site.ends.close()

    run(main)


def test_eof_received_may_keep_the_other_direction_open() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop, prepare=lambda recorder: setattr(recorder, "keep_open", True))
        client, recorder, transport = await site.connect()
        await site.hang_up(client, "close")
        assert recorder.calls == ["made", "eof"]
        assert not transport.is_closing()
        transport.write(b"still here")
        assert await site.receive(client, 10) == b"still here"
        transport.close()
        await asyncio.sleep(1)
        assert recorder.calls == ["made", "eof", "lost"]
        site.ends.close()

    run(main)


def test_eof_is_told_once_and_after_the_data() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, _ = await site.connect()
        client.write(bytes(10_000))
        await site.hang_up(client, "close")
        await asyncio.sleep(1)
        assert len(recorder.data) == 10_000
        assert recorder.calls.count("eof") == 1
        assert recorder.calls.index("eof") > recorder.calls.index("data")
        site.ends.close()

    run(main)


def test_write_eof_leaves_reading_open() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        assert transport.can_write_eof()
        transport.write(b"bye")
        transport.write_eof()
        transport.write_eof()
        await site.ends.settle()
        assert client.read() == b"bye"
        assert EndOfStream() in site.ends.client_events
        await site.send(client, b"and you?")
        assert recorder.data == b"and you?"
        assert "lost" not in recorder.calls
        with pytest.raises(RuntimeError, match="write_eof"):
            transport.write(b"more")
        site.ends.close()

    run(main)


def test_writing_pauses_above_the_high_mark_and_resumes_at_the_low_one() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        transport.set_write_buffer_limits(high=100_000, low=20_000)
        assert transport.get_write_buffer_limits() == (20_000, 100_000)
        transport.write(bytes(60_000))
        assert "pause" not in recorder.calls
        transport.write(bytes(300_000))
        assert recorder.calls[-1] == "pause"
        transport.write(bytes(100_000))
        assert recorder.calls.count("pause") == 1
        assert transport.get_write_buffer_size() == 460_000
        await site.receive(client, 460_000)
        assert recorder.calls.count("resume") == 1
        assert recorder.calls.index("resume") > recorder.calls.index("pause")
        assert transport.get_write_buffer_size() <= 20_000
        site.ends.close()

    run(main)


def test_limits_that_make_no_sense_are_refused() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        _, _, transport = await site.connect()
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(high=10, low=20)
        transport.set_write_buffer_limits(low=10)
        assert transport.get_write_buffer_limits() == (10, 40)
        transport.set_write_buffer_limits(high=40)
        assert transport.get_write_buffer_limits() == (10, 40)
        site.ends.close()

    run(main)


def test_lower_limits_pause_at_once() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        _, recorder, transport = await site.connect()
        transport.write(bytes(200_000))
        assert "pause" not in recorder.calls
        transport.set_write_buffer_limits(high=1000)
        assert recorder.calls[-1] == "pause"
        site.ends.close()

    run(main)


def test_close_sends_what_is_queued_and_drops_what_still_comes() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        transport.write(bytes(500_000))
        transport.close()
        transport.close()
        transport.write(b"too late")
        assert transport.is_closing()
        client.write(b"unheard")
        assert await site.receive(client, 500_000) == bytes(500_000)
        assert recorder.data == b""
        await site.hang_up(client, "close")
        await asyncio.sleep(1)
        assert recorder.calls == ["made", "lost"]
        site.ends.close()

    run(main)


def test_abort_resets_and_reports_later_and_once() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        transport.write(bytes(500_000))
        transport.abort()
        assert recorder.calls == ["made"], "connection_lost is never called from within abort"
        await site.ends.settle()
        transport.abort()
        transport.close()
        await site.ends.settle()
        assert recorder.calls == ["made", "lost"]
        assert recorder.error is None
        assert client.state is State.CLOSED
        assert any(packet.segment.flags & RST for packet in site.ends.tuns[0].segments())
        site.ends.close()

    run(main)


def test_a_reset_by_the_peer_is_an_error() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, _ = await site.connect()
        await site.hang_up(client, "abort")
        assert recorder.calls == ["made", "lost"]
        assert isinstance(recorder.error, ConnectionResetError)
        site.ends.close()

    run(main)


def test_writing_to_a_connection_that_is_lost_is_no_error() -> None:
    """As asyncio has it: a protocol that has not been told yet must not fail for it."""

    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        await site.hang_up(client, "abort")
        transport.write(b"into the void")
        transport.writelines([b"a", b"b"])
        assert recorder.calls.count("lost") == 1
        site.ends.close()

    run(main)


def test_writing_before_the_loss_was_told_is_no_error() -> None:
    """One protocol may write to another's transport, as a proxy does, before that one's turn."""

    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        _, recorder, transport = await site.connect()
        connection = transport.get_extra_info("omtcp")
        connection.abort()
        assert recorder.calls == ["made"]
        transport.write(b"does not know yet")
        transport.write_eof()
        await site.ends.settle()
        assert recorder.calls == ["made", "lost"]
        site.ends.close()

    run(main)


def test_nobody_answers() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop, config=Config(user_timeout_ns=3_000_000_000))
        _, recorder, transport = await site.connect()
        site.ends.tuns[0].other = None
        transport.write(b"hello?")
        await asyncio.sleep(10)
        assert recorder.calls == ["made", "lost"]
        assert isinstance(recorder.error, OSError)
        site.ends.close()

    run(main)


def test_reading_pauses_and_goes_on_with_what_came_meanwhile() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        await site.send(client, b"waiting")
        assert recorder.data == b""
        transport.resume_reading()
        transport.resume_reading()
        assert recorder.data == b"", "not from within the call"
        await site.ends.settle()
        assert recorder.data == b"waiting"
        site.ends.close()

    run(main)


def test_a_protocol_that_does_not_read_stops_its_peer() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop, config=Config(receive_buffer=50_000, receive_buffer_max=50_000))
        client, recorder, transport = await site.connect()
        transport.pause_reading()
        await site.send(client, bytes(200_000))
        await asyncio.sleep(1)
        assert client.unsent >= 100_000
        transport.resume_reading()
        await asyncio.sleep(60)
        assert len(recorder.data) == 200_000
        site.ends.close()

    run(main)


def test_the_end_waits_for_a_paused_protocol() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        transport.pause_reading()
        client.write(b"last words")
        await site.hang_up(client, "close")
        assert recorder.calls == ["made"]
        transport.resume_reading()
        await site.ends.settle()
        assert recorder.calls[:3] == ["made", "data", "eof"]
        site.ends.close()

    run(main)


@pytest.mark.parametrize("where", ["made", "data", "eof", "lost"])
def test_a_protocol_that_fails_ends_its_own_connection_alone(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(loop: JumpingLoop) -> None:
        broken: list[Recorder] = []

        def prepare(recorder: Recorder) -> None:
            if not broken:
                broken.append(recorder)
                recorder.fail_in = where

        site = Site(loop, prepare=prepare)
        with caplog.at_level(logging.CRITICAL):
            first = site.ends.connect()
            await site.ends.settle()
            second, recorder, transport = await site.connect()
            if where != "made":
                await site.send(first, b"trouble")
            if where in ("eof", "lost"):
                await site.hang_up(first, "close")
            await asyncio.sleep(1)
        assert first.over
        assert broken[0].calls.count("lost") <= 1
        await site.send(second, b"as ever")
        assert recorder.data == b"as ever"
        transport.write(b"as ever")
        assert await site.receive(second, 7) == b"as ever"
        site.ends.close()

    run(main)


def test_a_protocol_that_fails_when_it_resumes_ends_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop, prepare=lambda recorder: setattr(recorder, "fail_in", "data"))
        client, recorder, transport = await site.connect()
        transport.pause_reading()
        await site.send(client, b"trouble")
        with caplog.at_level(logging.CRITICAL):
            transport.resume_reading()
            await site.ends.settle()
        assert client.state is State.CLOSED
        assert recorder.calls == ["made", "data", "lost"]
        site.ends.close()

    run(main)


def test_memory_is_copied_only_when_its_owner_may_change_it() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, _, transport = await site.connect()
        scratch = bytearray(b"scratch ")
        transport.write(scratch)
        scratch[:] = b"xxxxxxxx"
        shared = bytearray(b"shared")
        transport.write(memoryview(shared))
        shared[:] = b"SHARED"
        assert await site.receive(client, 14) == b"scratch SHARED"
        site.ends.close()

    run(main)


def test_what_a_transport_knows() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, recorder, transport = await site.connect()
        assert transport.get_extra_info("peername") == ("203.0.113.9", client.flow.local_port)
        assert transport.get_extra_info("sockname") == ("198.51.100.1", PORT)
        assert transport.get_extra_info("omtcp").flow.remote == CLIENT
        assert transport.get_extra_info("omtcp").flow.local == SERVER
        assert transport.get_extra_info("socket", "none") == "none"
        assert transport.get_protocol() is recorder
        other = Recorder()
        transport.set_protocol(other)
        await site.send(client, b"for the other")
        assert other.data == b"for the other"
        with pytest.raises(TypeError, match="buffered"):
            transport.set_protocol(asyncio.BufferedProtocol())
        site.ends.close()

    run(main)


def test_a_stream_reader_and_writer_work_on_it() -> None:
    """What asyncio's own streams need of a transport."""

    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, _, transport = await site.connect()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await site.send(client, b"a line\n")
        assert await reader.readline() == b"a line\n"
        writer.write(b"another\n")
        await writer.drain()
        assert await site.receive(client, 8) == b"another\n"
        await site.hang_up(client, "close")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        site.ends.close()

    run(main)


def test_the_server_forgets_what_is_over() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        for verb in ("close", "abort"):
            client, _, _ = await site.connect()
            assert len(site.server.stats().connections) == 1
            await site.hang_up(client, verb)
            await asyncio.sleep(1)
            assert not site.server.stats().connections
        await asyncio.sleep(200)
        assert not site.ends.endpoint.connections
        assert not site.server._transports
        site.ends.close()

    run(main)


def test_abort_all_resets_everybody() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        clients = [(await site.connect())[0] for _ in range(3)]
        site.server.abort_all()
        await site.ends.settle()
        assert [client.state for client in clients] == [State.CLOSED] * 3
        assert [recorder.calls for recorder in site.protocols] == [["made", "lost"]] * 3
        closed = [event for event in site.ends.client_events if isinstance(event, Closed)]
        assert len(closed) == 3
        site.ends.close()

    run(main)


def test_a_fin_goes_out_once() -> None:
    async def main(loop: JumpingLoop) -> None:
        site = Site(loop)
        client, _, transport = await site.connect()
        transport.write_eof()
        transport.close()
        await site.ends.settle()
        fins = [p for p in site.ends.tuns[0].segments() if p.segment.flags & FIN]
        assert len(fins) == 1
        await site.hang_up(client, "close")
        site.ends.close()

    run(main)
