import os
import subprocess
import sys

import pytest

from omtcp.bench.priority import NICE, favour


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may favour a process")
def test_a_favoured_group_goes_first() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as child:
        favour(child.pid)
        nice = os.getpriority(os.PRIO_PROCESS, child.pid)
        child.communicate(b"\n")
    assert nice == NICE


def test_a_process_that_is_gone_is_no_matter() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    favour(child.pid)
