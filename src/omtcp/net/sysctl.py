"""Kernel settings under /proc/sys, by their path there: "net/ipv4/conf/eth0/forwarding"."""

from pathlib import Path

from omtcp.errors import SetupError

ROOT = Path("/proc/sys")


def read(key: str) -> str | None:
    """The value of `key`, or None where this kernel or this device has no such setting."""
    try:
        return (ROOT / key).read_text(encoding="ascii").strip()
    except OSError:
        return None


def write(key: str, value: str) -> None:
    """Set `key`; SetupError says which one could not be set, and why."""
    try:
        (ROOT / key).write_text(value, encoding="ascii")
    except OSError as error:
        raise SetupError(f"cannot set {key.replace('/', '.')}: {error.strerror}") from error


def interface(family: int, device: str, name: str) -> str:
    """The key of the setting `name` of one interface; `family` is 4 or 6."""
    return f"net/ipv{family}/conf/{device}/{name}"


def interfaces(family: int) -> list[str]:
    """The interfaces that have settings, without the pseudo-interfaces `all` and `default`."""
    try:
        names = sorted(entry.name for entry in (ROOT / f"net/ipv{family}/conf").iterdir())
    except OSError:
        return []
    return [name for name in names if name not in ("all", "default")]
