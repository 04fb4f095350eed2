"""What the emulator is told."""

from dataclasses import dataclass

from omtcp.lab.script import BOTTLENECK, RETURN, Step
from omtcp.link.config import LinkConfig

COMPETITOR = "competitor"
"""What the names of the competitors' own links begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A competing server's device, its end's address, and how it reaches the client.

    addresses: its IP addresses, packed. link: what each of its `flows` connections has for itself
    on the way to the bottleneck; None if they share the uplink `uplink`.
    """

    device: str
    mac: bytes
    addresses: tuple[bytes, ...]
    flows: int
    link: LinkConfig | None
    uplink: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the emulator is to do.

    uplinks and macs: the device towards the server per uplink, and the address of the server's end.
    client and client_mac: the same for the client. forward, back: the links. back_on: the uplink
    that the return traffic takes. swallow: what a middlebox keeps, per uplink. behind: the uplinks
    that lead into the bottleneck. script: changes, timed from the start signal.
    """

    uplinks: tuple[str, ...]
    macs: tuple[bytes, ...]
    client: str
    client_mac: bytes
    forward: tuple[LinkConfig, ...]
    back: LinkConfig
    back_on: int
    swallow: tuple[str, ...]
    bottleneck: LinkConfig | None
    behind: tuple[int, ...]
    rivals: tuple[Rival, ...]
    script: tuple[Step, ...]
    seed: int

    def links(self) -> dict[str, LinkConfig]:
        """All links by name, in the order of reports."""
        links = {str(index): config for index, config in enumerate(self.forward)}
        if self.bottleneck is not None:
            links[BOTTLENECK] = self.bottleneck
        links[RETURN] = self.back
        for group, rival in enumerate(self.rivals):
            if rival.link is not None:
                links |= dict.fromkeys(rival_links(group, rival), rival.link)
        return links


def rival_links(group: int, rival: Rival) -> list[str]:
    """The names of the links that the connections of a group have for themselves."""
    return [f"{COMPETITOR} {group}.{flow}" for flow in range(rival.flows)]
