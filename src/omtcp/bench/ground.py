"""The ground that all stacks are measured on: two namespaces and the veths between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omtcp.lab.case import Case
from omtcp.lab.netns import run_tool
from omtcp.lab.network import Network
from omtcp.link.spec import parse_link

_TBF = "tbf rate {rate} burst 64kb limit 512kb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """uplinks: how many veths. frames: no offloads, so that what crosses is as on a wire.

    rate: bits per second as tc(8) takes them, per uplink, None for as fast as it goes; a token
    bucket at the server's end, behind 4 ms of queue at 1 Gbit/s.
    """

    uplinks: int = 1
    frames: bool = False
    rate: str | None = None

    @contextmanager
    def network(self, directory: Path) -> Iterator[Network]:
        """The network, for as long as the context lasts."""
        links = tuple(parse_link("inf,0ms") for _ in range(self.uplinks))
        with Network(Case(uplinks=links, direct=True), directory) as network:
            for index, uplink in enumerate(network.uplinks):
                if self.frames:
                    network.server.offloads_off(uplink.device)
                    network.client.offloads_off(f"eth{index}")
                if self.rate is not None:
                    qdisc = _TBF.format(rate=self.rate).split()
                    command = ["tc", "qdisc", "add", "dev", uplink.device, "root", *qdisc]
                    run_tool(network.server.command(command))
            yield network
