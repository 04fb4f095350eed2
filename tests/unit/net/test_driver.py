"""The driver: packets to segments and back, one timer, and whose fault a failure is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Closed, Established, Event, Readable
from omtcp.core.state import State
from omtcp.errors import PathError
from omtcp.net.doorman import Doorman
from omtcp.net.driver import SEND_BATCH, SEND_ROUND, Driver
from omtcp.net.tun import PayloadError
from omtcp.wire.header import HeaderWriter
from omtcp.wire.tcp import RST, SYN, Segment

from .loopback import CLIENT, PORT, SERVER, Ends, FakeTun, JumpingLoop, damaged, garbage, run


def test_a_handshake_and_some_data_both_ways() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        (server,) = ends.accepted
        assert server.state is State.ESTABLISHED
        assert ends.client_events == [Established()]
        client.write(b"request")
        ends.client.wake(client)
        await ends.settle()
        assert (server, Readable()) in ends.events
        assert server.read() == b"request"
        server.write(bytes(100_000))
        ends.driver.wake(server)
        got = b""
        while len(got) < 100_000:
            await asyncio.sleep(0.001)
            got += client.read()
            ends.client.wake(client)
        assert got == bytes(100_000)
        ends.close()

    run(main)


def test_malformed_packets_are_counted_and_harm_nobody() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        ends.connect()
        await ends.settle()
        good = ends.client_tun.written[-1]
        for packet in (b"", b"\x00", garbage(), garbage(19), good[:30], damaged(good)):
            ends.tuns[0].put(packet)
        await ends.settle()
        assert ends.driver.malformed == 6
        assert ends.accepted[0].state is State.ESTABLISHED
        ends.close()

    run(main)


def test_packets_for_other_addresses_are_none_of_ours() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        ends.connect()
        await ends.settle()
        before = len(ends.tuns[0].written)
        # The server's own packet, looped back: it is addressed to the client.
        ends.tuns[0].put(ends.tuns[0].written[0])
        await ends.settle()
        assert len(ends.tuns[0].written) == before
        assert ends.driver.malformed == 0
        ends.close()

    run(main)


def test_a_stray_segment_is_reset() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        ends.remote.connect(ends.client.clock(), ends.endpoint.address, 81)
        ends.client.flush()
        await ends.settle()
        (answer,) = ends.tuns[0].segments()
        assert answer.segment.flags & RST
        assert [type(event) for event in ends.client_events] == [Closed]
        ends.close()

    run(main)


def test_the_timer_is_armed_only_for_earlier_deadlines() -> None:
    """Deadlines mostly move later; an armed timer that comes early costs less than re-arming."""

    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        armed = loop.timers
        for _ in range(50):
            client.write(b"x" * 100)
            ends.client.wake(client)
            await ends.settle(8)
            ends.accepted[0].read()
        assert loop.timers - armed < 10
        ends.close()

    run(main)


def test_an_idle_server_has_no_timer() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop, config=Config(keepalive_ns=0))
        await ends.settle()
        assert loop.timers == 0
        ends.connect()
        await ends.settle()
        await asyncio.sleep(30)
        assert ends.endpoint.poll_timeout() is None
        ends.close()

    run(main)


def test_a_lost_syn_ack_is_sent_again_by_the_timer() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop, paths=2)
        ends.tuns[0].other = None
        ends.connect()
        await asyncio.sleep(1.5)
        assert [packet.segment.flags & SYN for packet in ends.tuns[1].segments()][:1] == [SYN]
        (server,) = ends.accepted
        assert server.state is State.ESTABLISHED
        ends.close()

    run(main)


def test_a_payload_that_cannot_be_read_ends_its_connection_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        ends.connect()
        ends.connect()
        await ends.settle()
        bad, good = ends.accepted
        ends.tuns[0].fail_with = PayloadError("the file was truncated while it was being sent")
        with caplog.at_level(logging.WARNING, "omtcp.net"):
            bad.write(b"gone")
            ends.driver.wake(bad)
            await ends.settle()
        assert bad.state is State.CLOSED
        assert good.state is State.ESTABLISHED
        assert "truncated" in caplog.text
        assert any(packet.segment.flags & RST for packet in ends.tuns[0].segments())
        assert [type(event) for connection, event in ends.events if connection is bad] == [
            Established,
            Closed,
        ]
        ends.close()

    run(main)


def test_a_device_that_is_gone_is_like_loss() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        (server,) = ends.accepted
        ends.tuns[0].fail_with = PathError("device fake0 is gone")
        server.write(b"hello")
        ends.driver.wake(server)
        await asyncio.sleep(2)
        assert client.read() == b"hello"
        ends.close()

    run(main)


def test_a_device_that_cannot_be_read_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop, paths=2)
        ends.tuns[1].read_error = PathError("device fake1 is gone")
        with caplog.at_level(logging.WARNING, "omtcp.net"):
            ends.tuns[1].put(garbage())
            await ends.settle()
        assert caplog.text.count("is gone") == 1
        ends.connect()
        await ends.settle()
        assert ends.accepted
        ends.close()

    run(main)


def test_a_device_without_room_is_counted_and_made_good() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        (server,) = ends.accepted
        ends.tuns[0].full = True
        server.write(b"hello")
        ends.driver.wake(server)
        await ends.settle()
        assert ends.driver.refused == 1
        ends.tuns[0].full = False
        await asyncio.sleep(2)
        assert client.read() == b"hello"
        ends.close()

    run(main)


def test_a_busy_connection_does_not_starve_the_others() -> None:
    """Each may send a batch per turn, whatever it has queued."""

    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        first, second = ends.connect(), ends.connect()
        await ends.settle()
        one, two = ends.accepted
        one.write(bytes(2_000_000))
        two.write(b"short")
        ends.driver.wake(one)
        ends.driver.wake(two)
        await ends.settle(4)
        got = {client.flow.local_port: client.read() for client in (first, second)}
        assert b"short" in got.values()
        ends.close()

    run(main)


def test_many_senders_let_their_acks_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each segment draws an ACK, for which the device has limited room."""
    writes, most = 0, 0
    write, read_into = FakeTun.write, FakeTun.read_into

    def counted_write(tun: FakeTun, *arguments: Any) -> bool:
        nonlocal writes, most
        writes += 1
        most = max(most, writes)
        return write(tun, *arguments)

    def resetting_read(tun: FakeTun, buffer: bytearray) -> tuple[int, bool] | None:
        nonlocal writes
        writes = 0
        return read_into(tun, buffer)

    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        for _ in range(100):
            ends.connect()
        await ends.settle()
        ends.client.stop()
        monkeypatch.setattr(FakeTun, "write", counted_write)
        monkeypatch.setattr(FakeTun, "read_into", resetting_read)
        for connection in ends.accepted:
            connection.write(bytes(10_000))
            ends.driver.wake(connection)
        before = len(ends.tuns[0].written)
        for _ in range(100):
            ends.tuns[0].put(garbage())
            await ends.settle(1)
        assert len(ends.tuns[0].written) - before >= 100
        ends.close()

    run(main)
    assert 1 < most <= SEND_ROUND + SEND_BATCH


