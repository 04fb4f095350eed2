"""`omtcp serve` as a user runs it, and a client with a kernel's TCP behind a router.

    server          router          client
     up0 ---------- r0   c0 -------- e0
     up1 ---------- r1   c1 -------- e1

What comes in by r0 leaves by c0, and r1 by c1, in both directions: two uplinks that meet at the
client only. The client's address is on no link of its own; it sends by one leg, 0 unless told.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, Queue
from random import Random

from .hosts import CLIENT, PATHS, SERVED, Namespace, run

PORT = 8080
CONTENT = {"small": 100_000, "data": 4_000_000, "large": 10_000_000}
"""Names and sizes of what is served."""
_SERVER = """
link set lo up
addr add 10.1.0.2/24 dev up0
addr add 10.2.0.2/24 dev up1
addr add fd01::2/64 dev up0 nodad
addr add fd02::2/64 dev up1 nodad
link set up0 up
link set up1 up
"""
_ROUTER = """
link set lo up
addr add 10.1.0.1/24 dev r0
addr add 10.2.0.1/24 dev r1
addr add 10.11.0.1/24 dev c0
addr add 10.12.0.1/24 dev c1
addr add fd01::1/64 dev r0 nodad
addr add fd02::1/64 dev r1 nodad
addr add fd11::1/64 dev c0 nodad
addr add fd12::1/64 dev c1 nodad
link set r0 up
link set r1 up
link set c0 up
link set c1 up
"""
_CLIENT = """
link set lo up
addr add 10.11.0.2/24 dev e0
addr add 10.12.0.2/24 dev e1
addr add fd11::2/64 dev e0 nodad
addr add fd12::2/64 dev e1 nodad
addr add 203.0.113.9/32 dev lo
addr add 2001:db8:9::9/128 dev lo nodad
link set e0 up
link set e1 up
"""
_NEXT_HOPS = {
    4: (("10.11.0.2", "10.12.0.2"), ("10.1.0.2", "10.2.0.2"), ("10.11.0.1", "10.12.0.1")),
    6: (("fd11::2", "fd12::2"), ("fd01::2", "fd02::2"), ("fd11::1", "fd12::1")),
}
"""Per family and leg: the client and the server as the router sees them, the client's router."""


class World:
    """The three namespaces."""

    def __init__(self, stack: ExitStack) -> None:
        self.server, self.router, self.client = (
            self._namespace(stack, role) for role in ("server", "router", "client")
        )
        for leg in (0, 1):
            self.server.ip(f"link add up{leg} type veth peer name r{leg} netns {self.router.name}")
            self.client.ip(f"link add e{leg} type veth peer name c{leg} netns {self.router.name}")
        self.router.write_sysctl("net/ipv4/ip_forward", "1")
        self.router.write_sysctl("net/ipv6/conf/all/forwarding", "1")
        for namespace, lines in (
            (self.router, _ROUTER),
            (self.server, _SERVER),
            (self.client, _CLIENT),
        ):
            namespace.ip(lines)
        for leg in (0, 1):
            for family in (4, 6):
                self._route(family, leg)
        self.router_speaks_by(0)
        self.client_sends_by(0)

    @staticmethod
    def _namespace(stack: ExitStack, role: str) -> Namespace:
        namespace = Namespace(role)
        stack.callback(namespace.remove)
        namespace.write_sysctl("net/ipv6/conf/default/accept_dad", "0")
        for name in ("all", "default"):
            namespace.write_sysctl(f"net/ipv4/conf/{name}/rp_filter", "0")
        return namespace

    def _route(self, family: int, leg: int) -> None:
        version = f"-{family}"
        name = self.router.name
        for device, table in ((f"r{leg}", 100 + leg), (f"c{leg}", 200 + leg)):
            run("ip", "-n", name, version, "rule", "add", "iif", device, "table", str(table))
        self.restore(leg, family)
        hop = _NEXT_HOPS[family][1][leg]
        self.router.ip(f"route add {SERVED[family]} via {hop} table {200 + leg}")

    def cut(self, leg: int) -> None:
        """What the server sends by `leg` vanishes; no link shows it."""
        for family in (4, 6):
            self.router.ip(f"route replace blackhole {CLIENT[family]} table {100 + leg}")

    def restore(self, leg: int, *families: int) -> None:
        for family in families or (4, 6):
            hop = _NEXT_HOPS[family][0][leg]
            table = 100 + leg
            self.router.ip(f"route replace {CLIENT[family]} via {hop} dev c{leg} table {table}")

    def router_speaks_by(self, leg: int) -> None:
        """For what the router itself has to say to the served address."""
        for family in (4, 6):
            self.router.ip(f"route replace {SERVED[family]} via {_NEXT_HOPS[family][1][leg]}")

    def router_is_mute(self) -> None:
        """What the router itself has to say is lost."""
        for family in (4, 6):
            self.router.ip(f"route replace blackhole {SERVED[family]}")

    def client_sends_by(self, leg: int) -> None:
        for family in (4, 6):
            hop = _NEXT_HOPS[family][2][leg]
            route = f"{SERVED[family]} via {hop} dev e{leg} src {CLIENT[family]}"
            self.client.ip(f"route replace {route}")

    def set_rate(self, mbit: float) -> None:
        """Of each leg, towards the client."""
        for leg in (0, 1):
            options = f"rate {mbit}mbit burst 32kb latency 30ms"
            run("tc", "-n", self.router.name, *f"qdisc replace dev c{leg} root tbf".split(),
                *options.split())  # fmt: skip

    def carried(self, leg: int) -> int:
        """Bytes that went to the client by `leg`."""
        shown = run("ip", "-n", self.router.name, "-s", "-j", "link", "show", f"c{leg}")
        count: int = json.loads(shown)[0]["stats64"]["tx"]["bytes"]
        return count

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = self.client.command("curl", "-sS", "--max-time", "20", *arguments)
        return subprocess.run(command, capture_output=True, check=False)

    def download(self, url: str, to: Path) -> Download:
        return Download(self.client, url, to)

    def connect(self, family: int = 4, port: int = PORT) -> socket.socket:
        """A socket of the client's kernel, connected to the served address."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with self.client.inside():
            made = socket.socket(kind, socket.SOCK_STREAM)
        try:
            made.settimeout(10)
            made.connect((SERVED[family], port))
        except BaseException:
            made.close()
            raise
        return made


class Download:
    """curl at work in the background."""

    def __init__(self, client: Namespace, url: str, to: Path) -> None:
        self.to = to
        command = client.command("curl", "-sS", "--max-time", "30", "-o", str(to), url)
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)

    @property
    def size(self) -> int:
        return self.to.stat().st_size if self.to.exists() else 0

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def reach(self, size: int) -> None:
        """Wait until so many bytes have arrived, with more to come."""
        until(lambda: self.size >= size or not self.running, f"{size} bytes of a download")
        assert self.running, "the download was over too soon"

    def finish(self) -> int:
        """Wait for its end; curl's exit status."""
        _, self.complaint = self._process.communicate(timeout=40)
        return self._process.returncode

    def stop(self) -> None:
        if self.running:
            self._process.kill()
        self._process.communicate()


class Serving:
    """One run of `omtcp serve` that has said that it is ready."""

    def __init__(
        self,
        world: World,
        directory: Path,
        log: Path,
        *options: str,
        family: int = 4,
        paths: Sequence[str] = (),
    ) -> None:
        self.family = family
        self._log = log
        self._lines: Queue[str] = Queue()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command(world, directory, *options, family=family, paths=paths),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            assert "ready" in self._lines.get(timeout=20)
        except (Empty, AssertionError):
            self.stop()
            raise AssertionError(f"omtcp serve did not start: {self.log}") from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line)
        self._lines.put("")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What it wrote to its standard error."""
        return self._log.read_text()

    def url(self, name: str) -> str:
        address = SERVED[self.family]
        return f"http://{f'[{address}]' if self.family == 6 else address}:{PORT}/{name}"

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.pid)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit status."""
        if self.running:
            self._process.send_signal(how)
        try:
            status = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join()
        return status


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command(
    world: World,
    directory: Path,
    *options: str,
    family: int = 4,
    paths: Sequence[str] = (),
) -> list[str]:
    """The command line, over all uplinks unless `paths` says otherwise."""
    named = [word for path in paths or PATHS[family] for word in ("--path", path)]
    where = [str(directory), "--address", SERVED[family], "--port", str(PORT)]
    return world.server.command(
        sys.executable, "-m", "omtcp", "serve", *where, *named, "--mode", "pooled", *options
    )


def fill(directory: Path) -> Path:
    """Make the files of CONTENT."""
    random = Random(11)
    for name, size in CONTENT.items():
        (directory / name).write_bytes(random.randbytes(size))
    return directory


def digest(data: bytes) -> str:
    """To compare by: pytest would show the difference of megabytes."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


def until(condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    """Wait for the other processes."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout:g} s"
        time.sleep(0.01)
