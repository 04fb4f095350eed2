"""The control socket of a running server, in its event loop.

Who may open the socket may do everything, so only root can. Whatever a client sends or leaves
unsent, the connections that are served do not notice: requests are short, answered one at a time,
and both sides of a conversation have a time limit.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from omtcp.control.places import alive
from omtcp.control.protocol import MAX_LINE, format_error
from omtcp.control.service import Answerer
from omtcp.errors import SetupError

MAX_CLIENTS = 16
PATIENCE = 30.0
"""Seconds a client may take to send its next request, or to read an answer."""
_BACKLOG = 16


class _Clients:
    """Whoever is connected."""

    def __init__(self, service: Answerer, patience: float) -> None:
        self._service = service
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > MAX_CLIENTS:
                writer.write(format_error(None, "too many clients"))
            else:
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):  # it went away, or has to
            writer.transport.abort()  # `close` would wait for it to read what is written
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    line = await reader.readline()
            except ValueError:  # longer than the limit
                writer.write(format_error(None, "the request is too long"))
                return
            if not line.endswith(b"\n"):
                return
            writer.write(await self._service.answer(line))
            async with asyncio.timeout(self._patience):
                await writer.drain()

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def control_socket(
    path: Path, service: Answerer, *, patience: float = PATIENCE
) -> AsyncIterator[None]:
    """Answer requests at `path` while the context lasts; the socket is gone afterwards.

    Raises:
        SetupError: it cannot be made, or another process answers there.
    """
    listener = _bind(path)
    made = os.stat(path)
    clients = _Clients(service, patience)
    try:
        server = await asyncio.start_unix_server(clients.serve, sock=listener, limit=MAX_LINE)
        try:
            yield
        finally:
            server.close()
            await clients.end()
    finally:
        listener.close()
        with suppress(OSError):
            if os.path.samestat(made, os.stat(path)):  # nobody else's
                os.unlink(path)


def _bind(path: Path) -> socket.socket:
    """A socket at `path` that only root may open; one that a crash left is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _clear(path)
        listener.bind(os.fspath(path))
        os.chmod(path, 0o600)  # before `listen`: until then nobody can connect
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise SetupError(f"cannot make the control socket {path}: {reason}") from None
    except BaseException:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SetupError(f"{path} is there, and is no control socket")
    if alive(path):
        raise SetupError(f"another process answers at the control socket {path}")
    os.unlink(path)
