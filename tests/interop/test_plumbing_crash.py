"""A kill between any two changes, on the way in, out or between, is undone by the next start."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

from omtcp.net.plumbing import Plumbing

from .hosts import PATHS, Hosts

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

_ADDRESSES = {4: "10.2.0.80", 6: "fd02::80"}
"""Out of an uplink's own network, which takes all kinds of changes."""

_PROGRAM = """
import os, signal, sys
from pathlib import Path
from omtcp.net import plumbing
verb, address, directory, *paths = sys.argv[1:]
real = getattr(plumbing, verb)

def work():
%s

def die_after(left):
    def counted(netlink, change):
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        real(netlink, change)
    setattr(plumbing, verb, counted)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            die_after(int(line))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Works in a process of its own, with nothing done before, for each line that says when to die."""

_SERVE = """
with plumbing.Plumbing(address, paths, directory=Path(directory)):
    pass
"""

_CHANGE_PATHS = """
first, second = map(plumbing.PathSpec.parse, paths)
with plumbing.Plumbing(address, [first], directory=Path(directory)) as served:
    served.add(second)
    served.remove(0)
    served.add(first)
    served.remove(1)
"""


@pytest.mark.parametrize("verb", ["make", "undo"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("work", [_SERVE, _CHANGE_PATHS], ids=["serve", "change-paths"])
def test_a_kill_at_any_point(
    hosts: Hosts, tmp_path: Path, family: int, verb: str, work: str
) -> None:
    before = hosts.server.snapshot()
    address, paths = _ADDRESSES[family], PATHS[family]
    with subprocess.Popen(
        hosts.server.command(
            sys.executable,
            "-c",
            _PROGRAM % indent(work, "    "),
            *(verb, address, str(tmp_path), *paths),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        # Both families go the same way when paths change, so one of them is sampled.
        for point in range(0, 100, 3 if work == _CHANGE_PATHS and family == 6 else 1):
            program.stdin.write(f"{point}\n")
            program.stdin.flush()
            status = int(program.stdout.readline())
            if status == 0:
                assert point >= 12  # there were that many changes
                break
            assert status == -signal.SIGKILL
            with hosts.server.inside(), Plumbing(address, paths, directory=tmp_path):
                pass
            assert hosts.server.snapshot() == before, f"killed after {point} changes"
        program.stdin.close()
    assert hosts.server.snapshot() == before
    assert list(tmp_path.iterdir()) == []
