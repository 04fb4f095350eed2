"""Precedence over other programs; asked for by a child, since not everybody may take it back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
CHILD = """
import os
from pathlib import Path
from omtcp.net.precedence import take_precedence

take_precedence({nice})
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0))
print(*group.read_text().split()[-1:] if group.exists() else "")
os.waitpid(os.posix_spawnp("nice", ["nice"], os.environ), 0)
"""


def asked_for(nice: int, *, own_session: bool = True) -> list[str]:
    """Niceness of a process, of its session if it is scheduled as a group, and of its child."""
    child = [sys.executable, "-c", CHILD.format(nice=nice)]
    done = subprocess.run(
        child, start_new_session=own_session, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("more", [0, 1])
def test_process_session_and_children_have_it(more: int) -> None:
    nice = min(os.getpriority(os.PRIO_PROCESS, 0) + more, 19)
    assert set(asked_for(nice)) == {str(nice)}


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="the kernel knows no autogroups")
def test_the_session_of_others_is_left_alone() -> None:
    before = AUTOGROUP.read_text()
    asked_for(min(os.getpriority(os.PRIO_PROCESS, 0) + 1, 19), own_session=False)
    assert AUTOGROUP.read_text() == before


def test_a_host_that_does_not_allow_it_is_no_obstacle() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert asked_for(-20)[0] in ("-20", str(before))
