"""Which machine and which code a run was of."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from omtcp.build import form

BUSY_LOAD = 0.5


def describe() -> dict[str, str]:
    """What makes figures of two runs comparable, as plain words."""
    return {
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "kernel": platform.release(),
        "omtcp": form(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def product_version() -> str:
    return version("omtcp")


def commit() -> str | None:
    """The commit that the code was taken from, with a + if it was changed since; None if unknown.

    Only if the code itself is in a checkout, not when it is installed inside somebody else's.
    """
    source = Path(__file__).resolve().parents[3]
    if not (source / "pyproject.toml").is_file():
        return None
    command = ["git", "-C", str(source), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def busy() -> str | None:
    """A warning if the machine is at work already."""
    load = os.getloadavg()[0]
    if load <= BUSY_LOAD:
        return None
    return f"the load was {load:.1f} before anything was measured: something else runs here"
