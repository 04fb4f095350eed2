"""Everything on the host that a served address needs, made on entry and gone on exit.

One TUN device per path, a routing table and rules for each, forwarding where packets arrive. What
was made is in a journal first (net/journal.py), so that the next start undoes what a crash left.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from omtcp.errors import SetupError
from omtcp.net import sysctl
from omtcp.net.changes import Change, RouterMode, Setting, is_kept, make, restore, undo
from omtcp.net.firewall import forwarding_obstacles
from omtcp.net.journal import DEFAULT_DIRECTORY, Journal, JournalDirectory, Survey
from omtcp.net.netlink import Address, Netlink, Rule, outside_event_loop
from omtcp.net.pathspec import PathSpec, Uplink, parse_address, resolve
from omtcp.net.plan import (
    PathDevice,
    choose_priorities,
    choose_tables,
    plan_changes,
    plan_proxies,
)
from omtcp.net.tun import Tun

QUEUE_LENGTH = 8192
"""Packets that may wait for us in a TUN device: a burst of acknowledgements, not a bufferbloat."""


class Plumbing:
    """The host prepared to serve `address` over `paths`; a context manager, also `open`, `close`.

    While open, `tuns[i]` carries the packets of path i: what is written leaves by `uplinks[i]`,
    and what arrives there for the address is read. Each path has `queues` TUN queues; `tuns` are
    the first ones, `queues[i]` all of path i. May be used with an event loop running, which it
    holds up for some milliseconds. `warnings` are lines for the operator.
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
        self.queues: tuple[tuple[Tun, ...], ...] = ()
        self.uplinks: tuple[Uplink, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self._specs = [PathSpec.parse(path) if isinstance(path, str) else path for path in paths]
        self._queue_count = queues
        self._directory = directory
        self._journal: Journal | None = None

    @property
    def tuns(self) -> tuple[Tun, ...]:
        """The TUN device of each path, in path order."""
        return tuple(queues[0] for queues in self.queues)

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

    def repair(self) -> tuple[bool, ...]:
        """Put back what was lost, above all the routes of an uplink that was down.

        Says for each path whether its uplink is there, set up, and has carrier.
        """
        return outside_event_loop(self._repair)

    def _open(self) -> None:
        directory = JournalDirectory(self._directory)
        with directory.locked(), Netlink() as netlink, ExitStack() as on_failure:
            kept = self._clear(directory, netlink).kept()
            self.uplinks = resolve(netlink, self._specs, self.address.version)
            self._check_address(netlink)
            on_failure.callback(self._close_tuns)
            for uplink in self.uplinks:
                self.queues += (self._open_tuns(netlink, uplink),)
            plan = self._plan(netlink, kept)
            self._journal = directory.begin(str(self.address), plan)
            on_failure.callback(self._undo, directory, netlink)
            for change in plan:
                if not is_kept(change, kept):
                    make(netlink, change)
            self.warnings = tuple(find_warnings(self.address.version, self.uplinks, plan))
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

    def _repair(self) -> tuple[bool, ...]:
        with Netlink() as netlink:
            if self._journal is not None:
                for change in self._journal.record.changes:
                    restore(netlink, change)
            links = [netlink.link(uplink.device) for uplink in self.uplinks]
        return tuple(link is not None and link.up and link.carrier for link in links)

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

    def _check_address(self, netlink: Netlink) -> None:
        owner = netlink.owner(self.address)
        if owner is not None:
            raise SetupError(
                f"{self.address} is this host's own {owner}: serve from one that the kernel"
                " does not own"
            )

    def _open_tuns(self, netlink: Netlink, uplink: Uplink) -> tuple[Tun, ...]:
        many = self._queue_count > 1
        tuns = [Tun.open(mtu=uplink.mtu, multi_queue=many)]
        try:
            while len(tuns) < self._queue_count:
                tuns.append(Tun.open(tuns[0].name, mtu=uplink.mtu, multi_queue=many))
            for key, value in _device_settings(tuns[0].name, self.address.version):
                if sysctl.read(key) not in (None, value):
                    sysctl.write(key, value)
            netlink.set_link_up(tuns[0].name, queue_length=QUEUE_LENGTH)
        except BaseException:
            for tun in tuns:
                tun.close()
            raise
        return tuple(tuns)

    def _plan(self, netlink: Netlink, kept: Sequence[Change]) -> list[Change]:
        family = self.address.version
        rules = netlink.rules(family)
        tables = choose_tables(netlink, family, rules, kept, len(self.uplinks))
        paths = [
            PathDevice(tun=tun.name, uplink=uplink, table=table)
            for tun, uplink, table in zip(self.tuns, self.uplinks, tables, strict=True)
        ]
        plan = plan_changes(self.address, paths, choose_priorities(rules), kept)
        return plan + plan_proxies(netlink, self.address, self.uplinks, [*kept, *plan])

    def _close_tuns(self) -> None:
        for queues in self.queues:
            for tun in queues:
                tun.close()
        self.queues = ()


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


def _device_settings(device: str, family: int) -> list[tuple[str, str]]:
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
