"""What was changed on the host, written down before it is changed.

One file per served address and network namespace in /run/omtcp. The process that serves the address
keeps its file locked: a locked file is another instance, an unlocked one was left by a crash. All
who read or write the directory hold the namespace's lock meanwhile, so they never meet half-way.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from struct import unpack
from typing import Any, Self

from omtcp.errors import SetupError
from omtcp.net.changes import Change, from_json, to_json

DEFAULT_DIRECTORY = Path("/run/omtcp")

_VERSION = 1
_SO_NETNS_COOKIE = 71


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One instance: who serves `address`, and what it changed, in order."""

    address: str
    pid: int
    changes: tuple[Change, ...]


class Journal:
    """The record of this process, locked on disk until `remove` or the end of the process."""

    def __init__(self, path: Path, identity: Mapping[str, Any], record: Record) -> None:
        """Write `record` to `path`; `identity` is what distinguishes this namespace and boot."""
        self._path = path
        self._identity = identity
        self._fd = self._write(record)
        self.record = record

    def rewrite(self, changes: Sequence[Change]) -> None:
        """From now on it is `changes` that were made, or are about to be.

        The file is replaced at once: a crash leaves the old or the new one, locked by nobody.
        """
        record = replace(self.record, changes=tuple(changes))
        fd = self._write(record)
        os.close(self._fd)
        self._fd = fd
        self.record = record

    def _write(self, record: Record) -> int:
        content: dict[str, Any] = {
            "version": _VERSION,
            **self._identity,
            "address": record.address,
            "pid": record.pid,
            "changes": [to_json(change) for change in record.changes],
        }
        draft = self._path.with_suffix(".draft")
        try:
            fd = _write_locked(draft, json.dumps(content, indent=1).encode())
            draft.rename(self._path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise SetupError(f"cannot write the journal {self._path}: {error.strerror}") from error
        return fd

    def remove(self) -> None:
        """All is undone: forget it."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._path.unlink(missing_ok=True)
            os.close(fd)

    def release(self) -> None:
        """Leave the record to the next start, as a crash would."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The records of this namespace: of instances that run, and those left by crashes."""

    running: tuple[Record, ...]
    left: tuple[tuple[Path, Record], ...]

    def kept(self, *, but: str | None = None) -> list[Change]:
        """All that running instances rely on, those that serve the address `but` apart."""
        return [
            change for record in self.running if record.address != but for change in record.changes
        ]


class JournalDirectory:
    """The journals of the network namespace that the calling thread is in."""

    def __init__(self, path: Path = DEFAULT_DIRECTORY) -> None:
        self.path = path
        self._inode = os.stat("/proc/thread-self/ns/net").st_ino
        self._identity = {"boot": _boot_id(), "cookie": _namespace_cookie()}

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """Hold the namespace's lock; waits for others who set up or clear away."""
        lock = self.path / f"{self._inode}.lock"
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            fd = _lock_file(lock)
        except OSError as error:
            raise SetupError(f"cannot keep a journal in {self.path}: {error.strerror}") from error
        try:
            yield self
        finally:
            if not any(self.path.glob(f"{self._inode}-*")):
                lock.unlink(missing_ok=True)
            os.close(fd)

    def survey(self) -> Survey:
        """Read all records; the files of namespaces that no longer exist are removed."""
        running: list[Record] = []
        left: list[tuple[Path, Record]] = []
        for path in sorted(self.path.glob(f"{self._inode}-*.json")):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                record = self._parse(path)
                if not _try_lock(fd):
                    if record is not None:
                        running.append(record)
                elif record is None:
                    path.unlink()
                else:
                    left.append((path, record))
            finally:
                os.close(fd)
        return Survey(running=tuple(running), left=tuple(left))

    def begin(self, address: str, changes: Sequence[Change]) -> Journal:
        """Write down what is about to be changed for `address`, and keep it locked."""
        record = Record(address=address, pid=os.getpid(), changes=tuple(changes))
        return Journal(self.path / f"{self._inode}-{address}.json", self._identity, record)

    def _parse(self, path: Path) -> Record | None:
        """The record in the file, None if it is damaged or of another namespace or boot."""
        try:
            content = json.loads(path.read_bytes())
            if content["version"] != _VERSION:
                return None
            if any(content[name] != value for name, value in self._identity.items()):
                return None
            return Record(
                address=content["address"],
                pid=content["pid"],
                changes=tuple(from_json(change) for change in content["changes"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


def _write_locked(path: Path, data: bytes) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, data)
        os.fsync(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock_file(path: Path) -> int:
    """Lock the file at `path`; one that was removed while we waited is nobody's any more."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), path.stat()):
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _namespace_cookie() -> int:
    """A number that no other namespace of this boot has; inodes are used again. 0 before 5.14."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            cookie = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError:
            return 0
    return int(unpack("=Q", cookie)[0])
