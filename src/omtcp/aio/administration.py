"""The paths of a served address, as its operator sees and changes them while it is served."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from omtcp.core.config import Policy
from omtcp.core.endpoint import Endpoint
from omtcp.core.paths import Path
from omtcp.core.stats import PathReport
from omtcp.core.subflow import PathState, Subflow
from omtcp.errors import LocalError
from omtcp.net.driver import Driver
from omtcp.net.pathspec import PathSpec
from omtcp.net.plumbed import PlumbedPath

_log = logging.getLogger("omtcp.aio")


class Host(Protocol):
    """What paths stand on: a `Plumbing`, or what a process was lent of one."""

    @property
    def paths(self) -> Mapping[int, PlumbedPath]:
        """Those that there are, by index."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines for the operator, about what was done last."""

    def add(self, spec: PathSpec) -> int:
        """Make one more path; its index. SetupError when the host refuses."""

    def remove(self, index: int) -> None:
        """Undo what a path needed. SetupError if something could not be undone."""


class PathAdministration:
    """Keeps host, driver and core in step: a path has the same index in all of them.

    Meets `control.service.Administration`; the verbs hold up the event loop for some milliseconds
    where the host has to be changed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        host: Host,
        driver: Driver,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when there are other paths than before."""
        self._endpoint = endpoint
        self._host = host
        self._driver = driver
        self._on_change = on_change

    async def reports(self) -> list[PathReport]:
        """How each path is doing now, by index."""
        subflows: dict[int, list[tuple[Subflow, bool]]] = {}
        for connection in self._endpoint.connections.values():
            sender = connection.sender
            if sender is not None and not connection.over:
                for subflow in sender.subflows:
                    entry = (subflow, subflow is sender.best)
                    subflows.setdefault(subflow.index, []).append(entry)
        now = self._driver.clock()
        return [
            self._report(now, path, subflows.get(path.index, [])) for path in self._endpoint.paths
        ]

    def _report(self, now: int, path: Path, subflows: list[tuple[Subflow, bool]]) -> PathReport:
        uplink = self._host.paths[path.index].uplink
        silent = (PathState.SUSPECT, PathState.DEFECTIVE)
        return PathReport(
            at_ns=now,
            index=path.index,
            name=str(uplink),
            device=uplink.device,
            gateway=None if uplink.gateway is None else str(uplink.gateway),
            state="drained" if path.drained else "up" if path.up else "down",
            link_up=path.up,
            cost=path.cost,
            connections=sum(subflow.usable for subflow, _ in subflows),
            suspect=sum(subflow.state in silent for subflow, _ in subflows),
            primary_of=sum(primary for _, primary in subflows),
            in_flight=sum(subflow.outstanding for subflow, _ in subflows),
            bytes_sent=path.tally.sent,
            bytes_retransmitted=path.tally.resent,
        )

    async def add(self, path: str, cost: int | None = None) -> str:
        """Add a path, or use a drained one again; its name.

        Raises:
            SetupError: the host has no such uplink.
            LocalError: the path is in use already.
        """
        spec = PathSpec.parse(path)
        if cost is None:
            cost = spec.cost
        index = find_uplink(self._host.paths, spec)
        if index is not None:
            self._use_again(index, cost)
            return self._name(index)
        index = self._host.add(spec)
        for warning in self._host.warnings:
            _log.warning("%s", warning)
        self.take_in(index, cost or 0)
        self._on_change()
        return self._name(index)

    def take_in(self, index: int, cost: int) -> None:
        """Use a path that the host has, and that is the next one for the core."""
        path = self._host.paths[index]
        uplink = path.uplink
        given = self._driver.add_path(
            path.tun, uplink.mtu, cost=cost, up=uplink.carrier, name=str(uplink)
        )
        assert given == index

    def _use_again(self, index: int, cost: int | None) -> None:
        if not self._endpoint.paths[index].drained:
            raise LocalError(f"path {self._name(index)} is there already")

        def use(now: int) -> None:
            if cost is not None:
                self._endpoint.set_cost(now, index, cost)
            self._endpoint.undrain_path(now, index)

        self._driver.operate(use)

    async def drain(self, name: str, *, force: bool = False) -> str:
        """Let a path carry nothing new; its name.

        Raises:
            LocalError: there is no such path, or it is the last one and that is not forced.
        """
        index = self.find(name)
        self._driver.operate(lambda now: self._endpoint.drain_path(now, index, force=force))
        return self._name(index)

    async def undrain(self, name: str) -> str:
        """Use a drained path again; its name. LocalError if there is no such path."""
        index = self.find(name)
        self._driver.operate(lambda now: self._endpoint.undrain_path(now, index))
        return self._name(index)

    async def remove(self, name: str, *, force: bool = False) -> str:
        """Forget a path and undo what it needed on the host; its name.

        Raises:
            LocalError: there is no such path, or it is the last one and that is not forced.
            SetupError: something on the host could not be undone; the path is gone all the same.
        """
        index = self.find(name)
        removed = self._name(index)
        self._driver.remove_path(index, force=force)
        try:
            self._host.remove(index)
        finally:
            self._on_change()
        return removed

    async def set_cost(self, name: str, cost: int) -> str:
        """Have a path cost something else; its name. LocalError if there is no such path."""
        index = self.find(name)
        self._driver.operate(lambda now: self._endpoint.set_cost(now, index, cost))
        return self._name(index)

    async def policy(self) -> str:
        """The policy in force."""
        return self._endpoint.config.policy.value

    async def set_policy(self, name: str) -> str:
        """Have all connections schedule by another policy; its name.

        Raises:
            LocalError: there is no policy of that name, or the mode does not have it.
        """
        try:
            policy = Policy(name)
        except ValueError:
            names = ", ".join(Policy)
            raise LocalError(f"no policy {name!r}: there are {names}") from None
        self._driver.operate(lambda now: self._endpoint.set_policy(now, policy))
        return policy.value

    def find(self, name: str) -> int:
        """The index of the path called `name`; LocalError if there is none, or several."""
        return find_path(self._host.paths, name)

    def _name(self, index: int) -> str:
        return str(self._host.paths[index].uplink)


def find_path(paths: Mapping[int, PlumbedPath], name: str) -> int:
    """The index of the path called `name`; LocalError if there is none, or several."""
    for index, path in paths.items():
        if str(path.uplink) == name:
            return index
    found = [index for index, path in paths.items() if path.uplink.device == name]
    if not found and name.isascii() and name.isdigit() and int(name) in paths:
        found = [int(name)]
    names = ", ".join(str(path.uplink) for path in paths.values())
    if not found:
        raise LocalError(f"no path {name!r}: there are {names}" if names else "no path is left")
    if len(found) > 1:
        raise LocalError(f"several paths over {name}: say which of {names}")
    return found[0]


def find_uplink(paths: Mapping[int, PlumbedPath], spec: PathSpec) -> int | None:
    """The first path that `spec` names; without a gateway it may be any on the interface."""
    for index, path in paths.items():
        uplink = path.uplink
        if uplink.device == spec.device and spec.gateway in (None, uplink.gateway):
            return index
    return None
