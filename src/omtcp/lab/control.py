"""The lab's handle on its emulator process."""

import json
import pickle
from pathlib import Path
from typing import Any

from omtcp.errors import SetupError
from omtcp.lab.netns import Namespace
from omtcp.lab.plan import Plan
from omtcp.lab.processes import Process, python_module


class Emulator:
    """Starts the emulator in a namespace, starts its script, and fetches its report."""

    def __init__(self, namespace: Namespace, plan: Plan, log: Path) -> None:
        self._process = Process("emulator", namespace, python_module("omtcp.lab.emulator"), log)
        try:
            self._order(pickle.dumps(plan))
            self._process.wait_for("ready")
        except BaseException:
            self._process.stop()
            raise

    def _order(self, message: bytes) -> None:
        try:
            self._process.stdin.write(message)
            self._process.stdin.flush()
        except OSError:
            raise SetupError(f"the emulator ended: {self._process.complaint()}") from None

    def start(self, at_ns: int) -> None:
        """The script's time zero is `at_ns` on the monotonic clock."""
        self._order(f"start {at_ns}\n".encode())

    def finish(self) -> dict[str, Any]:
        """Stops the links; what they did."""
        self._order(b"stop\n")
        line = self._process.wait_for("{", timeout=15.0)
        report: dict[str, Any] = json.loads(line)
        return report

    def close(self) -> None:
        self._process.stop()
