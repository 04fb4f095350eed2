"""The lab's handle on a `sink` process, which waits for the word to begin."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import monotonic_ns

from omtcp.errors import SetupError
from omtcp.lab.netns import Namespace
from omtcp.lab.processes import Process, python_module
from omtcp.lab.sink import Job

_PATIENCE_S = 30.0
_LEAD_NS = 100_000_000
"""For all to be told before it is time."""


class Receiver(Process):
    """Downloads what `job` says, from when `begin_together` says."""

    def __init__(self, name: str, namespace: Namespace, job: Job, log: Path) -> None:
        command = python_module("omtcp.lab.sink", json.dumps(asdict(job)))
        super().__init__(name, namespace, command, log)

    def begin(self, at_ns: int) -> None:
        """The downloads start at `at_ns` on the monotonic clock."""
        try:
            self.stdin.write(f"{at_ns}\n".encode())
            self.stdin.flush()
        except OSError:
            raise SetupError(f"{self.name} ended: {self.complaint()}") from None


def begin_together(receivers: Iterable[Receiver]) -> int:
    """Have all begin at one moment, soon, and no earlier than all of them can; that moment.

    Who is first by a few round trips fills the queue, and CUBIC takes tens of seconds to forget
    how much it had: a process that is up sooner than others would pass for an unfair sender.
    """
    receivers = list(receivers)
    for receiver in receivers:
        receiver.wait_for("ready", timeout=_PATIENCE_S)
    at_ns = monotonic_ns() + _LEAD_NS
    for receiver in receivers:
        receiver.begin(at_ns)
    return at_ns
