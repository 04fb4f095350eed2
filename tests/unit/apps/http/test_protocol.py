"""The HTTP connection: turns, backpressure, time, on a transport and a clock of the test's own."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from omtcp.apps.contents import SMALL, WINDOW, Contents, FileSlice
from omtcp.apps.downloads import Downloads
from omtcp.apps.http.framing import MAX_HEAD
from omtcp.apps.http.messages import HttpError, Lengthy, Request, Response
from omtcp.apps.http.protocol import (
    MAX_REQUEST_BODY,
    MAX_TARGET,
    MAX_UNREAD,
    HttpProtocol,
    format_address,
)

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes when the test says so."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and lets it through when told to."""

    def __init__(self, peer: object) -> None:
        super().__init__({"peername": peer})
        self.writes: list[bytes | memoryview] = []
        self.backlog = 0
        self.high = 1 << 62
        self.paused = False
        self.reading = True
        self.closed = self.ended = self.aborted = False
        self.protocol: asyncio.Protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        assert low is not None
        self.high, self.low = high, low

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def write(self, data: Any) -> None:
        assert not self.ended
        assert len(data), "an empty write is a wasted one"
        self.writes.append(data)
        self.backlog += len(data)
        if self.backlog > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()

    def drain(self, size: int | None = None) -> None:
        """Let bytes through: all, or this many."""
        self.backlog -= self.backlog if size is None else size
        if self.paused and self.backlog <= self.low:
            self.paused = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    @property
    def text(self) -> bytes:
        """All that was written since the last look."""
        written = b"".join(self.writes)
        self.writes.clear()
        return written

    @property
    def statuses(self) -> list[int]:
        """The statuses of the responses written since the last look."""
        lines = self.text.split(b"HTTP/1.1 ")[1:]
        return [int(line[:3]) for line in lines]


