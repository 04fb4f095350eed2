"""A worker as the supervisor sees it: a process, and what it says."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import omtcp
from omtcp.control.protocol import RefusedError, Request
from omtcp.errors import OmtcpError
from omtcp.workers.channel import Channel, ChannelClosedError, channels
from omtcp.workers.messages import (
    Account,
    Answer,
    Ask,
    Assignment,
    Attach,
    Failed,
    Logged,
    Look,
    Message,
    Ready,
)


class WorkerGoneError(OmtcpError):
    """The worker died, or ended, before it answered."""


class WorkerSilentError(OmtcpError):
    """The worker does not answer."""


class Member:
    """One process, from its start to its end."""

    def __init__(
        self,
        assignment: Assignment,
        descriptors: Sequence[int],
        on_log: Callable[[int, Logged], None],
    ) -> None:
        """Start a worker. OSError if the system has no process left."""
        self.number = assignment.number
        self.account = Account()
        """What it said last."""
        self.reason: str | None = None
        """Why it cannot serve, where it said so."""
        self._on_log = on_log
        self._loop = asyncio.get_running_loop()
        self._asks: dict[int, asyncio.Future[object]] = {}
        self._identities = 0
        self.ready = self._loop.create_future()
        """Done as soon as it serves, or has ended without."""
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._channel, theirs = channels()
        try:
            self._process = _start(theirs)
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._loop.add_reader(self._channel.fileno(), self._on_channel)
        self._channel.send(assignment, descriptors)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self._ended.done()

    async def end(self) -> int:
        """Wait until the process has ended; its status, as `subprocess` tells it."""
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End it at once."""
        if not self.over:
            self._process.kill()

    def tell(self, message: Message) -> None:
        """Pass something on that needs no answer."""
        self._channel.send(message)

    async def ask(
        self, what: Request | Look | Attach, timeout: float, descriptors: Sequence[int] = ()
    ) -> object:
        """What it answers.

        Raises:
            RefusedError: it says no.
            WorkerSilentError: it says nothing in time.
            WorkerGoneError: it has ended.
        """
        if self.over:
            raise WorkerGoneError(f"worker {self.number} is gone")
        self._identities += 1
        identity = self._identities
        answer = self._asks[identity] = self._loop.create_future()
        try:
            self._channel.send(Ask(identity, what), descriptors)
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise WorkerSilentError(f"worker {self.number} does not answer") from None
        finally:
            del self._asks[identity]

    def _on_channel(self) -> None:
        try:
            while (got := self._channel.receive()) is not None:
                self._handle(got[0])
        except ChannelClosedError:  # the rest is said by its exit
            self._loop.remove_reader(self._channel.fileno())

    def _handle(self, message: Message) -> None:
        match message:
            case Answer(identity, result, error):
                waiting = self._asks.get(identity)
                if waiting is None or waiting.done():
                    return
                if error is None:
                    waiting.set_result(result)
                else:
                    waiting.set_exception(RefusedError(error))
            case Account():
                self.account = message
            case Logged():
                self._on_log(self.number, message)
            case Failed(reason):
                self.reason = reason
            case Ready():
                if not self.ready.done():
                    self.ready.set_result(None)
            case _:
                raise AssertionError(f"a supervisor is not told {message}")

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._on_channel()  # what it still said
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        status = self._process.wait()
        self._ended.set_result(status)
        if not self.ready.done():
            self.ready.set_result(None)
        for waiting in self._asks.values():
            if not waiting.done():
                waiting.set_exception(WorkerGoneError(f"worker {self.number} is gone"))

    @property
    def fate(self) -> str:
        """How it ended."""
        status = self._ended.result()
        if self.reason is not None:
            return f"cannot serve: {self.reason}"
        if status < 0:
            with suppress(ValueError):
                return f"was killed by {signal.Signals(-status).name}"
            return f"was killed by signal {-status}"
        return f"ended with status {status}" if status else "ended"


def _start(channel: Channel) -> subprocess.Popen[bytes]:
    """A process of its own, and not a fork of ours: nothing of ours can be held or broken there."""
    inherited = channel.fileno()
    root = str(Path(omtcp.__file__).parents[1])
    environment = dict(os.environ)
    if os.path.abspath(sys.path[0]) == root:  # run from a checkout; -P does not look there
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (root, environment.get("PYTHONPATH")))
        )
    return subprocess.Popen(
        # -P: whatever lies in the working directory is served, not imported.
        [sys.executable, "-P", "-m", "omtcp.workers", str(inherited)],
        stdin=subprocess.DEVNULL,
        pass_fds=[inherited],
        env=environment,
    )
