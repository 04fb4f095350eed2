"""A directory as the outside sees it: which file a request path names, and that it lies inside.

Paths are bytes: a file name on Linux is any bytes but NUL and the slash.
"""

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from omtcp.apps.http.messages import HttpError
from omtcp.errors import SetupError

logger = logging.getLogger("omtcp.files")

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading."""

    descriptor: int
    status: os.stat_result
    name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of a directory listing; `size` is bytes, `modified` seconds since the epoch."""

    name: bytes
    is_directory: bool
    size: int
    modified: float


class Tree:
    """What lies under `root`. A symbolic link is followed as long as it leads to the inside.

    Every method raises HttpError for what is absent (404), not for reading or outside (403, with
    a line in the log), and for lack of resources (503).
    """

    def __init__(self, root: str) -> None:
        """Raises SetupError if root is not a directory that can be read."""
        try:
            self._root = os.path.realpath(os.fsencode(root), strict=True)
            os.scandir(self._root).close()
        except OSError as error:
            raise SetupError(f"cannot serve {root}: {error.strerror}") from None

    def path(self, segments: Sequence[bytes]) -> bytes:
        """Where the segments of a request path point to; links on the way are not followed yet."""
        return os.path.join(self._root, *segments)

    def resolve(self, segments: Sequence[bytes]) -> bytes:
        """The real path of what the segments of a request path name."""
        if any(segment in (b".", b"..") for segment in segments):
            raise HttpError(HTTPStatus.NOT_FOUND)
        path = self.path(segments)
        with _refusing(path):
            real = os.path.realpath(path, strict=True)
        if not self._holds(real):
            logger.warning("refused %s: it leads out of the served directory", _shown(path))
            raise HttpError(HTTPStatus.FORBIDDEN)
        return real

    def is_directory(self, real: bytes) -> bool:
        """Whether a resolved path is a directory; if not, it is a regular file."""
        with _refusing(real):
            mode = os.stat(real).st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            logger.warning("refused %s: neither file nor directory", _shown(real))
            raise HttpError(HTTPStatus.FORBIDDEN)
        return stat.S_ISDIR(mode)

    @contextlib.contextmanager
    def open(self, real: bytes) -> Iterator[OpenFile]:
        """Open the regular file at a resolved path, closed again on leaving."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        with _refusing(real):
            descriptor = os.open(real, flags)
        try:
            with _refusing(real):
                status = os.fstat(descriptor)
                opened = os.readlink(b"/proc/self/fd/%d" % descriptor)
            # A directory on the way may have become a symbolic link since it was resolved.
            if not stat.S_ISREG(status.st_mode) or not self._holds(opened):
                raise HttpError(HTTPStatus.FORBIDDEN)
            yield OpenFile(descriptor, status, os.path.basename(real))
        finally:
            os.close(descriptor)

    def entries(self, real: bytes, limit: int) -> list[Entry]:
        """What can be served of a directory: directories first, by name, hidden files left out."""
        found = []
        with _refusing(real), os.scandir(real) as scan:
            for item in scan:
                entry = None if item.name.startswith(b".") else self._entry(item)
                if entry is not None:
                    found.append(entry)
                if len(found) > limit:
                    break
        return sorted(found, key=lambda entry: (not entry.is_directory, entry.name))

    def _entry(self, item: os.DirEntry[bytes]) -> Entry | None:
        try:
            if item.is_symlink() and not self._holds(os.path.realpath(item.path, strict=True)):
                return None
            status = item.stat()
        except OSError:
            return None
        is_directory = stat.S_ISDIR(status.st_mode)
        if not is_directory and not stat.S_ISREG(status.st_mode):
            return None
        return Entry(
            name=item.name,
            is_directory=is_directory,
            size=status.st_size,
            modified=status.st_mtime,
        )

    def _holds(self, real: bytes) -> bool:
        return real == self._root or real.startswith(self._root.rstrip(b"/") + b"/")


@contextlib.contextmanager
def _refusing(path: bytes) -> Iterator[None]:
    """Turn the system's refusals into HTTP's."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise HttpError(HTTPStatus.NOT_FOUND) from None
        logger.warning("cannot read %s: %s", _shown(path), error.strerror)
        if error.errno in _FORBIDDEN:
            raise HttpError(HTTPStatus.FORBIDDEN) from None
        if error.errno in _EXHAUSTED:
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE) from None
        raise HttpError(HTTPStatus.INTERNAL_SERVER_ERROR) from None


def _shown(path: bytes) -> str:
    """A path for a log line: whatever a peer put into it, it stays one line."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
