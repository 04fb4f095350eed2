"""What lies inside the served directory, and what does not."""

import errno
import os
from pathlib import Path

import pytest

from omtcp.apps.http.messages import HttpError
from omtcp.apps.tree import Tree
from omtcp.errors import SetupError


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(b"inside")
    (root / "sub" / "deep").write_bytes(b"deeper")
    (root / ".hidden").write_bytes(b"")
    (root / "inner").symlink_to("sub/deep")
    (root / "up").symlink_to("sub/../file")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "outer").symlink_to(tmp_path / "secret")
    (root / "outside").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "file").write_bytes(b"outside")
    (root / "sibling").symlink_to(tmp_path / "root-too" / "file")
    return Tree(str(root))


def status_of(tree: Tree, *segments: bytes) -> int:
    """The status of a refusal; 200 if there is none."""
    try:
        real = tree.resolve(segments)
        if not tree.is_directory(real):
            with tree.open(real):
                pass
    except HttpError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("segments", "status"),
    [
        ([], 200),
        ([b"file"], 200),
        ([b"sub"], 200),
        ([b"sub", b"deep"], 200),
        ([b"inner"], 200),
        ([b"up"], 200),
        ([b".hidden"], 200),
        ([b"nowhere"], 404),
        ([b"dangling"], 404),
        ([b"loop"], 404),
        ([b"file", b"x"], 404),
        ([b"x" * 300], 404),
        ([b".."], 404),
        ([b"..", b"secret"], 404),
        ([b"sub", b"..", b"file"], 404),
        ([b"."], 404),
        ([b"outer"], 403),
        ([b"outside"], 403),
        ([b"outside", b"secret"], 403),
        ([b"outside", b"root", b"file"], 200),  # out and in again: what is served is inside
        ([b"sibling"], 403),
        ([b"pipe"], 403),
    ],
)
def test_status(tree: Tree, segments: list[bytes], status: int) -> None:
    assert status_of(tree, *segments) == status


def test_a_refusal_is_one_line_in_the_log(tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    assert status_of(tree, b"outside", b"root", b"..", b"secret") == 404
    assert status_of(tree, b"outer") == 403
    assert [record.getMessage().split("/")[-1] for record in caplog.records] == [
        "outer: it leads out of the served directory"
    ]


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.EACCES, 403),
        (errno.EPERM, 403),
        (errno.EMFILE, 503),
        (errno.EIO, 500),
        (errno.ENOENT, 404),
    ],
)
def test_what_the_system_refuses(
    tree: Tree,
    number: int,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    real = tree.resolve([b"file"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(HttpError) as caught, tree.open(real):
            pass
    assert caught.value.status == status
    assert ("cannot read" in caplog.text) is (status != 404)


def test_a_directory_swapped_for_a_link_after_the_look(tmp_path: Path) -> None:
    inside = tmp_path / "root" / "sub"
    inside.mkdir(parents=True)
    (inside / "file").write_bytes(b"inside")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"outside")
    tree = Tree(str(tmp_path / "root"))
    real = tree.resolve([b"sub", b"file"])
    inside.rename(tmp_path / "moved")
    inside.symlink_to(tmp_path / "other")
    with pytest.raises(HttpError, match="Forbidden"), tree.open(real):
        pass


def test_descriptors_are_closed(tree: Tree) -> None:
    real = tree.resolve([b"file"])
    with tree.open(real) as file:
        assert os.pread(file.descriptor, 10, 0) == b"inside"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.descriptor)


def test_entries(tree: Tree) -> None:
    entries = tree.entries(tree.resolve([]), 100)
    assert [(entry.name, entry.is_directory, entry.size) for entry in entries] == [
        (b"sub", True, entries[0].size),
        (b"file", False, 6),
        (b"inner", False, 6),
        (b"up", False, 6),
    ]


def test_entries_stop_just_above_the_limit(tree: Tree) -> None:
    assert len(tree.entries(tree.resolve([]), 1)) == 2


def test_a_root_that_is_a_link_or_the_root_of_all(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    assert status_of(Tree(str(tmp_path / "link")), b"file") == 200
    assert status_of(Tree("/"), *os.fsencode(tmp_path).split(b"/")[1:], b"real", b"file") == 200


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_root_that_cannot_be_served(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SetupError, match=f"cannot serve .*{name}: "):
        Tree(str(tmp_path / name))
