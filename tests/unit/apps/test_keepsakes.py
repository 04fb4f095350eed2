"""What was kept of a file is served only while the path leads to that file in that state."""

import os
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from omtcp.apps import keepsakes
from omtcp.apps.fileserver import FileServer
from omtcp.apps.http.conditional import Validators
from omtcp.apps.http.messages import HttpError, Request, Response
from omtcp.apps.keepsakes import LARGEST, SETTLED_S, Keepsake, Keepsakes, state_of

OLD = 1_700_000_000


class Site:
    """A served directory, and a clock that says that its files were left alone for long."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.later = 100.0
        self.server = FileServer(str(root), clock=lambda: time.time() + self.later)
        self.write("file", b"first")

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.write_bytes(content)
        os.utime(path, (OLD, OLD))

    def get(self, target: str = "/file", method: str = "GET", **headers: str) -> Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            response = self.server.respond(
                Request(method=method, target=target.encode(), headers=fields)
            )
        except HttpError as error:
            return error.response()
        assert isinstance(response, Response)
        return response

    def body(self, target: str = "/file") -> bytes:
        [part] = self.get(target).body
        assert isinstance(part, bytes)
        return part

    @property
    def kept(self) -> int:
        return len(self.server._keepsakes)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = tmp_path / "root"
    root.mkdir()
    return Site(root)


def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is opened from now on."""
    paths: list[object] = []
    real = os.open

    def spy(path: bytes, *rest: int) -> int:
        paths.append(path)
        return real(path, *rest)

    monkeypatch.setattr(os, "open", spy)
    return paths


def test_the_second_time_nothing_is_opened(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.get()
    paths = opened(monkeypatch)
    assert site.get() == first
    assert paths == []


def test_whatever_is_asked_of_it(site: Site) -> None:
    """With or without what was kept, the answers are the same."""

    def answers() -> list[Response]:
        etag = next(value for name, value in site.get().headers if name == "ETag")
        return [
            site.get(),
            site.get(method="HEAD"),
            site.get(range="bytes=1-2"),
            site.get(range="bytes=9-"),
            site.get(if_none_match=etag),
            site.get(if_match='"other"'),
            site.get(if_modified_since="Tue, 14 Nov 2023 22:13:20 GMT"),
        ]

    site.later = 0.0
    expected = answers()
    assert site.kept == 0
    site.later = 100.0
    assert answers() == expected
    assert site.kept == 1
    assert [answer.status for answer in expected] == [200, 200, 206, 416, 304, 412, 304]


def rewritten(site: Site) -> None:
    site.write("file", b"other")


def replaced(site: Site) -> None:
    site.write("new", b"other")
    os.replace(site.root / "new", site.root / "file")


def linked(site: Site) -> None:
    site.write("new", b"other")
    (site.root / "file").unlink()
    (site.root / "file").symlink_to("new")


@pytest.mark.parametrize("change", [rewritten, replaced, linked])
def test_a_change_is_seen(site: Site, change: Callable[[Site], None]) -> None:
    """Though size and time of modification are what they were."""
    assert site.body() == b"first"
    change(site)
    assert site.body() == b"other"
    assert site.body() == b"other"


def test_a_link_that_leads_elsewhere_now(site: Site) -> None:
    site.write("other", b"other")
    (site.root / "link").symlink_to("file")
    assert site.body("/link") == b"first"
    (site.root / "link").unlink()
    (site.root / "link").symlink_to("other")
    assert site.body("/link") == b"other"


def test_a_link_that_leads_out_now(site: Site, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    assert site.body() == b"first"
    (site.root / "file").unlink()
    (site.root / "file").symlink_to(tmp_path / "outside")
    assert site.get().status is HTTPStatus.FORBIDDEN


def test_a_directory_on_the_way_that_leads_out_now(site: Site, tmp_path: Path) -> None:
    (site.root / "dir").mkdir()
    site.write("dir/file", b"first")
    (tmp_path / "file").write_bytes(b"secret")
    assert site.body("/dir/file") == b"first"
    (site.root / "dir").rename(site.root / "aside")
    (site.root / "dir").symlink_to(tmp_path)
    assert site.get("/dir/file").status is HTTPStatus.FORBIDDEN


def test_a_file_that_is_gone(site: Site) -> None:
    assert site.body() == b"first"
    (site.root / "file").unlink()
    assert site.get().status is HTTPStatus.NOT_FOUND
    assert site.kept == 0


def test_an_index(site: Site) -> None:
    site.write("index.html", b"index")
    assert site.body("/") == site.body("/") == b"index"
    site.write("index.html", b"again")
    assert site.body("/") == b"again"


def test_a_file_that_was_touched_a_moment_ago_is_not_kept(site: Site) -> None:
    """Another change may come within the same tick of the file system's clock."""
    site.later = SETTLED_S / 2
    site.get()
    assert site.kept == 0


def test_a_time_of_modification_in_the_future_is_no_settled_one(site: Site) -> None:
    site.write("file", b"first")
    ahead = time.time() + 1000
    os.utime(site.root / "file", (ahead, ahead))
    site.get()
    assert site.kept == 0


def keepsake(path: Path, content: bytes) -> Keepsake:
    path.write_bytes(content)
    return Keepsake(
        path=os.fsencode(path),
        state=state_of(os.stat(path)),
        validators=Validators(etag="", modified=0),
        headers=(),
        media="",
        content=content,
        name="",
    )


def test_large_files_are_not_kept(tmp_path: Path) -> None:
    kept = Keepsakes()
    kept.keep(b"a", keepsake(tmp_path / "a", bytes(LARGEST)), time.time() + 10)
    kept.keep(b"b", keepsake(tmp_path / "b", bytes(LARGEST + 1)), time.time() + 10)
    assert kept.find(b"a") is not None
    assert kept.find(b"b") is None


@pytest.mark.parametrize(("name", "value"), [("ROOM", 30), ("MOST", 3)])
def test_those_asked_for_longest_ago_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(keepsakes, name, value)
    kept = Keepsakes()
    for target in (b"a", b"b", b"c", b"b", b"a"):
        kept.keep(target, keepsake(tmp_path / target.decode(), bytes(10)), time.time() + 10)
    assert kept.find(b"c") is not None
    kept.keep(b"d", keepsake(tmp_path / "d", bytes(10)), time.time() + 10)
    assert [target for target in (b"a", b"b", b"c", b"d") if kept.find(target)] == [
        b"a",
        b"c",
        b"d",
    ]
    assert len(kept) == 3
