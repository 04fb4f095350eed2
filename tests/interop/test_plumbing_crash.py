"""A kill between any two changes, on the way in, out or between, is undone by the next start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omtcp.net.plumbing import Plumbing

from .hosts import PATHS, Hosts

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

_ADDRESSES = {4: "10.2.0.80", 6: "fd02::80"}
"""Out of an uplink's own network, which takes all kinds of changes."""

_DIE = """
import os, signal, sys
from pathlib import Path
from omtcp.net import plumbing
verb, left, address, directory, *paths = sys.argv[1:]
left = int(left)
real = getattr(plumbing, verb)

def counted(netlink, change):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(netlink, change)

setattr(plumbing, verb, counted)
%s
"""

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
    # Both families go the same way when paths change, so one of them is sampled.
    for point in range(0, 100, 3 if work == _CHANGE_PATHS and family == 6 else 1):
        done = subprocess.run(
            hosts.server.command(
                sys.executable, "-c", _DIE % work, verb, str(point), address, str(tmp_path), *paths
            ),
            check=False,
            timeout=20,
        )
        if done.returncode == 0:
            assert point >= 12  # there were that many changes
            break
        assert done.returncode == -signal.SIGKILL
        with hosts.server.inside(), Plumbing(address, paths, directory=tmp_path):
            pass
        assert hosts.server.snapshot() == before, f"killed after {point} changes"
    assert hosts.server.snapshot() == before
    assert list(tmp_path.iterdir()) == []
