"""The ground that all stacks are measured on: two namespaces and the veths between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omtcp.lab.case import Case
from omtcp.lab.netns import run_tool
from omtcp.lab.network import CLIENT, Network
from omtcp.lab.processes import python_module
from omtcp.link.spec import parse_link

_SHAPERS = {
    "tbf": ("qdisc add dev {device} root tbf rate {rate} burst 64kb limit 512kb",),
    "htb": (
        "qdisc add dev {device} root handle 1: htb default 1",
        "class add dev {device} parent 1: classid 1:1 htb rate {rate} burst 64kb cburst 64kb",
        "qdisc add dev {device} parent 1:1 bfifo limit 512kb",
    ),
}
_BIG = 262_144
"""Octets of a super-segment where devices are to take long ones: four usual ones."""
_PAIR = 3100
"""Bytes of more than two frames and less than three: receive offload joins two and no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """uplinks: how many veths. frames: no offloads, so that what crosses is as on a wire.

    big: the server's devices take super-segments of 256 KiB instead of 64 (BIG TCP), whoever sends.

    pairs: the receiver acknowledges every second segment at once, as RFC 9293 wants it. Linux does
    so only while its reader keeps up with each frame, which no veth gives it the time for.

    rate: bits per second as tc(8) takes them, per uplink, None for as fast as it goes; a token
    bucket at the server's end, with 4 ms of queue at 1 Gbit/s.

    shaper: `tbf` cuts what is longer than a frame and lets each frame go at its own moment; `htb`
    lets super-segments go as a whole.
    """

    uplinks: int = 1
    frames: bool = False
    big: bool = False
    rate: str | None = None
    shaper: str = "tbf"
    pairs: bool = False

    @contextmanager
    def network(self, directory: Path) -> Iterator[Network]:
        """The network, for as long as the context lasts."""
        links = tuple(parse_link("inf,0ms") for _ in range(self.uplinks))
        with Network(Case(uplinks=links, direct=True), directory) as network:
            for index, uplink in enumerate(network.uplinks):
                if self.frames:
                    network.server.offloads_off(uplink.device)
                    network.client.offloads_off(f"eth{index}")
                if self.big:
                    setting = python_module("omtcp.net.big_tcp", uplink.device, str(_BIG))
                    run_tool(network.server.command(setting))
                if self.rate is not None:
                    for line in _SHAPERS[self.shaper]:
                        words = line.format(device=uplink.device, rate=self.rate).split()
                        run_tool(network.server.command(["tc", *words]))
            if self.pairs:
                _acknowledge_pairs(network)
            yield network


def _acknowledge_pairs(network: Network) -> None:
    """Receive offload joins two frames, and the route says to acknowledge what it gave at once."""
    for index in range(len(network.uplinks)):
        run_tool(network.client.command(["ethtool", "-K", f"eth{index}", "gro", "on"]))
        network.client.ip([f"link set eth{index} gro_max_size {_PAIR}"])
    home = network.uplinks[network.case.return_index()].address[4]
    network.client.ip([f"route replace {network.served} via {home} src {CLIENT[4]} quickack 1"])
