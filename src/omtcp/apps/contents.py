"""File contents that travel from the page cache to the wire without passing through Python.

A large file is mapped, and what is written to the transport are memoryviews of the mapping. Python
must never read through them: if the file is truncated meanwhile, touching the lost pages is a
SIGBUS, the end of the process, while the kernel's own copy merely fails with EFAULT and ends one
connection.
"""

import contextlib
import mmap
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

SMALL = 128 << 10
"""Files up to this size are read, not mapped: one copy costs less than a mapping."""
WINDOW = 4 << 20
"""Bytes handed to the transport in one write."""


class FileChangedError(Exception):
    """The file no longer has the size that was about to be promised."""


class MappedFile(mmap.mmap):
    """A file mapped for reading, with a descriptor to ask the kernel about its pages."""

    descriptor = -1

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def fetch(self, start: int, end: int) -> None:
        """Have the kernel read what is not in the page cache, without waiting for it.

        Advice costs more than 100 µs for a window even if there is nothing to read, so the first
        and the last byte are looked for before it is given.
        """
        try:
            present = all(
                os.preadv(self.descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
                for offset in (start, end - 1)
            )
        except OSError:  # EAGAIN: it would have to be read; others: the file system cannot tell
            present = False
        if not present:
            with contextlib.suppress(OSError):  # a hint; the write itself will tell
                os.posix_fadvise(self.descriptor, start, end - start, os.POSIX_FADV_WILLNEED)


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Bytes `start` to before `end` of a mapped file; keeps the mapping open."""

    file: MappedFile
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def windows(self, size: int = WINDOW) -> Iterator[memoryview]:
        """The slice in pieces of at most `size` bytes, each fetched ahead of its use."""
        view = memoryview(self.file)
        self._fetch(self.start, size)
        for start in range(self.start, self.end, size):
            self._fetch(start + size, size)
            yield view[start : min(start + size, self.end)]

    def _fetch(self, start: int, size: int) -> None:
        end = min(start + size, self.end)
        if start < end:
            self.file.fetch(start, end)


Content = bytes | MappedFile


class Contents:
    """Contents of files; the mapping of a file is shared by all who send it at the same time."""

    def __init__(self) -> None:
        self._mappings: weakref.WeakValueDictionary[tuple[int, ...], MappedFile] = (
            weakref.WeakValueDictionary()
        )

    def load(self, descriptor: int, status: os.stat_result) -> Content:
        """The content of an open regular file; the descriptor may be closed afterwards.

        Raises:
            FileChangedError: the file is shorter than `status` says.
            OSError: it cannot be read or mapped.
        """
        if status.st_size <= SMALL:
            data = os.pread(descriptor, status.st_size, 0)
            if len(data) != status.st_size:
                raise FileChangedError
            return data
        key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        file = self._mappings.get(key)
        if file is None:
            try:
                file = MappedFile(descriptor, status.st_size, access=mmap.ACCESS_READ)
            except ValueError:  # longer than the file is by now
                raise FileChangedError from None
            file.descriptor = os.dup(descriptor)
            self._mappings[key] = file
        return file

    def __len__(self) -> int:
        """How many mappings are open."""
        return len(self._mappings)


def cut(content: Content, start: int, end: int) -> bytes | FileSlice:
    """Bytes `start` to before `end` of a content."""
    if isinstance(content, bytes):
        return content[start:end]
    return FileSlice(content, start, end)
