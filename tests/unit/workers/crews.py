"""Workers without a network: real processes, and no path to serve over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar, cast

from omtcp.apps.fileserver import FileServer
from omtcp.control.protocol import Request
from omtcp.core.config import Config
from omtcp.net.mailbox import mailboxes
from omtcp.net.plumbing import Plumbing
from omtcp.workers.crew import Crew
from omtcp.workers.member import Member
from omtcp.workers.messages import Assignment, Job, Logged

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds within which a process starts, whatever else the machine does."""


class NoPlumbing:
    """Stands for a `Plumbing` without paths."""

    def __init__(self) -> None:
        self.paths: dict[int, Any] = {}
        self.ever = 2

    def device_of(self, index: int) -> str | None:
        return None


def job(directory: Path, **changes: Any) -> Job:
    made: dict[str, Any] = {
        "recipe": partial(FileServer, str(directory)),
        "address": ip_address("192.0.2.1"),
        "port": 80,
        "config": Config(),
        "secret": bytes(32),
        "log_level": logging.INFO,
    }
    return Job(**{**made, **changes})


class Hired:
    """One worker, and what it logs."""

    def __init__(
        self, directory: Path, *, orders: tuple[Request, ...] = (), **changes: Any
    ) -> None:
        self.logged: list[tuple[int, Logged]] = []
        assignment = Assignment(
            job=job(directory, **changes),
            number=3,
            generation=0,
            ever=2,
            paths=(),
            orders=orders,
        )
        ((own, slot),) = mailboxes(1)
        self.member = Member(
            assignment, [own.fileno()], lambda number, line: self.logged.append((number, line))
        )
        own.close()
        slot.close()

    async def ready(self) -> Member:
        async with asyncio.timeout(PATIENCE):
            await self.member.ready
        return self.member

    async def end(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.member.end()


def crew(directory: Path, count: int, **changes: Any) -> Crew:
    plumbing = cast("Plumbing", NoPlumbing())
    return Crew(job(directory, **changes), count, plumbing, lambda: None)


def run(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(story())
