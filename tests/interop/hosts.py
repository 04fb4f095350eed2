"""Two namespaces: a server with two uplinks, and the world behind them, a router and client."""

import ctypes
import itertools
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from omtcp.net.tun import PACKET_SIZE, Tun

SERVED = {4: "198.51.100.80", 6: "2001:db8:80::80"}
CLIENT = {4: "203.0.113.9", 6: "2001:db8:9::9"}
LAN = {4: "192.168.77.2", 6: "fd77::2"}
UPLINKS = ("up0", "up1")
GATEWAYS = {4: ("10.1.0.1", "10.2.0.1"), 6: ("fd01::1", "fd02::1")}
PATHS = {
    family: [f"{device}@{gateway}" for device, gateway in zip(UPLINKS, gateways, strict=True)]
    for family, gateways in GATEWAYS.items()
}

PROXIES = "neigh show proxy"

_CLONE_NEWNET = 0x40000000
_SO_RCVBUFFORCE = 33
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()

_SERVER = """
link set lo up
addr add 10.1.0.2/24 dev up0
addr add 10.2.0.2/24 dev up1
addr add 192.168.77.1/24 dev lan
addr add fd01::2/64 dev up0 nodad
addr add fd02::2/64 dev up1 nodad
addr add fd77::1/64 dev lan nodad
link set up0 up
link set up1 up
link set lan up
route add default via 10.1.0.1
route add default via 10.2.0.1 metric 50
route add default via fd01::1
"""
_WORLD = """
link set lo up
addr add 10.1.0.1/24 dev r0
addr add 10.2.0.1/24 dev r1
addr add fd01::1/64 dev r0 nodad
addr add fd02::1/64 dev r1 nodad
addr add 203.0.113.9/32 dev lo
addr add 2001:db8:9::9/128 dev lo nodad
link set r0 up
link set r1 up
route add 198.51.100.0/24 via 10.1.0.2
route add 2001:db8:80::/48 via fd01::2
"""


class Namespace:
    """A network namespace with a name, for as long as the test needs it."""

    def __init__(self, role: str) -> None:
        self.name = f"omtcp-test-{os.getpid()}-{next(_numbers)}-{role}"
        run("ip", "netns", "add", self.name)

    def remove(self) -> None:
        run("ip", "netns", "del", self.name)

    def ip(self, batch: str) -> str:
        """Run lines of ip(8) commands."""
        return run("ip", "-n", self.name, "-batch", "-", text=batch)

    def command(self, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *argv]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in the namespace meanwhile."""
        with ExitStack() as stack:
            back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, back)
            there = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, there)
            _setns(there)
            stack.callback(_setns, back)
            yield

    def write_sysctl(self, key: str, value: str) -> None:
        with self.inside():
            Path("/proc/sys", key).write_text(value, encoding="ascii")

    def snapshot(self) -> dict[str, str]:
        """Rules, routes, links and settings: what the host looks like."""
        shown = {
            what: run("ip", "-n", self.name, *what.split())
            for what in (
                "-4 rule show",
                "-6 rule show",
                "-4 route show table all",
                "-6 route show table all",
                "-o link show",
                PROXIES,
            )
        }
        with self.inside():
            for family in ("ipv4", "ipv6"):
                for path in sorted(Path(f"/proc/sys/net/{family}").rglob("*")):
                    if path.is_file() and os.access(path, os.R_OK):
                        shown[str(path)] = _read(path)
        return shown


@dataclass
class Hosts:
    """The server, whose uplinks up0 and up1 end at r0 and r1 of the world; `lan` ends at l0."""

    server: Namespace
    world: Namespace

    @contextmanager
    def watch(self, device: str) -> Iterator[socket.socket]:
        """A socket that sees what arrives in the world over `device`."""
        with (
            self.world.inside(),
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as watcher,
        ):
            watcher.bind((device, 3))
            watcher.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
            watcher.setblocking(False)
            yield watcher

    def udp_from_world(self, device: str, destination: str, payload: bytes) -> None:
        """The client sends a datagram over `device`, through the server's uplink there."""
        family = ip_address(destination).version
        gateway = {
            ("r0", 4): "10.1.0.2",
            ("r1", 4): "10.2.0.2",
            ("r0", 6): "fd01::2",
            ("r1", 6): "fd02::2",
        }[device, family]
        self.world.ip(f"route replace {destination} via {gateway} dev {device}")
        with self.world.inside(), udp_socket(family) as client:
            client.bind((CLIENT[family], 0))
            client.sendto(payload, (destination, 4000))


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        server = Namespace("server")
        stack.callback(server.remove)
        world = Namespace("world")
        stack.callback(world.remove)
        for host in (server, world):  # nothing here waits for duplicate addresses
            host.write_sysctl("net/ipv6/conf/default/dad_transmits", "0")
        # The world is client and router in one: as a router it asks with its address on the link.
        world.write_sysctl("net/ipv4/conf/all/arp_announce", "2")
        for mine, theirs in (("up0", "r0"), ("up1", "r1"), ("lan", "l0")):
            server.ip(f"link add {mine} type veth peer name {theirs} netns {world.name}")
        world.ip("link set l0 up")
        world.ip(_WORLD)
        server.ip(_SERVER)
        _settle(server)
        yield Hosts(server, world)


def _settle(namespace: Namespace, timeout: float = 5.0) -> None:
    """Wait for what the kernel does in its own time: link-local addresses and their routes."""
    deadline = time.monotonic() + timeout
    wanted = [f"fe80::/64 dev {device}" for device in (*UPLINKS, "lan")]
    while time.monotonic() < deadline:
        routes = run("ip", "-n", namespace.name, "-6", "route", "show", "table", "all")
        own = routes.count("local fe80:")
        if own == len(wanted) and all(route in routes for route in wanted):
            return
        time.sleep(0.01)
    raise AssertionError(f"the links of {namespace.name} did not come up")


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


def udp_socket(family: int) -> socket.socket:
    return socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)


def receive(watcher: socket.socket, wanted: bytes, timeout: float = 3.0) -> bytes | None:
    """The first packet that contains `wanted`; None if there is none in time."""
    while select.select([watcher], [], [], timeout)[0]:
        packet = watcher.recv(PACKET_SIZE)
        if wanted in packet:
            return packet
    return None


def read_from(tun: Tun, wanted: bytes, timeout: float = 3.0) -> tuple[bytes, bool] | None:
    """The first packet read from `tun` that contains `wanted`, and whether it was checked."""
    buffer = bytearray(PACKET_SIZE)
    while select.select([tun], [], [], timeout)[0]:
        while (got := tun.read_into(buffer)) is not None:
            length, valid = got
            if wanted in buffer[:length]:
                return bytes(buffer[:length]), valid
    return None


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # some can only be written
        return ""
