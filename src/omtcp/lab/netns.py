"""Network namespaces: made, used, and removed again, also after a run that was killed."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from omtcp.errors import SetupError

PREFIX = "omtcp-lab"
TOOLS = {"ip": "iproute2", "ethtool": "ethtool", "sysctl": "procps"}
_NAME = re.compile(rf"{PREFIX}-(\d+)-\d+-[a-z]+")
_DIRECTORY = re.compile(rf"{PREFIX}-(\d+)-\w+")
_NETNS_DIR = Path("/run/netns")
_counter = itertools.count()


def require_host() -> None:
    """Raises SetupError, one line, if this host cannot run the lab."""
    if os.geteuid() != 0:
        raise SetupError("the lab makes network namespaces and must be run as root")
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            raise SetupError(f"the lab needs {tool}: install the package {package}")


def run_tool(argv: Sequence[str], stdin: str | None = None) -> str:
    """The output of a command that must succeed; SetupError tells which did not, and why."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().replace("\n", "; ")
        raise SetupError(f"{' '.join(argv)}: {reason or f'exit {done.returncode}'}")
    return done.stdout


class Namespace:
    """One network namespace of this process; `remove` it when done."""

    def __init__(self, role: str, number: int) -> None:
        self.name = f"{PREFIX}-{os.getpid()}-{number}-{role}"
        run_tool(["ip", "netns", "add", self.name])

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` in here; it execs, so the pid is that of `argv`."""
        return ["ip", "netns", "exec", self.name, *argv]

    def ip(self, lines: Iterable[str], family: int | None = None) -> None:
        """Runs ip(8) commands, without the word ip, in one batch; rules must have a family."""
        option = [] if family is None else [f"-{family}"]
        run_tool(["ip", *option, "-n", self.name, "-batch", "-"], "\n".join(lines) + "\n")

    def sysctl(self, values: Mapping[str, str | int]) -> None:
        if values:
            settings = [f"{key}={value}" for key, value in values.items()]
            run_tool(self.command(["sysctl", "-q", "-w", *settings]))

    def offloads_off(self, device: str) -> None:
        """Frames leave `device` as they would leave a wire: MTU-sized, checksummed."""
        words = [word for feature in ("tso", "gso", "gro", "tx") for word in (feature, "off")]
        run_tool(self.command(["ethtool", "-K", device, *words]))

    def remove(self) -> None:
        _remove(self.name)


def next_number() -> int:
    """Tells the networks of one process apart."""
    return next(_counter)


def _remove(name: str) -> None:
    """Ends what still runs in a namespace of ours and deletes it."""
    with contextlib.suppress(SetupError):
        for pid in run_tool(["ip", "netns", "pids", name]).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(SetupError):
        run_tool(["ip", "netns", "delete", name])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def temporary_directory() -> "tempfile.TemporaryDirectory[str]":
    """A directory that carries our pid, so that a later run can tell that it is left over."""
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}-{os.getpid()}-")


def _dead(directory: Path, pattern: "re.Pattern[str]") -> Iterator[Path]:
    """Entries that are named as ours are, by a process that is gone."""
    for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
        match = pattern.fullmatch(entry.name)
        if match and not _alive(int(match[1])):
            yield entry


def remove_leftovers() -> list[str]:
    """Removes what runs that were killed left: namespaces, then files; the names of all."""
    removed = []
    for entry in _dead(_NETNS_DIR, _NAME):
        _remove(entry.name)
        removed.append(entry.name)
    for entry in _dead(Path(tempfile.gettempdir()), _DIRECTORY):
        shutil.rmtree(entry, ignore_errors=True)
        removed.append(entry.name)
    return removed
