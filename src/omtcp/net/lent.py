"""Paths that another process plumbed, and of each the TUN queue that this one may use."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omtcp.errors import LocalError
from omtcp.net.address import Address
from omtcp.net.pathspec import PathSpec, Uplink
from omtcp.net.plumbed import PlumbedPath
from omtcp.net.tun import Tun


@dataclass(frozen=True, slots=True, kw_only=True)
class Lending:
    """What there is to know of a path that is lent, besides the descriptor of the queue."""

    index: int
    spec: PathSpec
    uplink: Uplink
    table: int
    tun: str
    """Name of the device."""

    @classmethod
    def of(cls, index: int, path: PlumbedPath, *, up: bool) -> Lending:
        """Path `index`, whose link is up or not by now."""
        return cls(
            index=index,
            spec=path.spec,
            uplink=replace(path.uplink, carrier=up),
            table=path.table,
            tun=path.tun.name,
        )


class LentPaths:
    """Stands for the `Plumbing` where there is no say in it."""

    def __init__(self, address: Address, ever: int) -> None:
        """`ever` is how many paths there were so far, those that are no more included."""
        self.address = address
        self.ever = ever
        self.paths: dict[int, PlumbedPath] = {}
        self.warnings: tuple[str, ...] = ()

    def take(self, lending: Lending, fd: int) -> None:
        """A path is lent; the descriptor is ours from now on."""
        tun = Tun(fd, lending.tun, lending.uplink.mtu, lending.uplink.longest)
        self.paths[lending.index] = PlumbedPath(
            spec=lending.spec, uplink=lending.uplink, queues=(tun,), table=lending.table
        )
        self.ever = max(self.ever, lending.index + 1)

    def rename(self, index: int, uplink: Uplink) -> None:
        """A path has another gateway, and so another name."""
        if index in self.paths:
            self.paths[index] = replace(self.paths[index], uplink=uplink)

    def add(self, spec: PathSpec) -> int:
        """Not for us. LocalError."""
        raise LocalError(f"path {spec} was not lent")

    def remove(self, index: int) -> None:
        """Give a path back."""
        self.paths.pop(index).close()

    def device_of(self, index: int) -> str | None:
        """The interface of path `index`; None if there is no such path any more."""
        path = self.paths.get(index)
        return None if path is None else path.uplink.device

    def close(self) -> None:
        """Give all paths back."""
        for path in self.paths.values():
            path.close()
        self.paths = {}