def test_acks_that_are_read_together_are_handled_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[Segment] = []
    handle_segment = Endpoint.handle_segment

    def recorded(end: Endpoint, now: int, source: bytes, segment: Segment, path: int = 0) -> None:
        if source == CLIENT:
            handled.append(segment)
        handle_segment(end, now, source, segment, path)

    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        (server,) = ends.accepted
        server.write(bytes(10_000))
        ends.driver.wake(server)
        await ends.settle(1)
        client.write(b"not an ACK alone")
        ends.client.wake(client)
        monkeypatch.setattr(Endpoint, "handle_segment", recorded)
        await ends.settle()
        ends.close()
        acks = [packet for packet in ends.client_tun.segments() if packet.segment.ack > 0]
        assert server.sender is not None
        assert not server.sender.window.busy
        assert handled[-1].ack == acks[-1].segment.ack
        assert any(segment.length for segment in handled)
        assert len(handled) < len(acks)

    run(main)


class Looks:
    """A server that sends to a client 40 ms away, and counts how often it handled ACKs."""

    def __init__(self, loop: JumpingLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends = Ends(loop)
        self.count = 0
        read = Driver._read

        def counted(driver: Driver, now: int, path: int) -> int:
            count = read(driver, now, path)
            self.count += driver is self.ends.driver and count > 0
            return count

        monkeypatch.setattr(Driver, "_read", counted)

    async def start(self) -> Connection:
        wire, self.ends.client_tun.other = self.ends.client_tun.other, None
        self.ends.connect()
        await asyncio.sleep(0.04)
        assert wire is not None
        wire.put(self.ends.client_tun.written.pop())
        await asyncio.sleep(0.04)
        for packet in self.ends.client_tun.written:
            wire.put(packet)
        await self.ends.settle()
        (server,) = self.ends.accepted
        return server

    async def acks(self, server: Connection, number: int, every: float) -> None:
        """The client's ACKs of `number` segments, at even distances."""
        assert server.sender is not None
        written = self.ends.client_tun.written
        server.write(bytes(1000 * number))
        self.ends.driver.wake(server)
        await asyncio.sleep(0.04)
        ack = written[-1]
        for _ in range(number):
            self.ends.tuns[0].put(ack)
            await asyncio.sleep(every)


@pytest.mark.parametrize(("every_us", "looks"), [(100, (20, 40)), (2_000, (200, 200))])
def test_acks_that_come_thick_are_looked_for_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, every_us: int, looks: tuple[int, int]
) -> None:
    async def main(loop: JumpingLoop) -> None:
        looked = Looks(loop, monkeypatch)
        server = await looked.start()
        looked.count = 0
        await looked.acks(server, 200, every_us / 1e6)
        assert looks[0] <= looked.count <= looks[1] + 2
        await asyncio.sleep(0.01)  # they stop, and the next one is waited for as ever
        looked.ends.tuns[0].put(looked.ends.client_tun.written[-1])
        before, looked.count = loop.time(), 0
        while not looked.count:
            await asyncio.sleep(0)
        assert loop.time() == before
        looked.ends.close()

    run(main)


