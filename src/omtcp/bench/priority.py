"""What is measured goes before what else runs on the machine."""

import contextlib
import os
from pathlib import Path

NICE = -10


def favour(pid: int) -> None:
    """Gives a process group, and what it will start, precedence over other work on this machine.

    All subjects and all load generators get the same, so it favours none of them; on a machine that
    is left alone it changes nothing. Linux groups processes by session and shares processors out
    among the groups first (sched(7), autogroup): niceness alone does nothing against others.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, NICE)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))
