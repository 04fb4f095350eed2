"""How soon the process gets a processor when others want one too.

The kernel's TCP acknowledges and sends in interrupts, before everybody. A program has to wait for
its turn, and while it waits its paths run dry: with a round trip of a millisecond nothing is left
under way when others had their turn for two.
"""

import contextlib
import os
from pathlib import Path


def take_precedence(nice: int) -> None:
    """Be served before others from now on, as nice(1) has it; children inherit it.

    Linux may share processors out among sessions first (sched(7), autogroup). One that is ours gets
    the same precedence; one that was begun by a shell is left alone, as it outlives us. A host that
    does not allow it leaves things as they are.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")
