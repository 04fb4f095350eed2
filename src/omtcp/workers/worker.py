"""One of several processes that serve an address: a whole server, on a queue of each device."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from omtcp.aio.garbage import collect_rarely
from omtcp.aio.server import Server, serve_over
from omtcp.apps.snapshot import Snapshot
from omtcp.control.protocol import Request
from omtcp.control.service import Service
from omtcp.errors import OmtcpError
from omtcp.net.lent import LentPaths
from omtcp.net.mailbox import Mailbox
from omtcp.trace.jsonl import JsonLines
from omtcp.workers.channel import Channel, ChannelClosedError
from omtcp.workers.messages import (
    Account,
    Answer,
    Application,
    Ask,
    Assignment,
    Attach,
    Failed,
    LinkChanged,
    Logged,
    Look,
    Message,
    Ready,
    Renamed,
    Stop,
)

ACCOUNT_INTERVAL = 1.0
"""Seconds between two accounts, and for which an event may wait before it is in the file."""

_log = logging.getLogger("omtcp.workers")


def main(descriptor: int) -> int:
    """Serve until the supervisor says that it is enough, or is gone; the exit status."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's signals are the supervisor's
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=descriptor))
    try:
        assignment, descriptors = _first(channel)
    except ChannelClosedError:
        return 1
    with suppress(OSError):  # for ps(1) and top(1)
        Path("/proc/self/comm").write_text(f"omtcp-worker-{assignment.number}", encoding="ascii")
    _set_up_logging(channel, assignment.job.log_level)
    collect_rarely()
    try:
        asyncio.run(_Worker(channel, assignment, descriptors).run())
    except (OmtcpError, OSError) as error:
        channel.send(Failed(" ".join(str(error).split())))
        return 1
    return 0


def _first(channel: Channel) -> tuple[Assignment, list[int]]:
    while True:
        select.select([channel], [], [])
        got = channel.receive()
        if got is not None:
            assignment, descriptors = got
            assert isinstance(assignment, Assignment)
            return assignment, descriptors


class _Worker:
    """The server, and what it is told and asked."""

    def __init__(self, channel: Channel, assignment: Assignment, descriptors: list[int]) -> None:
        self._channel = channel
        self._assignment = assignment
        self._job = assignment.job
        self._host = LentPaths(self._job.address, assignment.ever)
        queues, boxes = descriptors[: len(assignment.paths)], descriptors[len(assignment.paths) :]
        for lending, fd in zip(assignment.paths, queues, strict=True):
            self._host.take(lending, fd)
        own, *others = (socket.socket(fileno=fd) for fd in boxes)
        self._mailbox = Mailbox(own, others)
        self._application: Application = self._job.recipe()
        self._over = asyncio.Event()
        self._told = Account()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until it is over."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._over.set)
        with ExitStack() as stack:
            stack.callback(self._host.close)
            stack.callback(self._mailbox.close)
            events = self._open_events()
            if events is not None:
                stack.callback(events.close)
            async with serve_over(
                self._host,
                self._application.protocol,
                self._job.port,
                config=self._job.config,
                trace=events,
                secret=self._job.secret,
            ) as server:
                self._server = server
                self._service = Service(server.paths, asyncio.sleep)
                await self._obey()
                server.driver.on_stray = self._mailbox.post
                loop.add_reader(self._mailbox.fileno(), self._on_mail)
                loop.add_reader(self._channel.fileno(), self._on_channel)
                self._channel.send(Ready())
                await self._keep_books(server, events)
                loop.remove_reader(self._channel.fileno())
                loop.remove_reader(self._mailbox.fileno())
            self._tell(Account())

    def _open_events(self) -> JsonLines | None:
        if self._job.events is None:
            return None
        assignment = self._assignment
        names = [""] * assignment.ever
        for lending in assignment.paths:
            names[lending.index] = str(lending.uplink)
        path = events_path(self._job.events, assignment.number, assignment.generation)
        return JsonLines(path, paths=names, worker=assignment.number)

    async def _obey(self) -> None:
        """Catch up with what the operator has said to the others."""
        for order in self._assignment.orders:
            try:
                await self._service.do(order)
            except OmtcpError as error:
                _log.debug("%s: %s", order.verb, error)

    async def _keep_books(self, server: Server, events: JsonLines | None) -> None:
        """Have events in the file and an account with the supervisor about once a second."""
        while not self._over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(ACCOUNT_INTERVAL):
                    await self._over.wait()
            if events is not None:
                events.flush()
            self._tell(self._account(server))

    def _account(self, server: Server) -> Account:
        downloads = self._application.downloads
        return Account(
            carried={
                path.index: (path.tally.sent, path.tally.resent) for path in server.driver.paths
            },
            completed=downloads.completed,
            failed=downloads.failed,
            active=len(downloads),
        )

    def _tell(self, account: Account) -> None:
        if account != self._told and self._channel.send(account):
            self._told = account

    def _on_mail(self) -> None:
        while (packet := self._mailbox.take()) is not None:
            self._server.driver.handle_stray(packet)

    def _on_channel(self) -> None:
        try:
            while (got := self._channel.receive()) is not None:
                self._handle(*got)
        except ChannelClosedError:  # the supervisor is gone, and its host's routes with it
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._over.set()

    def _handle(self, message: Message, descriptors: list[int]) -> None:
        match message:
            case Ask():
                task = asyncio.create_task(self._answer(message, descriptors))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case LinkChanged(index, up):
                self._server.handle_path(index, up)
            case Renamed(index, uplink):
                self._host.rename(index, uplink)
            case Stop():
                self._over.set()
            case _:
                raise AssertionError(f"a worker is not told {message}")

    async def _answer(self, ask: Ask, descriptors: list[int]) -> None:
        try:
            answer = Answer(ask.identity, await self._result(ask.what, descriptors))
        except OmtcpError as error:
            answer = Answer(ask.identity, error=str(error))
        except Exception:
            _log.exception("internal error in answer to a command")
            answer = Answer(ask.identity, error="internal error; the server's log tells more")
        self._channel.send(answer)

    async def _result(self, what: Request | Look | Attach, descriptors: list[int]) -> object:
        match what:
            case Request():
                return await self._service.do(what)
            case Look():
                return Snapshot.take(self._server.stats(), self._application.downloads)
            case Attach(lending, cost):
                self._host.take(lending, *descriptors)
                self._server.paths.take_in(lending.index, cost)
                return None


def events_path(base: Path, number: int, generation: int) -> Path:
    """Where a worker writes its trace: `events.2.jsonl`, and `events.2-1.jsonl` its successor."""
    again = f"-{generation}" if generation else ""
    return base.with_name(f"{base.stem}.{number}{again}{base.suffix}")


class _ChannelHandler(logging.Handler):
    """Log records go to the supervisor, whose terminal it is; to stderr when it takes none."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if not self._channel.send(Logged(record.levelno, record.name, text)):
            with suppress(OSError):
                os.write(2, f"{text}\n".encode(errors="replace"))


def _set_up_logging(channel: Channel, level: int) -> None:
    logger = logging.getLogger("omtcp")
    logger.handlers[:] = [_ChannelHandler(channel)]
    logger.setLevel(level)
