"""A file server on a kernel socket of the loopback interface, and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import cast

import h11

from omtcp.apps.fileserver import FileServer
from omtcp.apps.http.patience import Timeouts
from omtcp.apps.http.protocol import HttpProtocol


class Watched(HttpProtocol):
    """A connection that can be ended from outside."""

    lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost = True

    def abandon(self) -> None:
        """Close at once, whatever is still to be sent."""
        if not self.lost:
            self._transport.abort()


@dataclass(slots=True)
class Site:
    """A running server."""

    files: FileServer
    port: int
    protocols: list["Watched"] = field(default_factory=list)

    async def connect(self) -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Client(reader, writer)


@dataclass(slots=True)
class Answer:
    """A response, as the client's h11 understood it."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """An HTTP client that lets the test say every byte; h11 parses what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.CLIENT)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    async def answer(self, method: str = "GET") -> Answer:
        """The next response; `method` is that of the request it answers."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        request = h11.Request(method=method, target="/", headers=[("Host", "x")])
        self._http.send(request)
        self._http.send(h11.EndOfMessage())
        response = cast(h11.Response, await self._event())
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        headers = {name.decode(): value.decode() for name, value in response.headers}
        return Answer(response.status_code, headers, bytes(body))

    async def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Ask and wait for the answer; underscores in names stand for hyphens."""
        fields = "".join(f"{name.replace('_', '-')}: {v}\r\n" for name, v in headers.items())
        self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode("latin-1"))
        return await self.answer(method)

    async def _event(self) -> h11.Event:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            assert event is h11.NEED_DATA
            self._http.receive_data(await self.reader.read(1 << 16))

    async def at_end(self) -> bool:
        """Whether the server closes without another byte."""
        return await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@asynccontextmanager
async def serving(root: Path, timeouts: Timeouts | None = None) -> AsyncIterator[Site]:
    """Serve a directory from a port of the kernel's choice."""
    loop = asyncio.get_running_loop()
    files = FileServer(str(root), boundary=lambda: "BOUNDARY")
    site = Site(files, 0)

    def protocol() -> asyncio.Protocol:
        made = Watched(files.respond, downloads=files.downloads, timeouts=timeouts)
        site.protocols.append(made)
        return made

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()
        for made in site.protocols:
            made.abandon()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn


def ask(root: Path, talk: Callable[[Client], Awaitable[None]]) -> None:
    """Run one conversation with a server of `root`."""

    async def run() -> None:
        async with asyncio.timeout(20), serving(root) as site:
            client = await site.connect()
            await talk(client)
            await client.close()

    asyncio.run(run())


def get(root: Path, target: str, method: str = "GET", **headers: str) -> Answer:
    """One request to a server of `root`."""
    answers: list[Answer] = []

    async def talk(client: Client) -> None:
        answers.append(await client.get(target, method, **headers))

    ask(root, talk)
    return answers[0]


def stock_get(port: int, target: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    """One request with the standard library's blocking client."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()
