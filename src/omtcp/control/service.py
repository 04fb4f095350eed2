"""The verbs of the control socket, carried out on whoever administers the paths."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Protocol

from omtcp.control.protocol import (
    Json,
    Request,
    RequestError,
    format_error,
    format_result,
    parse_request,
)
from omtcp.core.stats import PathReport
from omtcp.errors import OmtcpError

RATE_INTERVAL_MS = 250
"""Over how long the rates of a list are measured, unless the request says."""
RATE_INTERVAL_MAX_MS = 10_000

_log = logging.getLogger("omtcp.control")


class Administration(Protocol):
    """The paths of a served address, as one process or several together run them.

    Names are what `PathReport.name` says, a device that only one path has, or an index. All but
    `reports` and `policy` raise an OmtcpError when it cannot be done.
    """

    async def reports(self) -> Sequence[PathReport]:
        """How each path is doing now, by index."""

    async def add(self, path: str, cost: int | None) -> str:
        """Add a path, or use a drained one again; its name."""

    async def drain(self, name: str, *, force: bool) -> str:
        """Let a path carry nothing new; its name."""

    async def undrain(self, name: str) -> str:
        """Use a drained path again; its name."""

    async def remove(self, name: str, *, force: bool) -> str:
        """Forget a path and undo what it needed; its name."""

    async def set_cost(self, name: str, cost: int) -> str:
        """Have a path cost something else; its name."""

    async def policy(self) -> str:
        """What is sent over which path: the policy in force."""

    async def set_policy(self, name: str) -> str:
        """Schedule by another policy; its name."""


class Answerer(ABC):
    """Answers request lines by what comes of carrying them out."""

    @abstractmethod
    async def do(self, request: Request) -> Json:
        """Carry out a request; its result. OmtcpError, for who asked, if that cannot be."""

    async def answer(self, line: bytes) -> bytes:
        """The reply to a line, whatever the line is."""
        identity: Json = None
        try:
            request = parse_request(line)
            identity = request.identity
            return format_result(identity, await self.do(request))
        except RequestError as error:
            return format_error(error.identity, str(error))
        except OmtcpError as error:
            return format_error(identity, str(error))
        except Exception:
            _log.exception("internal error in answer to a command")
            return format_error(identity, "internal error; the server's log tells more")


class Service(Answerer):
    """Carries requests out on the paths of this process."""

    def __init__(
        self, administration: Administration, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """`sleep` waits for so many seconds; rates need it."""
        self._administration = administration
        self._sleep = sleep

    async def do(self, request: Request) -> Json:
        """Carry out a request."""
        administration = self._administration
        path = request.text("path")
        match request.verb:
            case "list":
                return await self._list(request.number("interval_ms"))
            case "add":
                return await administration.add(path, request.number("cost"))
            case "drain":
                return await administration.drain(path, force=request.flag("force"))
            case "undrain":
                return await administration.undrain(path)
            case "remove":
                return await administration.remove(path, force=request.flag("force"))
            case "cost":
                return await administration.set_cost(path, request.number("cost") or 0)
            case _:
                return await administration.set_policy(request.text("name"))

    async def _list(self, interval_ms: int | None) -> Json:
        """Each path with its rate, which takes two looks."""
        wait_ms = RATE_INTERVAL_MS if interval_ms is None else interval_ms
        wait_ms = min(wait_ms, RATE_INTERVAL_MAX_MS)
        before = {}
        if wait_ms:
            before = {report.index: report for report in await self._administration.reports()}
            await self._sleep(wait_ms / 1000)
        paths: list[Json] = []
        for report in await self._administration.reports():
            entry: dict[str, Json] = asdict(report)
            earlier = before.get(report.index)
            if earlier is not None and report.at_ns > earlier.at_ns:
                sent = report.bytes_sent - earlier.bytes_sent
                entry["rate_bps"] = sent * 8_000_000_000 // (report.at_ns - earlier.at_ns)
            else:
                entry["rate_bps"] = None
            del entry["at_ns"]
            paths.append(entry)
        return {"policy": await self._administration.policy(), "paths": paths}
