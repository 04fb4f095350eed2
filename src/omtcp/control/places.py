"""Where control sockets are, and which of them have a server behind them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from omtcp.errors import SetupError

DIRECTORY = Path("/run/omtcp")


def default_path(address: str, port: int, directory: Path = DIRECTORY) -> Path:
    """The control socket of the server of `address` and `port` in this network namespace."""
    return directory / f"control-{_namespace()}-{address}-{port}.sock"


def running(directory: Path = DIRECTORY) -> list[Path]:
    """The sockets in this network namespace that somebody answers on."""
    found = sorted(directory.glob(f"control-{_namespace()}-*.sock"))
    return [path for path in found if alive(path)]


def the_only_one(directory: Path = DIRECTORY) -> Path:
    """The socket of the only running server; SetupError if there is none, or more than one."""
    found = running(directory)
    if not found:
        raise SetupError("no omtcp serve runs in this network namespace; --control names another")
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise SetupError(f"several servers run here; choose one with --control: {names}")
    return found[0]


def alive(path: Path) -> bool:
    """Whether somebody listens on the socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.settimeout(1)
        probe.connect(os.fspath(path))
        return True
    return False


def _namespace() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino
