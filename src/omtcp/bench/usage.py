"""What a process has used so far, as the kernel counts it: read twice, the difference is a window.

The kernel counts processor time per process, reads and writes per process, and packets per
interface of its namespace. None of that slows the process down, unlike tracing it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_KTHREADD = 2
_UPLINK = "veth"
"""How the interfaces between server and client are named, on the server's side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counters of a process and its descendants at one moment. Times ns or s, memory bytes.

    calls: read and write system calls, readv, writev and sendfile among them; not those for
    sockets alone (send, recv) nor waiting. memory: private memory now (no mapped files).
    packets_in: packets from the client; packets_out: to it, a super-segment as one.
    """

    at_ns: int
    user_s: float
    system_s: float
    calls: int
    memory: int
    packets_in: int
    packets_out: int

    @property
    def cpu_s(self) -> float:
        """Processor time, user and system."""
        return self.user_s + self.system_s


def descendants(pid: int) -> Iterator[int]:
    """The process and all that it started and that still run."""
    yield pid
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from descendants(int(child))


def parse_stat(text: str) -> tuple[float, float]:
    """User and system seconds from a /proc/PID/stat, children that were waited for included."""
    fields = text.rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    return (user + child_user) / _TICKS, (system + child_system) / _TICKS


def parse_numbers(text: str) -> dict[str, int]:
    """The numbers of a file of `name: number ...` lines, as /proc/PID/io and status are."""
    numbers = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            numbers[name] = int(words[0])
    return numbers


def parse_packets(text: str, prefix: str = _UPLINK) -> tuple[int, int]:
    """Packets received and sent by the interfaces whose names begin so, from /proc/PID/net/dev."""
    received = sent = 0
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        if colon and name.strip().startswith(prefix):
            counters = rest.split()
            received += int(counters[1])
            sent += int(counters[9])
    return received, sent


def observe(pid: int) -> Usage:
    """The counters now. ProcessLookupError if there is no such process."""
    now = monotonic_ns()
    user = system = 0.0
    calls = memory = 0
    try:
        received, sent = parse_packets((_PROC / str(pid) / "net/dev").read_text())
        for each in descendants(pid):
            directory = _PROC / str(each)
            more_user, more_system = parse_stat((directory / "stat").read_text())
            user += more_user
            system += more_system
            counted = parse_numbers((directory / "io").read_text())
            calls += counted["syscr"] + counted["syscw"]
            memory += 1024 * parse_numbers((directory / "status").read_text()).get("RssAnon", 0)
    except OSError:
        raise ProcessLookupError(f"process {pid} is gone") from None
    return Usage(
        at_ns=now,
        user_s=user,
        system_s=system,
        calls=calls,
        memory=memory,
        packets_in=received,
        packets_out=sent,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bystanders:
    """Processor seconds so far of everybody but us: of processes that we did not start."""

    at_ns: int
    cpu_s: float

    def cores_since(self, before: "Bystanders") -> float:
        """Processors that they used on average between the two."""
        seconds = max(self.at_ns - before.at_ns, 1) / 1e9
        return max(self.cpu_s - before.cpu_s, 0.0) / seconds


def bystanders() -> Bystanders:
    """What the machine's tasks used, less what this process, its children and the kernel did.

    The kernel's threads work for whoever has work for them, so they tell nothing.
    """
    now = monotonic_ns()
    fields = (_PROC / "stat").read_text().split(maxsplit=4)
    busy = sum(map(int, fields[1:4])) / _TICKS  # user, nice, system
    ours = {os.getpid(), *descendants(os.getpid())}
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        if int(entry.name) in ours or _KTHREADD in (parent, int(entry.name)):
            busy -= sum(parse_stat(text))
    return Bystanders(at_ns=now, cpu_s=busy)


def kernel_memory() -> int:
    """Bytes that the whole kernel keeps in its object caches, sockets among them."""
    return 1024 * parse_numbers((_PROC / "meminfo").read_text())["Slab"]
