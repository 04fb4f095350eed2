"""The supervisor: it prepares the host, keeps the workers alive, and speaks for them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from omtcp.aio.administration import find_path, find_uplink
from omtcp.aio.uplinks import watched
from omtcp.apps.snapshot import Snapshot
from omtcp.control.protocol import QUERIES, Json, RefusedError, Request
from omtcp.control.service import RATE_INTERVAL_MAX_MS, Answerer
from omtcp.core.config import Config
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
    Look,
    Message,
    Renamed,
)
from omtcp.workers.orders import StandingOrders
from omtcp.workers.roster import Roster
from omtcp.workers.sums import Bygone, add_lists, add_snapshots

MOST_WORKERS = 128
ANSWER_PATIENCE = 10.0
"""Seconds for what was commanded."""
LOOK_PATIENCE = 1.0
"""Seconds for what is merely shown."""

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
        self.roster = Roster(count, self._brief)
        self._job = job
        self._plumbing = plumbing
        self._on_change = on_change
        self._boxes = mailboxes(count)
        self._up: dict[int, bool] = {}
        self._names: dict[int, Uplink] = {}
        self._orders = StandingOrders()
        self._note_paths()

    def _note_paths(self) -> None:
        paths = self._plumbing.paths
        self._up = {
            index: self._up.get(index, path.uplink.carrier) for index, path in paths.items()
        }
        self._names = {index: path.uplink for index, path in paths.items()}

    async def start(self) -> None:
        """Start all. SetupError if one of them cannot serve."""
        await self.roster.start()

    async def stop(self) -> None:
        """End all: what is open is reset."""
        await self.roster.stop()
        for ends in self._boxes:
            for end in ends:
                end.close()

    def _brief(self, number: int, generation: int) -> tuple[Assignment, list[int]]:
        """What a worker has to know, and its descriptors."""
        paths = self._plumbing.paths
        assignment = Assignment(
            job=self._job,
            number=number,
            generation=generation,
            ever=self._plumbing.ever,
            paths=tuple(
                Lending.of(index, path, up=self._up[index]) for index, path in paths.items()
            ),
            orders=self._orders.requests(lambda index: str(paths[index].uplink)),
        )
        queues = [path.queues[number - 1].fileno() for path in paths.values()]
        own = self._boxes[number - 1][0].fileno()
        others = [
            box[1].fileno() for index, box in enumerate(self._boxes, start=1) if index != number
        ]
        return assignment, [*queues, own, *others]

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
        for member in self.roster.living:
            member.tell(message)

    # What is asked

    async def snapshot(self) -> Snapshot:
        """What all of them do now; of those that do not say it soon, what they said last."""
        answers = await self.roster.ask(Look(), LOOK_PATIENCE)
        absent = Bygone(self.roster.bygone.account)
        snapshots = []
        for member, answer in answers:
            if isinstance(answer, Snapshot):
                snapshots.append(answer)
            elif isinstance(answer, WorkerSilentError):
                absent.add(member.account)
        return add_snapshots(snapshots, absent.account, self._plumbing.device_of)

    async def do(self, request: Request) -> Json:
        """Have all carry out a request."""
        if request.verb == "list":
            patience = ANSWER_PATIENCE + RATE_INTERVAL_MAX_MS / 1000
            return add_lists(await self._results(request, patience), self.roster.bygone.account)
        if request.verb in QUERIES:
            return (await self._results(request))[0]
        async with self.roster.quiet:
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
        with suppress(RefusedError):  # nobody runs: successors will know
            await self._obedience(Attach(lending, cost), queues)
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
        """What all that live answer to a request; one at least. OmtcpError if one says no."""
        return _unanimous(await self.roster.ask(request, patience))

    async def _obedience(
        self, what: Request | Attach, descriptors: Sequence[int] = ()
    ) -> list[Json]:
        """The same where it changes something: all must be of one mind.

        Who is silent serves nobody either, and is killed: its successor knows what is asked now.
        """
        answers = await self.roster.ask(what, ANSWER_PATIENCE, descriptors)
        for member, answer in answers:
            if isinstance(answer, WorkerSilentError):
                _log.warning("%s, and is killed", answer)
                member.kill()
        return _unanimous(
            [(member, a) for member, a in answers if not isinstance(a, WorkerSilentError)]
        )


def _unanimous(answers: Sequence[tuple[Member, object]]) -> list[Json]:
    """The answers of those that live; the first error if there is one."""
    found = []
    for _, answer in answers:
        if isinstance(answer, WorkerGoneError):
            continue
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    if not found:
        raise RefusedError("no worker runs at the moment")
    return cast("list[Json]", found)
