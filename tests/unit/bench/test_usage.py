import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omtcp.bench.usage import (
    Bystanders,
    bystanders,
    descendants,
    observe,
    parse_numbers,
    parse_packets,
    parse_stat,
)

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0
 veth0: 1000     10    0    0    0     0          0         0    64000       4    0    0    0
 veth1: 2000     20    0    0    0     0          0         0    64000       5    0    0    0
omtcp0: 9000     90    0    0    0     0          0         0    64000       6    0    0    0
"""


def test_a_name_with_brackets_and_spaces_does_not_shift_the_fields() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    before = "42 (a) (b c) S 1 1 1 0 -1 0 0 0 0 0"
    text = f"{before} {2 * ticks} {3 * ticks} {10 * ticks} {20 * ticks} 20 0"
    assert parse_stat(text) == (12.0, 23.0)


def test_only_lines_with_numbers_count() -> None:
    text = "Name:\tx y\nRssAnon:\t  12 kB\nsyscr: 7\nEmpty:\n"
    assert parse_numbers(text) == {"RssAnon": 12, "syscr": 7}


def test_packets_are_those_of_the_uplinks() -> None:
    assert parse_packets(NET_DEV) == (30, 9)
    assert parse_packets(NET_DEV, "omtcp") == (90, 6)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no I/O accounting here")
def test_a_window_tells_what_this_process_did_in_it() -> None:
    before = observe(os.getpid())
    # A mapping of its own: the allocator may serve a request from what was freed before.
    data = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    data[::4096] = b"x" * len(data[::4096])
    with Path("/dev/null").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"")
    after = observe(os.getpid())
    data.close()
    assert after.calls - before.calls >= 100
    assert after.memory - before.memory > 4 << 20
    assert after.at_ns > before.at_ns
    assert after.cpu_s >= before.cpu_s


def own_seconds() -> float:
    return sum(parse_stat(Path("/proc/self/stat").read_text()))


def busy_seconds() -> float:
    fields = Path("/proc/stat").read_text().split(maxsplit=4)
    return sum(map(int, fields[1:4])) / os.sysconf("SC_CLK_TCK")


def test_our_own_work_is_not_the_bystanders() -> None:
    strangers, busy, until = bystanders(), busy_seconds(), own_seconds() + 0.5
    while own_seconds() < until:
        pass
    worked = bystanders().cpu_s - strangers.cpu_s
    assert worked <= busy_seconds() - busy - 0.3


def test_cores_are_seconds_over_seconds() -> None:
    before = Bystanders(at_ns=0, cpu_s=1.0)
    assert Bystanders(at_ns=2_000_000_000, cpu_s=4.0).cores_since(before) == 1.5
    assert Bystanders(at_ns=2_000_000_000, cpu_s=0.9).cores_since(before) == 0.0


def test_children_are_found_and_the_dead_are_an_error() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.pid in list(descendants(os.getpid()))
        child.communicate(b"\n")
    with pytest.raises(ProcessLookupError):
        observe(child.pid)
