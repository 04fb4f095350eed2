"""File contents: read or mapped, shared, and never touched."""

import gc
import mmap
import os
from pathlib import Path

import pytest

from omtcp.apps.contents import (
    SMALL,
    Content,
    Contents,
    FileChangedError,
    FileSlice,
    MappedFile,
    cut,
)

LARGE = SMALL + 3 * mmap.PAGESIZE + 17


def load(contents: Contents, path: Path) -> Content:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return contents.load(descriptor, os.fstat(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, SMALL])
def test_small_files_are_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    content = load(Contents(), path)
    assert content == path.read_bytes()
    assert cut(content, 0, size) == path.read_bytes()


def test_large_files_are_mapped_once_and_unmapped_with_the_last_user(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(LARGE))
    contents = Contents()
    first, second = load(contents, path), load(contents, path)
    assert first is second
    assert isinstance(first, MappedFile)
    window = next(FileSlice(first, 5, 10).windows())
    del first, second
    gc.collect()
    assert len(contents) == 1, "a window that waits to be acknowledged keeps the mapping"
    assert window == path.read_bytes()[5:10]
    descriptors = len(os.listdir("/proc/self/fd"))
    window.release()
    del window
    gc.collect()
    assert len(contents) == 0
    assert len(os.listdir("/proc/self/fd")) == descriptors - 2


def test_a_file_that_changed_is_mapped_anew(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * LARGE)
    contents = Contents()
    old = load(contents, path)
    os.utime(path, ns=(1, 1))
    assert load(contents, path) is not old


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_that_shrinks_while_it_is_opened(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * size)
    with path.open("r+b") as file:
        status = os.fstat(file.fileno())
        file.truncate(size - 1)
        with pytest.raises(FileChangedError):
            Contents().load(file.fileno(), status)


@pytest.mark.parametrize(("start", "end"), [(0, LARGE), (1, LARGE - 1), (4095, 4097), (7, 7)])
def test_windows_are_the_slice_in_order(tmp_path: Path, start: int, end: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(LARGE))
    content = load(Contents(), path)
    part = cut(content, start, end)
    assert isinstance(part, FileSlice)
    windows = list(part.windows(mmap.PAGESIZE + 3))
    assert len(part) == sum(map(len, windows)) == end - start
    assert b"".join(windows) == path.read_bytes()[start:end]
    assert all(len(window) == mmap.PAGESIZE + 3 for window in windows[:-1])
    assert all(window.obj is content for window in windows), "no copy was made"


def test_truncation_later_harms_nobody_who_does_not_look(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * LARGE)
    content = load(Contents(), path)
    os.truncate(path, 0)
    part = cut(content, 0, LARGE)
    assert isinstance(part, FileSlice)
    [window] = part.windows()
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="Bad address"):
            os.writev(writing, [window])
    finally:
        os.close(reading)
        os.close(writing)


def fetched(content: Content, monkeypatch: pytest.MonkeyPatch, size: int) -> list[tuple[int, int]]:
    """What the kernel is advised to read while the content is gone through in windows."""
    advised: list[tuple[int, int]] = []

    def note(descriptor: int, start: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        advised.append((start, start + length))

    monkeypatch.setattr(os, "posix_fadvise", note)
    part = cut(content, 5, LARGE)
    assert isinstance(part, FileSlice)
    for number, window in enumerate(part.windows(size), 1):
        assert window
        assert len(advised) in (0, min(number + 1, -(-(LARGE - 5) // size))), "one window ahead"
    return advised


def test_pages_at_hand_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * LARGE)
    monkeypatch.setattr(os, "preadv", lambda *arguments: 1)  # not every file system can tell
    assert fetched(load(Contents(), path), monkeypatch, 50_000) == []


def test_pages_on_the_disk_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * LARGE)

    def absent(*arguments: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", absent)
    advised = fetched(load(Contents(), path), monkeypatch, 50_000)
    assert advised == [(start, min(start + 50_000, LARGE)) for start in range(5, LARGE, 50_000)]
