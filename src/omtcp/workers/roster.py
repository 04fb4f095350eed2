"""Who works: workers are started, started again when they die, and ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from omtcp.control.protocol import Request
from omtcp.errors import SetupError
from omtcp.workers.member import Member
from omtcp.workers.messages import Assignment, Attach, Logged, Look, Stop
from omtcp.workers.sums import Bygone

FIRST_PAUSE = 0.1
"""Seconds before a worker that died is started again; twice as long each time it dies soon."""
LONGEST_PAUSE = 5.0
LONG_LIFE = 10.0
"""Seconds after which a death is a new misfortune, and not the old one again."""
START_PATIENCE = 30.0
"""Seconds, and one more for each worker: they start at the same time, on few processors."""
STOP_PATIENCE = 5.0

_log = logging.getLogger("omtcp.workers")


class Roster:
    """The workers by their numbers, from 1."""

    def __init__(
        self, count: int, brief: Callable[[int, int], tuple[Assignment, list[int]]]
    ) -> None:
        """`brief` says what worker (number, generation) has to know, and gives its descriptors."""
        self.bygone = Bygone()
        """What those did that died."""
        self.quiet = asyncio.Lock()
        """Nobody is started while it is held: what is asked meanwhile would pass them by."""
        self._brief = brief
        self._members: dict[int, Member] = {}
        self._generations = dict.fromkeys(range(1, count + 1), 0)
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def living(self) -> list[Member]:
        """Those whose process runs, by number."""
        return [member for _, member in sorted(self._members.items()) if not member.over]

    async def start(self) -> None:
        """Start all. SetupError if one of them cannot serve."""
        members = [self._hire(number) for number in self._generations]
        try:
            async with asyncio.timeout(START_PATIENCE + len(members)):
                for member in members:
                    await member.ready
        except TimeoutError:
            raise SetupError("the workers take too long to start") from None
        for member in members:
            if member.over:
                raise SetupError(member.reason or f"worker {member.number} {member.fate}")
        self._keepers = [asyncio.create_task(self._keep(member)) for member in members]

    async def stop(self) -> None:
        """End all, by force if need be."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        members = self.living
        for member in members:
            member.tell(Stop())
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                for member in members:
                    await member.end()
        except TimeoutError:
            for member in self.living:
                _log.warning("worker %d does not end, and is killed", member.number)
                member.kill()
            for member in members:
                await member.end()

    async def ask(
        self, what: Request | Look | Attach, patience: float, descriptors: Sequence[int] = ()
    ) -> list[tuple[Member, object]]:
        """What each that lives answers within `patience` seconds, or the error instead.

        `descriptors` has one for each worker, by number, or none.
        """
        members = self.living
        asked = [
            member.ask(what, patience, descriptors[member.number - 1 : member.number])
            for member in members
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return list(zip(members, answers, strict=True))

    def _hire(self, number: int) -> Member:
        assignment, descriptors = self._brief(number, self._generations[number])
        self._generations[number] += 1
        member = self._members[number] = Member(assignment, descriptors, _pass_on)
        return member

    async def _keep(self, member: Member) -> None:
        """Have a successor for a worker that dies, and for that one."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            if await member.end() == 0:  # told to, and perhaps we are next
                await asyncio.sleep(FIRST_PAUSE)
            self.bygone.add(member.account)
            if loop.time() - began > LONG_LIFE:
                pause = FIRST_PAUSE
            _log.warning(
                "worker %d (process %d) %s; its connections are lost, it starts again in %g s",
                member.number,
                member.pid,
                member.fate,
                pause,
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            member = await self._succeed(member.number)

    async def _succeed(self, number: int) -> Member:
        while True:
            try:
                async with self.quiet:
                    return self._hire(number)
            except OSError as error:
                _log.warning("worker %d cannot be started: %s", number, error.strerror)
                await asyncio.sleep(LONGEST_PAUSE)


def _pass_on(number: int, logged: Logged) -> None:
    """A log record of a worker's, as one of ours."""
    logging.getLogger(logged.logger).log(logged.level, "worker %d: %s", number, logged.text)
