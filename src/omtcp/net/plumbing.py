"""Everything on the host that a served address needs, made on entry and gone on exit.

One TUN device per path, a routing table and rules for each, forwarding where packets arrive. What
was made is in a journal first (net/journal.py), so that the next start undoes what a crash left.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from omtcp.errors import SetupError
from omtcp.net import sysctl
from omtcp.net.address import Address
from omtcp.net.changes import Change, RouterMode, Setting, is_kept, make, restore, undo
from omtcp.net.firewall import forwarding_obstacles
from omtcp.net.journal import DEFAULT_DIRECTORY, Journal, JournalDirectory, Survey
from omtcp.net.netlink import Netlink, Rule, outside_event_loop
from omtcp.net.pathspec import PathSpec, Uplink, parse_address
from omtcp.net.plan import (
    PathDevice,
    Priorities,
    choose_priorities,
    choose_tables,
    plan_changes,
    plan_proxies,
)
from omtcp.net.plumbed import PlumbedPath
from omtcp.net.resolve import resolve, resolve_another
from omtcp.net.tun import Tun

QUEUE_LENGTH = 8192
"""Packets that may wait for us in a TUN device: a burst of acknowledgements, not a bufferbloat."""


class Plumbing:
    """The host prepared to serve `address` over `paths`; a context manager, also `open`, `close`.

    While open, `paths[i].tun` carries the packets of path i: what is written leaves by its uplink,
    and what arrives there for the address is read. Each path has `queues` TUN queues. Paths may be
    added and removed; an index is never used again. May be used with an event loop running, which
    it holds up for some milliseconds. `warnings` are lines for the operator.
    """

    def __init__(
        self,
        address: str | Address,
        paths: Sequence[PathSpec | str],
        *,
        queues: int = 1,
        directory: Path = DEFAULT_DIRECTORY,
    ) -> None:
        self.address = parse_address(str(address))
        self.paths: dict[int, PlumbedPath] = {}
        self.warnings: tuple[str, ...] = ()
        self._specs = [PathSpec.parse(path) if isinstance(path, str) else path for path in paths]
        self._queue_count = queues
        self._directory = directory
        self._journal: Journal | None = None
        self._priorities = Priorities(own=1, guard=None)
        self._next_index = 0

    @property
    def uplinks(self) -> tuple[Uplink, ...]:
        """The uplink of each path, in path order."""
        return tuple(path.uplink for path in self.paths.values())

    @property
    def tuns(self) -> tuple[Tun, ...]:
        """The TUN device of each path, in path order."""
        return tuple(path.tun for path in self.paths.values())

    @property
    def queues(self) -> tuple[tuple[Tun, ...], ...]:
        """All queues of each path, in path order."""
        return tuple(path.queues for path in self.paths.values())

    @property
    def ever(self) -> int:
        """How many paths there were so far: the index of the next one."""
        return self._next_index

    def device_of(self, index: int) -> str | None:
        """The interface of path `index`; None if there is no such path any more."""
        path = self.paths.get(index)
        return None if path is None else path.uplink.device

    def open(self) -> None:
        """Make everything; SetupError, with nothing left behind, when the host refuses."""
        outside_event_loop(self._open)

    def close(self) -> None:
        """Undo everything; a second call does nothing.

        What cannot be undone is left to the next start, and the SetupError says what it was.
        """
        outside_event_loop(self._close)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, spec: PathSpec) -> int:
        """Make one more path; its index. SetupError, with all as it was, when the host refuses."""
        return outside_event_loop(lambda: self._add(spec))

    def remove(self, index: int) -> None:
        """Undo what path `index` needed and no other does.

        What cannot be undone is left to the next start, and the SetupError says what it was.
        """
        outside_event_loop(lambda: self._remove(index))

    def repair(self) -> dict[int, bool]:
        """Put back what was lost, above all the routes of an uplink that was down.

        A path whose gateway was to be found follows its interface's default route to a new one.
        Says for each path whether its uplink is there, set up, and has carrier.
        """
        return outside_event_loop(self._repair)

    def _open(self) -> None:
        directory = JournalDirectory(self._directory)
        with directory.locked(), Netlink() as netlink, ExitStack() as on_failure:
            kept = self._clear(directory, netlink).kept()
            family = self.address.version
            uplinks = resolve(netlink, self._specs, family)
            check_not_owned(netlink, self.address)
            on_failure.callback(self._close_tuns)
            rules = netlink.rules(family)
            self._priorities = choose_priorities(rules)
            tables = choose_tables(netlink, family, rules, kept, len(uplinks))
            for spec, uplink, table in zip(self._specs, uplinks, tables, strict=True):
                self._take_in(netlink, spec, uplink, table)
            plan = self._plan(netlink, kept)
            self._journal = directory.begin(str(self.address), plan)
            on_failure.callback(self._undo, directory, netlink)
            for change in plan:
                if not is_kept(change, kept):
                    make(netlink, change)
            self.warnings = tuple(find_warnings(family, uplinks, plan))
            on_failure.pop_all()

    def _close(self) -> None:
        if self._journal is None:
            return
        directory = JournalDirectory(self._directory)
        try:
            with directory.locked(), Netlink() as netlink:
                self._undo(directory, netlink)
        finally:
            self._close_tuns()

    def _add(self, spec: PathSpec) -> int:
        directory = JournalDirectory(self._directory)
        with directory.locked(), Netlink() as netlink, ExitStack() as on_failure:
            family = self.address.version
            kept = self._kept(directory)
            uplink = resolve_another(netlink, spec, family, self.uplinks)
            (table,) = choose_tables(netlink, family, netlink.rules(family), kept, 1)
            index = self._take_in(netlink, spec, uplink, table)
            on_failure.callback(self._let_go, index)
            self._change(directory, netlink)
            self.warnings = tuple(find_warnings(family, [uplink], self._changes))
            on_failure.pop_all()
        return index

    def _remove(self, index: int) -> None:
        directory = JournalDirectory(self._directory)
        with directory.locked(), Netlink() as netlink:
            path = self.paths.pop(index)
            try:
                self._change(directory, netlink)
            finally:
                path.close()

    def _change(self, directory: JournalDirectory, netlink: Netlink) -> None:
        """Go from what was made to what the present paths need.

        The journal holds both meanwhile, so that a crash at any point leaves nothing behind.
        """
        assert self._journal is not None
        others = directory.survey().kept(but=str(self.address))
        old = self._journal.record.changes
        plan = self._plan(netlink, [*old, *others])
        new = [change for change in plan if change not in old]
        self._journal.rewrite([*old, *new])
        try:
            for change in new:
                if not is_kept(change, [*old, *others]):
                    make(netlink, change)
        except BaseException:
            undo_all(netlink, new, [*old, *others])
            self._journal.rewrite(old)
            raise
        undo_all(netlink, [change for change in old if change not in plan], [*plan, *others])
        self._journal.rewrite(plan)

    @property
    def _changes(self) -> tuple[Change, ...]:
        """All that was made."""
        return () if self._journal is None else self._journal.record.changes

    def _kept(self, directory: JournalDirectory) -> list[Change]:
        """What was made, by us or by others."""
        return [*self._changes, *directory.survey().kept(but=str(self.address))]

    def _repair(self) -> dict[int, bool]:
        with Netlink() as netlink:
            if self._journal is not None:
                self._follow_gateways(netlink)
            for change in self._changes:
                restore(netlink, change)
            links = {index: netlink.link(path.uplink.device) for index, path in self.paths.items()}
        return {
            index: link is not None and link.up and link.carrier for index, link in links.items()
        }

    def _follow_gateways(self, netlink: Netlink) -> None:
        """Move paths whose gateway nobody named to where their default routes lead now."""
        before = dict(self.paths)
        for index, path in before.items():
            link = netlink.link(path.uplink.device)
            if path.spec.gateway is not None or link is None or link.neighbourless:
                continue
            gateway = netlink.default_gateway(link, self.address.version)
            if gateway not in (None, path.uplink.gateway):  # without one the old may still do
                uplink = replace(path.uplink, gateway=gateway)
                self.paths[index] = replace(path, uplink=uplink)
        if self.paths == before:
            return
        directory = JournalDirectory(self._directory)
        try:
            with directory.locked():
                self._change(directory, netlink)
        except BaseException:
            self.paths = before
            raise

    def _undo(self, directory: JournalDirectory, netlink: Netlink) -> None:
        if self._journal is None:
            return
        journal, self._journal = self._journal, None
        others = directory.survey().kept(but=str(self.address))
        try:
            undo_all(netlink, journal.record.changes, others)
        except BaseException:
            journal.release()
            raise
        journal.remove()

    def _clear(self, directory: JournalDirectory, netlink: Netlink) -> Survey:
        """Undo what crashes left, of any address: stale rules name devices that we are to make."""
        survey = directory.survey()
        for record in survey.running:
            if record.address == str(self.address):
                raise SetupError(f"{self.address} is already served by process {record.pid}")
        for path, record in survey.left:
            undo_all(netlink, record.changes, survey.kept())
            path.unlink()
        return survey

    def _open_tuns(self, netlink: Netlink, uplink: Uplink) -> tuple[Tun, ...]:
        many = self._queue_count > 1
        tuns = [Tun.open(mtu=uplink.mtu, longest=uplink.longest, multi_queue=many)]
        try:
            while len(tuns) < self._queue_count:
                more = Tun.open(
                    tuns[0].name, mtu=uplink.mtu, longest=uplink.longest, multi_queue=many
                )
                tuns.append(more)
            for key, value in device_settings(tuns[0].name, self.address.version):
                if sysctl.read(key) not in (None, value):
                    sysctl.write(key, value)
            netlink.set_link_up(tuns[0].name, queue_length=QUEUE_LENGTH)
        except BaseException:
            for tun in tuns:
                tun.close()
            raise
        return tuple(tuns)

    def _take_in(self, netlink: Netlink, spec: PathSpec, uplink: Uplink, table: int) -> int:
        """Open the TUN device of one more path; its index."""
        queues = self._open_tuns(netlink, uplink)
        index, self._next_index = self._next_index, self._next_index + 1
        self.paths[index] = PlumbedPath(spec=spec, uplink=uplink, queues=queues, table=table)
        return index

    def _let_go(self, index: int) -> None:
        """The path that was taken in last could not be made."""
        self.paths.pop(index).close()
        self._next_index = index

    def _plan(self, netlink: Netlink, kept: Sequence[Change]) -> list[Change]:
        paths = [
            PathDevice(tun=path.tun.name, uplink=path.uplink, table=path.table)
            for path in self.paths.values()
        ]
        plan = plan_changes(self.address, paths, self._priorities, kept)
        return plan + plan_proxies(netlink, self.address, self.uplinks, [*kept, *plan])

    def _close_tuns(self) -> None:
        for path in self.paths.values():
            path.close()
        self.paths = {}


def check_not_owned(netlink: Netlink, address: Address) -> None:
    """SetupError if the kernel would answer for `address` itself."""
    owner = netlink.owner(address)
    if owner is not None:
        raise SetupError(
            f"{address} is this host's own {owner}: serve from one that the kernel does not own"
        )


def undo_all(netlink: Netlink, changes: Sequence[Change], kept: Sequence[Change]) -> None:
    """Undo `changes`, last first, but for those that `kept` has too.

    One that cannot be undone does not keep the rest from it; the first such error is raised then.
    """
    failure: SetupError | None = None
    for change in reversed(changes):
        if is_kept(change, kept):
            continue
        try:
            undo(netlink, change)
        except SetupError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def find_warnings(family: int, uplinks: Iterable[Uplink], plan: Sequence[Change]) -> Iterator[str]:
    """What the operator should know, though it keeps nothing from starting."""
    for uplink in uplinks:
        if not uplink.carrier:
            yield f"path {uplink} has no carrier"
    if any(isinstance(change, RouterMode) for change in plan):
        yield "this kernel forwards IPv6 on all interfaces or none: it now does on all of them"
    forwards = any(isinstance(change, Setting | RouterMode) for change in plan)
    if forwards and not any(isinstance(change, Rule) and not change.table for change in plan):
        yield (
            "the uplinks forward now, and the order of this host's policy rules leaves no place to"
            " stop them from forwarding for others"
        )
    yield from forwarding_obstacles(family)


def device_settings(device: str, family: int) -> list[tuple[str, str]]:
    """Settings of our own device; they go with it."""
    if family == 4:
        own = {
            "forwarding": "1",
            "rp_filter": "2",  # loose even where net.ipv4.conf.all has 1: the larger one counts
            "send_redirects": "0",
            "accept_redirects": "0",
        }
        settings = [(sysctl.interface(4, device, name), value) for name, value in own.items()]
        return [*settings, (sysctl.interface(6, device, "disable_ipv6"), "1")]
    own = {
        "disable_ipv6": "0",
        "addr_gen_mode": "1",  # no link-local address, so no solicitations to read
        "accept_ra": "0",
        "accept_redirects": "0",
        "force_forwarding": "1",
    }
    return [(sysctl.interface(6, device, name), value) for name, value in own.items()]