def test_nobody_waits_for_a_look_on_a_near_path(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        (server,) = ends.accepted
        before = loop.time()
        for _ in range(100):
            server.write(b"x" * 100)
            ends.driver.wake(server)
            await ends.settle(8)
            assert client.read() == b"x" * 100
        assert loop.time() == before
        ends.close()

    run(main)


def test_stop_leaves_nothing_in_the_loop() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        ends.connect()
        await ends.settle()
        ends.close()
        ends.driver.stop()
        assert len(loop.jumping.get_map()) == 1, "only the loop's own descriptor"

    run(main)


def test_what_an_application_does_in_its_turn_is_sent_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No turn of its own, and no round of the event loop, for an answer written at once."""

    async def main(loop: JumpingLoop) -> None:
        turns: list[Connection] = []
        real = Driver._drain_connection

        def counted(driver: Driver, now: int, connection: Connection) -> int:
            if driver is ends.driver:
                turns.append(connection)
            return real(driver, now, connection)

        def answer(connection: Connection, event: Event) -> None:
            if isinstance(event, Readable):
                connection.write(connection.read())
                ends.driver.wake(connection)

        ends = Ends(loop, on_event=answer)
        client = ends.connect()
        await ends.settle()
        monkeypatch.setattr(Driver, "_drain_connection", counted)
        client.write(b"hello")
        ends.client.wake(client)
        await ends.settle()
        assert client.read() == b"hello"
        assert len(turns) == 2, "the question and its answer; the ACK of that"
        assert not ends.driver._soon
        ends.close()

    run(main)


def syn(port: int) -> bytes:
    """The SYN of a stranger, who will not answer."""
    writer = HeaderWriter(bytes([198, 18, 0, 1]), SERVER, port, PORT)
    return writer.packet(Segment(port, PORT, 7, 0, SYN, 1000, mss=1460))


def test_strangers_come_after_those_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        client = ends.connect()
        await ends.settle()
        order: list[int] = []
        real = Endpoint.handle_segment

        def noted(end: Endpoint, now: int, source: bytes, segment: Segment, path: int = 0) -> None:
            if end is ends.endpoint:
                order.append(segment.flags & SYN)
            real(end, now, source, segment, path)

        monkeypatch.setattr(Endpoint, "handle_segment", noted)
        ends.tuns[0].put(syn(1000))
        ends.tuns[0].put(syn(1001))
        client.write(b"hello")
        ends.client.flush()
        ends.client.wake(client)
        await ends.settle()
        assert order[:3] == [0, SYN, SYN]
        assert len(ends.endpoint.connections) == 3
        ends.close()

    run(main)


def test_in_a_crowd_strangers_are_dropped_when_their_time_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop, config=Config(syn_backlog=1))
        left = [True, True, False]
        monkeypatch.setattr(Doorman, "look", lambda doorman, now: bool(left))
        monkeypatch.setattr(Doorman, "spend", lambda doorman, elapsed: left.pop(0))
        for port in range(1000, 1010):
            ends.tuns[0].put(syn(port))
        await ends.settle()
        assert len(ends.endpoint.connections) == 1
        assert ends.endpoint.cookies.sent == 2, "the first is remembered, and its time was used"
        assert ends.driver.shed == 7
        ends.tuns[0].put(syn(1020))
        await ends.settle()
        assert ends.driver.shed == 8
        assert caplog.text.count("cookies") == 1
        ends.close()

    run(main)


def test_a_client_gets_through_a_crowd() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop, config=Config(syn_backlog=1))
        ends.tuns[0].put(syn(1000))
        await ends.settle()
        client = ends.connect()
        client.write(b"hello")
        ends.client.wake(client)
        await asyncio.sleep(0.1)
        (server,) = ends.accepted
        assert server.read() == b"hello"
        assert ends.endpoint.cookies.accepted == 1
        ends.close()

    run(main)
