"""A path as it was made: what a server needs to use it, whoever made it."""

from dataclasses import dataclass

from omtcp.net.pathspec import PathSpec, Uplink
from omtcp.net.tun import Tun


@dataclass(frozen=True, slots=True, kw_only=True)
class PlumbedPath:
    """One path as it is: what was asked for, the uplink that was found, and what was made."""

    spec: PathSpec
    uplink: Uplink
    queues: tuple[Tun, ...]
    table: int

    @property
    def tun(self) -> Tun:
        """The first queue of its TUN device."""
        return self.queues[0]

    def close(self) -> None:
        """Close the TUN device, which vanishes with its routes."""
        for tun in self.queues:
            tun.close()