class Server:
    """A protocol on a wire, and the application behind it."""

    def __init__(self, loop: Clock) -> None:
        self.loop = loop
        self.requests: list[Request] = []
        self.body: tuple[bytes | FileSlice, ...] = (b"body",)
        self.failure: Exception | None = None
        self.gate: threading.Event | None = None
        self.downloads = Downloads()
        self.protocol = HttpProtocol(self._respond, downloads=self.downloads, clock=lambda: 0)
        self.wire = Wire(("192.0.2.1", 4711))
        self.wire.protocol = self.protocol
        self.protocol.connection_made(self.wire)

    def _respond(self, request: Request) -> Response | Lengthy:
        self.requests.append(request)
        if self.gate is not None:
            return Lengthy(self._make_slowly)
        if self.failure is not None:
            raise self.failure
        return Response(status=HTTPStatus.OK, body=self.body, download="/file")

    def _make_slowly(self) -> Response:
        assert self.gate is not None
        self.gate.wait(20)
        if self.failure is not None:
            raise self.failure
        return Response(status=HTTPStatus.OK, body=self.body)

    def receive(self, *data: bytes) -> "Server":
        for each in data:
            self.protocol.data_received(each)
        return self

    async def wait(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        self.loop.skipped += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def play(scene: Callable[[Server], Awaitable[None]]) -> None:
    """Run a scene with a fresh server."""
    loop = Clock()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:

        async def run() -> None:
            await scene(Server(loop))

        runner.run(run())


def played(scene: Callable[[Server], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of a scene."""

    def test() -> None:
        play(scene)

    return test


def large(directory: Path, size: int) -> FileSlice:
    """A mapped file with holes for content."""
    path = directory / "large"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(0)
        file.write(os.urandom(min(size, 1000)))
    with path.open("rb") as file:
        mapping = Contents().load(file.fileno(), os.fstat(file.fileno()))
    assert not isinstance(mapping, bytes)
    return FileSlice(mapping, 0, size)


def split(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@played
async def test_one_request(server: Server) -> None:
    server.receive(GET % 1)
    assert server.requests[0].target == b"/1"
    assert server.wire.text == (
        b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: omtcp\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )
    assert not server.wire.closed


@played
async def test_a_small_response_is_one_write(server: Server) -> None:
    server.body = (b"a", b"b")
    server.receive(GET % 1)
    assert len(server.wire.writes) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pipelined_requests_in_any_pieces(size: int) -> None:
    async def scene(server: Server) -> None:
        server.receive(*split(b"".join(GET % i for i in range(5)), size))
        assert [request.target for request in server.requests] == [b"/%d" % i for i in range(5)]
        assert server.wire.statuses == [200] * 5
        assert not server.wire.closed

    play(scene)


@played
async def test_repeated_fields_are_joined(server: Server) -> None:
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\na: \xff3\r\n\r\n")
    assert server.requests[0].headers == {"host": "x", "a": "1, \xff3", "b": "2"}


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_last_request(request_head: bytes) -> None:
    async def scene(server: Server) -> None:
        server.receive(request_head)
        assert b"connection: close" in server.wire.text.lower()
        assert server.wire.closed
        assert not server.wire.ended, "nothing is left to read: no lingering"

    play(scene)


@played
async def test_head_and_not_modified_have_no_body(server: Server) -> None:
    server.receive(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.wire.text.endswith(b"Content-Length: 4\r\n\r\n")
    server.failure = HttpError(HTTPStatus.NOT_FOUND)
    server.receive(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.wire.text.endswith(b"\r\n\r\n")
    assert not list(server.downloads.active())


@played
async def test_a_failing_application_fails_one_request(server: Server) -> None:
    server.failure = ZeroDivisionError("oops")
    server.receive(GET % 1)
    assert b"oops" not in server.wire.text
    server.failure = None
    server.receive(GET % 2)
    assert server.wire.statuses == [200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (b"GET /" + b"a" * (MAX_HEAD + 1), 414),
        (b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # a TLS hello
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
    ],
)
def test_refusals(data: bytes, status: int) -> None:
    async def scene(server: Server) -> None:
        server.receive(data)
        assert server.wire.statuses == [status]
        assert server.requests == []

    play(scene)


@played
async def test_after_rubbish_the_rest_is_read_and_dropped(server: Server) -> None:
    server.receive(b"rubbish\r\n\r\n")
    assert server.wire.ended
    assert not server.wire.closed
    assert not server.receive(GET % 1).requests
    server.protocol.eof_received()
    assert server.wire.closed


@played
async def test_lingering_ends(server: Server) -> None:
    server.receive(b"rubbish\r\n\r\n")
    await server.wait(5.1)
    assert server.wire.closed


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a thread has done its part."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


@played
async def test_a_lengthy_response_holds_up_its_own_connection_only(server: Server) -> None:
    other = Server(server.loop)
    server.gate = threading.Event()
    server.receive(GET % 1, GET % 2)
    other.receive(GET % 1)
    assert other.wire.statuses == [200]
    await server.wait(1000)  # our own slowness is not the peer's
    assert server.wire.writes == []
    assert len(server.requests) == 1
    server.gate.set()
    await until(lambda: len(server.wire.writes) == 2)
    assert server.wire.statuses == [200, 200]


@pytest.mark.parametrize(
    ("failure", "status"), [(HttpError(HTTPStatus.NOT_FOUND), 404), (ZeroDivisionError(), 500)]
)
def test_a_lengthy_response_that_fails(failure: Exception, status: int) -> None:
    async def scene(server: Server) -> None:
        server.gate, server.failure = threading.Event(), failure
        server.gate.set()
        server.receive(GET % 1)
        await until(lambda: bool(server.wire.writes))
        assert server.wire.statuses == [status]

    play(scene)


@pytest.mark.parametrize("failure", [None, ZeroDivisionError()])
def test_a_peer_that_did_not_wait_for_it(failure: Exception | None) -> None:
    async def scene(server: Server) -> None:
        server.gate, server.failure = threading.Event(), failure
        server.receive(GET % 1)
        server.protocol.eof_received()
        assert not server.wire.closed, "it may still want the answer"
        server.protocol.connection_lost(None)
        server.gate.set()
        await until(lambda: not server.protocol._working)
        assert server.wire.writes == []

    play(scene)


@played
async def test_a_small_body_is_dropped(server: Server) -> None:
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234", b"56789")
    server.receive(GET % 2)
    assert server.wire.statuses == [200, 200]
    assert not server.wire.ended


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: %d" % (MAX_REQUEST_BODY + 1),
        b"Transfer-Encoding: chunked",
        b"Content-Length: 1\r\nExpect: 100-continue",
    ],
)
def test_a_body_that_is_not_waited_for(field: bytes) -> None:
    async def scene(server: Server) -> None:
        server.receive(b"POST / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n")
        assert b"Connection: close" in server.wire.text
        assert server.wire.ended
        assert not server.wire.closed
        server.receive(b"x" * MAX_REQUEST_BODY * 3)
        assert server.wire.reading

    play(scene)


def test_mapped_bodies_go_out_untouched(tmp_path: Path) -> None:
    body = large(tmp_path, 3 * WINDOW + 5)

    async def scene(server: Server) -> None:
        server.body = (b"before", body, b"after")
        server.receive(GET % 1)
        server.wire.drain()
        server.wire.drain()
        first, *windows, last = server.wire.writes
        assert bytes(first).endswith(b"\r\n\r\nbefore")
        assert [len(window) for window in windows] == [WINDOW] * 3 + [5]
        for window in windows:
            assert isinstance(window, memoryview)
            assert window.obj is body.file
        assert last == b"after"

    play(scene)


def test_no_more_is_mapped_than_the_transport_wants(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        server.body = (large(tmp_path, 20 * WINDOW),)
        server.receive(GET % 1, GET % 2)
        assert 2 * WINDOW < server.wire.backlog <= 4 * WINDOW
        [download] = server.downloads.active()
        assert download.total == 20 * WINDOW
        before = download.sent
        while download.queued < download.total:
            assert server.wire.backlog <= 4 * WINDOW
            assert download.sent >= before
            before = download.sent
            server.wire.drain(WINDOW // 2)
        server.wire.drain()
        assert len(server.requests) == 2, "the next one had its turn"

    play(scene)


@played
async def test_pipelining_does_not_fill_our_memory(server: Server) -> None:
    server.body = (bytes(SMALL),)
    server.receive(b"".join(GET % i for i in range(2000)))
    assert server.wire.backlog < 3 * WINDOW
    assert not server.wire.reading or len(GET) * 2000 < MAX_UNREAD
    answered = len(server.requests)
    server.receive(b"".join(GET % i for i in range(2000)))
    assert len(server.requests) == answered
    assert not server.wire.reading
    while server.wire.backlog:
        server.wire.drain()
    assert len(server.requests) == 4000
    assert server.wire.reading


def test_a_connection_lost_halfway_is_a_failed_download(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        server.body = (large(tmp_path, 20 * WINDOW),)
        server.receive(GET % 1)
        server.protocol.connection_lost(OSError("reset"))
        assert server.downloads.failed == 1
        written = len(server.wire.writes)
        server.protocol.resume_writing()
        await server.wait(10_000)
        assert len(server.wire.writes) == written
        assert not server.wire.aborted

    play(scene)


@played
async def test_a_download_that_is_through(server: Server) -> None:
    server.receive(GET % 1)
    assert len(list(server.downloads.active())) == 1
    server.wire.drain()
    server.protocol.connection_lost(None)
    assert (server.downloads.completed, server.downloads.failed) == (1, 0)


def test_a_peer_that_is_done_speaking_gets_its_answer(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        server.body = (large(tmp_path, 20 * WINDOW),)
        server.receive(GET % 1)
        assert server.protocol.eof_received()
        assert not server.wire.closed
        while server.wire.backlog:
            server.wire.drain()
        assert server.wire.closed
        assert sum(map(len, server.wire.writes)) > 20 * WINDOW

    play(scene)


@pytest.mark.parametrize("data", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_peer_that_goes_away_early(data: bytes) -> None:
    async def scene(server: Server) -> None:
        if data:
            server.receive(data)
        server.protocol.eof_received()
        assert server.wire.closed
        assert server.wire.text == b""

    play(scene)


@played
async def test_no_request_comes(server: Server) -> None:
    await server.wait(19)
    assert not server.wire.closed
    await server.wait(2)
    assert server.wire.closed
    assert server.wire.text == b""


@played
async def test_a_request_that_drips_in(server: Server) -> None:
    server.receive(GET % 1)
    server.wire.drain()
    assert server.wire.statuses == [200]
    await server.wait(60)
    for byte in (b"G", b"E", b"T"):
        server.receive(byte)
        await server.wait(8)
    assert server.wire.statuses == [408]
    assert server.wire.ended


@played
async def test_a_body_that_drips_in(server: Server) -> None:
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0")
    server.wire.drain()
    await server.wait(21)
    assert server.wire.statuses == [200]
    assert server.wire.closed


@played
async def test_an_idle_connection(server: Server) -> None:
    for number in range(3):
        server.receive(GET % number)
        server.wire.drain()
        await server.wait(70)
        assert not server.wire.closed
    await server.wait(6)
    assert server.wire.closed


@played
async def test_idle_begins_when_the_response_is_through(server: Server) -> None:
    server.body = (bytes(1000),)
    server.receive(GET % 1)
    for _ in range(5):
        server.wire.drain(100)
        await server.wait(76)
        assert not server.wire.closed
    server.wire.drain()
    await server.wait(76)
    assert server.wire.closed


def test_a_peer_that_takes_nothing(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        server.body = (large(tmp_path, 20 * WINDOW),)
        server.receive(GET % 1)
        for _ in range(10):
            server.wire.drain(1)
            await server.wait(299)
            assert not server.wire.aborted
        await server.wait(601)
        await server.wait(301)
        assert server.wire.aborted

    play(scene)


@played
async def test_a_close_that_does_not_come_through(server: Server) -> None:
    server.receive(b"GET / HTTP/1.0\r\n\r\n")
    assert server.wire.closed
    await server.wait(301)
    await server.wait(301)
    await server.wait(301)
    assert server.wire.aborted


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80"),
        (("2001:db8::1", 80, 0, 0), "[2001:db8::1]:80"),
        (None, "?"),
        ("/run/socket", "/run/socket"),
    ],
)
def test_addresses(address: object, text: str) -> None:
    assert format_address(address) == text
