"""What competitors received is read to the end, however long that takes them to tell."""

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from omtcp.lab import processes
from omtcp.lab.processes import Process
from omtcp.lab.rivals import Rivals

SLOW = """
import signal, sys, time
def tell(*_):
    time.sleep(0.3)
    bins = [[i, 1000] for i in range(20000)]
    print('{"result": {"downloads": [{"error": null, "bins": %s}]}}' % bins, flush=True)
    sys.exit()
signal.signal(signal.SIGINT, tell)
print("ready", flush=True)
while True:
    signal.pause()
"""


class Here:
    """A namespace that is none."""

    def command(self, argv: list[str]) -> list[str]:
        return argv


def test_a_long_result_on_a_busy_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a result was read where writing it took longer than a process is given to end."""
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.05)
    here = cast("Any", Here())
    receiver = Process("receiver", here, [sys.executable, "-c", SLOW], tmp_path / "log")
    receiver.wait_for("ready")
    rivals = Rivals(cast("Any", None), cast("Any", None))
    rivals._processes.append(receiver)
    rivals.receivers.append(cast("Any", receiver))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rivals, "__enter__", lambda self: self)
        with rivals:
            (bins,) = rivals.finish()
    assert len(bins) == 20000
    assert not receiver.running
