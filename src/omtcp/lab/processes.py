"""Child processes of the lab: started inside a namespace, always ended."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from time import monotonic
from typing import IO

from omtcp.errors import SetupError
from omtcp.lab.netns import Namespace

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_STOP_SECONDS = 5.0


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """A child calls this first, so that a killed lab takes its processes with it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def precise_timers() -> None:
    """Waits of this process end when they should, not up to 50 µs later."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def prefer_over_others() -> None:
    """Real-time priority if the host grants it: a link must not wait for its traffic's ends."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def say(line: str) -> None:
    """A child tells the lab something: one line on its standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_last(line: str) -> None:
    """The same for the last word, however long: signals that come now change nothing any more.

    The rest of a long write may be lost where a signal with a handler interrupts it.
    """
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    say(line)


def python_module(module: str, *arguments: str) -> list[str]:
    """A command line that runs a module of omtcp with this interpreter.

    Importing its package imports the module before it is run, which runpy warns of; the warning
    would be the last line on standard error, and be told as the reason if the process ends.
    """
    return [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", module, *arguments]


class Process:
    """A child whose standard output is read line by line and whose errors go to a file."""

    def __init__(self, name: str, namespace: Namespace, argv: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        self._lines: Queue[str | None] = Queue()
        with log.open("wb") as errors:
            # A session of its own: Ctrl-C reaches the lab, which then ends its children in order.
            self._child = subprocess.Popen(
                namespace.command(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._child.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def stdin(self) -> IO[bytes]:
        assert self._child.stdin is not None
        return self._child.stdin

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)

    def line(self, timeout: float) -> str | None:
        """The next line of output; None if there is none in time or the output has ended."""
        try:
            return self._lines.get(timeout=timeout)
        except Empty:
            return None

    def wait_for(self, word: str, timeout: float = 10.0) -> str:
        """The first line that contains `word`; SetupError if the process ends or is silent."""
        deadline = monotonic() + timeout
        while (left := deadline - monotonic()) > 0:
            line = self.line(left)
            if line is not None and word in line:
                return line
            if line is None and not self.running:
                raise SetupError(f"{self.name} ended early: {self.complaint()}")
        raise SetupError(f"{self.name} did not say {word!r} within {timeout:g} s")

    def complaint(self) -> str:
        """The last line that the process wrote to its standard error."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        status = f"exit {self._child.poll()}"
        return f"{lines[-1].strip()} ({status})" if lines else status

    def cpu_seconds(self) -> float | None:
        """Processor time used so far, user and system."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send_signal(self, what: signal.Signals) -> None:
        """Sends a signal to the process, if it still runs."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(what)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the process: politely, then by force."""
        self.send_signal(how)
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        with contextlib.suppress(OSError):
            self.stdin.close()
        self._reader.join()
        if self._child.stdout is not None:
            self._child.stdout.close()
