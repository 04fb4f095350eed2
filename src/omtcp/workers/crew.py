"""The supervisor: it prepares the host, keeps the workers alive, and speaks for them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from omtcp.aio.administration import find_path, find_uplink
from omtcp.aio.uplinks import watched
from omtcp.apps.snapshot import Snapshot
from omtcp.control.protocol import QUERIES, Json, RefusedError, Request
from omtcp.control.service import RATE_INTERVAL_MAX_MS, Answerer
from omtcp.core.config import Config
from omtcp.errors import SetupError
from omtcp.net.lent import Lending
from omtcp.net.mailbox import mailboxes
from omtcp.net.pathspec import PathSpec, Uplink
from omtcp.net.plumbing import Plumbing
from omtcp.net.watch import UplinkWatch
from omtcp.workers.member import Member, WorkerGoneError, WorkerSilentError
from omtcp.workers.messages import (
    Application,
    Assignment,
    Attach,
    Job,
    LinkChanged,
    Logged,
    Look,
    Message,
    Renamed,
    Stop,
)
from omtcp.workers.orders import StandingOrders
from omtcp.workers.sums import Bygone, add_lists, add_snapshots

MOST_WORKERS = 128
FIRST_PAUSE = 0.1
"""Seconds before a worker that died is started again; twice as long each time it dies soon."""
LONGEST_PAUSE = 5.0
LONG_LIFE = 10.0
"""Seconds after which a death is a new misfortune, and not the old one again."""
START_PATIENCE = 30.0
"""Seconds, and one more for each worker: they start at the same time, on few processors."""
ANSWER_PATIENCE = 10.0
STOP_PATIENCE = 5.0

_log = logging.getLogger("omtcp.workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """How many workers, and what each of them is told. `recipe` makes what is served."""

    recipe: Callable[[], Application]
    count: int
    events: Path | None = None
    log_level: int = logging.WARNING


@asynccontextmanager
async def serve_by_workers(
    staff: Staff,
    address: str,
    port: int,
    paths: Sequence[str],
    *,
    config: Config | None = None,
) -> AsyncIterator[Crew]:
    """Have several processes accept connections to `address` and `port`, as `aio.serve` does.

    Raises:
        SetupError: the host cannot be prepared, or a worker cannot serve.
    """
    with (
        Plumbing(address, paths, queues=staff.count) as plumbing,
        UplinkWatch(plumbing) as watch,
    ):
        for warning in plumbing.warnings:
            _log.warning("%s", warning)
        job = Job(
            recipe=staff.recipe,
            address=plumbing.address,
            port=port,
            config=config or Config(),
            secret=secrets.token_bytes(32),
            events=staff.events,
            log_level=staff.log_level,
        )
        async with AsyncExitStack() as stack:
            crew = Crew(job, staff.count, plumbing, watch.follow)
            stack.push_async_callback(crew.stop)
            await crew.start()
            with watched(plumbing, watch, crew.handle_path, crew.handle_names):
                yield crew


class Crew(Answerer):
    """The workers, all of them together. Requests are carried out by each, results are one."""

    def __init__(
        self, job: Job, count: int, plumbing: Plumbing, on_change: Callable[[], None]
    ) -> None:
        """`on_change` is called when there are other paths than before."""
        self._job = job
        self._plumbing = plumbing
        self._on_change = on_change
        self._boxes = mailboxes(count)
        self._members: dict[int, Member] = {}
        self._generations = dict.fromkeys(range(1, count + 1), 0)
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False
        self._up: dict[int, bool] = {}
        self._names: dict[int, Uplink] = {}
        self._orders = StandingOrders()
        self._bygone = Bygone()
        self._one_at_a_time = asyncio.Lock()
        self._note_paths()

    def _note_paths(self) -> None:
        paths = self._plumbing.paths
        self._up = {
            index: self._up.get(index, path.uplink.carrier) for index, path in paths.items()
        }
        self._names = {index: path.uplink for index, path in paths.items()}

    # Their lives

    async def start(self) -> None:
        """Start all. SetupError if one of them cannot serve."""
        for number in self._generations:
            self._members[number] = self._hire(number)
        members = list(self._members.values())
        try:
            async with asyncio.timeout(START_PATIENCE + len(members)):
                for member in members:
                    await member.ready
        except TimeoutError:
            raise SetupError("the workers take too long to start") from None
        for member in members:
            if member.over:
                raise SetupError(member.reason or f"worker {member.number} {member.fate}")
        for member in members:
            self._keepers.append(asyncio.create_task(self._keep(member)))

    async def stop(self) -> None:
        """End all: what is open is reset."""
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        members = self._living()
        for member in members:
            member.tell(Stop())
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                for member in members:
                    await member.end()
        except TimeoutError:
            for member in members:
                if not member.over:
                    _log.warning("worker %d does not end, and is killed", member.number)
                    member.kill()
            for member in members:
                await member.end()
        for ends in self._boxes:
            for end in ends:
                end.close()

    def _hire(self, number: int) -> Member:
        """Start worker `number`, with its queues and all it has to know."""
        paths = self._plumbing.paths
        assignment = Assignment(
            job=self._job,
            number=number,
            generation=self._generations[number],
            ever=self._plumbing.ever,
            paths=tuple(
                Lending.of(index, path, up=self._up[index]) for index, path in paths.items()
            ),
            orders=self._orders.requests(lambda index: str(paths[index].uplink)),
        )
        self._generations[number] += 1
        queues = [path.queues[number - 1].fileno() for path in paths.values()]
        own = self._boxes[number - 1][0].fileno()
        others = [
            box[1].fileno() for index, box in enumerate(self._boxes, start=1) if index != number
        ]
        return Member(assignment, [*queues, own, *others], _pass_on)

    async def _keep(self, member: Member) -> None:
        """Have a successor for a worker that dies, and for that one."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            if await member.end() == 0:  # told to, and perhaps we are next
                await asyncio.sleep(FIRST_PAUSE)
            self._bygone.add(member.account)
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
            member = await self._succeed(member)

    async def _succeed(self, member: Member) -> Member:
        while True:
            try:
                async with self._one_at_a_time:  # it is not told what others are asked just now
                    successor = self._members[member.number] = self._hire(member.number)
            except OSError as error:
                _log.warning("worker %d cannot be started: %s", member.number, error.strerror)
                await asyncio.sleep(LONGEST_PAUSE)
            else:
                return successor

    def _living(self) -> list[Member]:
        return [member for member in self._members.values() if not member.over]

    # What happens on the host

    def handle_path(self, index: int, up: bool) -> None:
        """The link of a path went down, or came up."""
        self._up[index] = up
        self._tell(LinkChanged(index, up))

    def handle_names(self) -> None:
        """Paths may have other gateways now."""
        for index, path in self._plumbing.paths.items():
            if path.uplink != self._names[index]:
                self._names[index] = path.uplink
                self._tell(Renamed(index, path.uplink))

    def _tell(self, message: Message) -> None:
        for member in self._living():
            member.tell(message)

    # What is asked

    async def snapshot(self) -> Snapshot:
        """What all of them do now."""
        answers = await self._ask(Look(), ANSWER_PATIENCE)
        snapshots = [answer for answer in answers if isinstance(answer, Snapshot)]
        return add_snapshots(snapshots, self._bygone.account, self._plumbing.device_of)

    async def do(self, request: Request) -> Json:
        """Have all carry out a request."""
        if request.verb == "list":
            patience = ANSWER_PATIENCE + RATE_INTERVAL_MAX_MS / 1000
            return add_lists(await self._results(request, patience), self._bygone.account)
        if request.verb in QUERIES:
            return (await self._results(request))[0]
        async with self._one_at_a_time:
            match request.verb:
                case "add":
                    return await self._add(request)
                case "remove":
                    return await self._remove(request)
                case _:
                    return await self._order(request)

    async def _order(self, request: Request) -> Json:
        """Something that the workers can do by themselves, and that successors are to do too."""
        index = None
        if "path" in request.arguments:
            index = find_path(self._plumbing.paths, request.text("path"))
        results = await self._obedience(request)
        self._orders.note(request, index)
        return results[0]

    async def _add(self, request: Request) -> Json:
        spec, cost = PathSpec.parse(request.text("path")), request.number("cost")
        if cost is None:
            cost = spec.cost
        index = find_uplink(self._plumbing.paths, spec)
        if index is None:
            index = await self._make(spec, cost or 0)
        else:  # drained, or it is refused
            await self._obedience(request)
            self._orders.note(Request("undrain", {"path": ""}), index)
        if cost is not None:
            self._orders.note(Request("cost", {"path": "", "cost": cost}), index)
        return str(self._plumbing.paths[index].uplink)

    async def _make(self, spec: PathSpec, cost: int) -> int:
        index = self._plumbing.add(spec)
        path = self._plumbing.paths[index]
        for warning in self._plumbing.warnings:
            _log.warning("%s", warning)
        self._note_paths()
        self._on_change()
        lending = Lending.of(index, path, up=path.uplink.carrier)
        queues = [queue.fileno() for queue in path.queues]
        await self._ask(Attach(lending, cost), ANSWER_PATIENCE, queues, insist=True)
        return index

    async def _remove(self, request: Request) -> Json:
        index = find_path(self._plumbing.paths, request.text("path"))
        results = await self._obedience(request)
        self._orders.forget(index)
        try:
            self._plumbing.remove(index)
        finally:
            self._note_paths()
            self._on_change()
        return results[0]

    async def _results(self, request: Request, patience: float = ANSWER_PATIENCE) -> list[Json]:
        """What all that live answer to a request; one at least."""
        return _one_at_least(await self._ask(request, patience))

    async def _obedience(self, request: Request) -> list[Json]:
        """The same where it changes something: who does not even answer is not kept."""
        return _one_at_least(await self._ask(request, ANSWER_PATIENCE, insist=True))

    async def _ask(
        self,
        what: Request | Look | Attach,
        patience: float,
        queues: Sequence[int] = (),
        *,
        insist: bool = False,
    ) -> list[object]:
        """What all answer that live to do so; `queues` has a descriptor for each, by number.

        Who is silent serves nobody either. With `insist` it is killed, so that all are of one mind:
        its successor knows what is asked now.

        Raises:
            RefusedError: somebody says no.
            WorkerSilentError: somebody does not answer.
        """
        members = self._living()
        asked = [
            member.ask(what, patience, queues[member.number - 1 : member.number])
            for member in members
        ]
        found = []
        refusals: list[BaseException] = []
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for member, answer in zip(members, answers, strict=True):
            if insist and isinstance(answer, WorkerSilentError):
                _log.warning("%s, and is killed", answer)
                member.kill()
            elif isinstance(answer, BaseException):
                if not isinstance(answer, WorkerGoneError):
                    refusals.append(answer)
            else:
                found.append(answer)
        if refusals:
            raise refusals[0]
        return found


def _one_at_least(answers: list[object]) -> list[Json]:
    if not answers:
        raise RefusedError("no worker runs at the moment")
    return cast("list[Json]", answers)


def _pass_on(number: int, logged: Logged) -> None:
    """A log record of a worker's, as one of ours."""
    logging.getLogger(logged.logger).log(logged.level, "worker %d: %s", number, logged.text)
