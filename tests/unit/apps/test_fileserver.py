"""Answers to requests, without a connection."""

import email
import email.policy
import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omtcp.apps.fileserver
from omtcp.apps.contents import SMALL
from omtcp.apps.fileserver import FileServer, split_target
from omtcp.apps.http.messages import HttpError, Lengthy, Request, Response

MODIFIED = 1_700_000_000
LARGE = SMALL + 1000

Ask = Callable[..., Response]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    (tmp_path / "file.txt").write_bytes(b"0123456789")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "large").write_bytes(os.urandom(LARGE))
    (tmp_path / "a b%20ü").write_bytes(b"odd name")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"no UTF-8")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "in").write_bytes(b"x")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_bytes(b"<p>hello")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "index.html").mkdir()
    (tmp_path / "leak").mkdir()
    (tmp_path / "leak" / "index.html").symlink_to("/etc/passwd")
    for path in tmp_path.iterdir():
        os.utime(path, (MODIFIED, MODIFIED))
    server = FileServer(str(tmp_path), clock=lambda: MODIFIED + 100, boundary=lambda: "separates")

    def respond(target: str, method: str = "GET", **headers: str) -> Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method=method, target=target.encode("latin-1"), headers=fields)
        try:
            response = server.respond(request)
            return response.make() if isinstance(response, Lengthy) else response
        except HttpError as error:
            return error.response()

    return respond


def body(response: Response) -> bytes:
    """The whole body; mapped parts are read, which a test may do."""
    chunks: list[bytes | memoryview] = []
    for part in response.body:
        chunks.extend([part] if isinstance(part, bytes) else part.windows())
    return b"".join(chunks)


def header(response: Response, name: str) -> str | None:
    values = [value for key, value in response.headers if key == name]
    assert len(values) <= 1, "said twice"
    return values[0] if values else None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/file.txt", b"0123456789"),
        ("/file.txt?x=1", b"0123456789"),
        ("/%66ile%2etxt", b"0123456789"),
        ("//file.txt", b"0123456789"),
        ("http://other.example/file.txt", b"0123456789"),
        ("/empty", b""),
        ("/a%20b%2520%C3%BC", b"odd name"),
        ("/%FF", b"no UTF-8"),
        ("/dir/in", b"x"),
        ("/site/", b"<p>hello"),
    ],
)
def test_get(ask: Ask, target: str, expected: bytes) -> None:
    response = ask(target)
    assert response.status == 200
    assert body(response) == expected
    assert response.length == len(expected)


def test_a_large_file_is_not_read(ask: Ask, tmp_path: Path) -> None:
    response = ask("/large")
    assert not isinstance(response.body[0], bytes)
    assert body(response) == (tmp_path / "large").read_bytes()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/nowhere", 404),
        ("/file.txt/", 404),
        ("/file.txt/x", 404),
        ("/../file.txt", 404),
        ("/%2e%2e/etc/passwd", 404),
        ("/..%2f..%2fetc/passwd", 400),
        ("/file.txt%00", 400),
        ("/%zz", 400),
        ("/%4", 400),
        ("file.txt", 400),
        ("*", 400),
        ("/file.txt#x", 400),
        ("ftp://x/file.txt", 400),
        ("/leak/", 403),
    ],
)
def test_refusals(ask: Ask, target: str, status: int) -> None:
    response = ask(target)
    assert response.status == status
    assert body(response).startswith(f"{status} {HTTPStatus(status).phrase}".encode())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_methods_that_exist_elsewhere(ask: Ask, method: str) -> None:
    response = ask("/file.txt", method)
    assert response.status == 405
    assert header(response, "Allow") == "GET, HEAD"


@pytest.mark.parametrize("method", ["BREW", "get"])
def test_methods_nobody_knows(ask: Ask, method: str) -> None:
    assert ask("/file.txt", method).status == 501


def test_fields_of_a_file(ask: Ask) -> None:
    response = ask("/file.txt")
    assert header(response, "Content-Type") == "text/plain; charset=utf-8"
    assert header(response, "Last-Modified") == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert header(response, "Accept-Ranges") == "bytes"
    assert response.download == "/file.txt"


def test_a_file_from_the_future_has_no_date(ask: Ask, tmp_path: Path) -> None:
    os.utime(tmp_path / "file.txt", (MODIFIED + 101, MODIFIED + 101))
    assert header(ask("/file.txt"), "Last-Modified") is None
    assert header(ask("/file.txt"), "ETag") is not None


@pytest.mark.parametrize("name", ["file.txt", "empty", "large"])
def test_head_is_get_without_a_body(ask: Ask, name: str) -> None:
    get, head = ask(f"/{name}"), ask(f"/{name}", "HEAD")
    assert head.body == ()
    assert (head.status, head.headers, head.length) == (get.status, get.headers, get.length)


def test_head_ignores_ranges(ask: Ask) -> None:
    assert ask("/file.txt", "HEAD", range="bytes=0-0").status == 200


@pytest.mark.parametrize("name", ["file.txt", "large"])
def test_one_range(ask: Ask, tmp_path: Path, name: str) -> None:
    whole = (tmp_path / name).read_bytes()
    response = ask(f"/{name}", range="bytes=2-5")
    assert response.status == 206
    assert body(response) == whole[2:6]
    assert header(response, "Content-Range") == f"bytes 2-5/{len(whole)}"


@pytest.mark.parametrize("name", ["file.txt", "large"])
def test_several_ranges_by_an_independent_parser(ask: Ask, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(whole := os.urandom(LARGE if name == "large" else 1000))
    response = ask(f"/{name}", range="bytes=500-600,-3,0-0")
    assert response.status == 206
    content_type = header(response, "Content-Type")
    assert content_type == "multipart/byteranges; boundary=separates"
    assert header(response, "Content-Range") is None
    message = email.message_from_bytes(
        f"Content-Type: {content_type}\n".encode() + b"MIME-Version: 1.0\n" + body(response),
        policy=email.policy.HTTP,
    )
    parts = list(message.iter_parts())
    expected = [(500, 601), (len(whole) - 3, len(whole)), (0, 1)]
    assert [part["Content-Range"] for part in parts] == [
        f"bytes {start}-{end - 1}/{len(whole)}" for start, end in expected
    ]
    assert len(body(response)) == response.length
    pieces = body(response).split(b"--separates")[1:-1]
    assert [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces] == [
        whole[start:end] for start, end in expected
    ]


def test_a_range_beyond_the_end(ask: Ask) -> None:
    response = ask("/file.txt", range="bytes=10-")
    assert response.status == 416
    assert header(response, "Content-Range") == "bytes */10"


@pytest.mark.parametrize("field", ["bytes=5-2", "pages=1-2"])
def test_a_range_that_makes_no_sense(ask: Ask, field: str) -> None:
    assert ask("/file.txt", range=field).status == 200


def test_ranges_and_preconditions_together(ask: Ask) -> None:
    etag = header(ask("/file.txt"), "ETag") or ""
    modified = "Tue, 14 Nov 2023 22:13:20 GMT"
    part = {"range": "bytes=0-0"}
    assert ask("/file.txt", **part, if_range=etag).status == 206
    assert ask("/file.txt", **part, if_range='"old"').status == 200
    assert ask("/file.txt", **part, if_range=modified).status == 206
    assert ask("/file.txt", **part, if_none_match=etag).status == 304
    assert ask("/file.txt", **part, if_match='"old"').status == 412
    assert ask("/file.txt", range="bytes=99-", if_range='"old"').status == 200
    assert ask("/file.txt", range="bytes=99-", if_none_match=etag).status == 304


def test_not_modified_has_the_tag_and_nothing_more(ask: Ask) -> None:
    etag = header(ask("/file.txt"), "ETag")
    response = ask("/file.txt", if_none_match=etag)
    assert (response.status, response.headers, response.body) == (304, (("ETag", etag),), ())


def test_the_tag_changes_with_the_file(ask: Ask, tmp_path: Path) -> None:
    before = header(ask("/file.txt"), "ETag")
    (tmp_path / "file.txt").write_bytes(b"9876543210")
    assert header(ask("/file.txt"), "ETag") != before


def test_a_directory_is_listed(ask: Ask) -> None:
    response = ask("/dir/")
    assert response.status == 200
    assert header(response, "Content-Type") == "text/html; charset=utf-8"
    assert b'<a href="in">in</a>' in body(response)
    assert response.download is None


def test_an_index_that_is_no_file_does_not_hide_the_listing(ask: Ask) -> None:
    assert b'<a href="index.html/">' in body(ask("/odd/"))


def test_a_long_directory_is_cut(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omtcp.apps.fileserver, "MAX_LISTED", 2)
    for name in "abc":
        (tmp_path / "dir" / name).write_bytes(b"")
    assert b"Only 2 entries are shown" in body(ask("/dir/"))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/dir", "/dir/"),
        ("/dir?a=b", "/dir/?a=b"),
        ("/%64ir", "/dir/"),
        ("//dir", "/dir/"),
        ("////dir", "/dir/"),
    ],
)
def test_a_directory_without_its_slash(ask: Ask, target: str, location: str) -> None:
    response = ask(target)
    assert response.status == 301
    assert header(response, "Location") == location


def test_a_file_that_shrinks_under_our_hands(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fstat = os.fstat

    def stale(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        os.truncate(tmp_path / "large", LARGE - 1)
        return status

    monkeypatch.setattr(os, "fstat", stale)
    assert ask("/large").status == 503
    assert "became shorter" in caplog.text


@given(st.binary(max_size=40).map(lambda data: b"/" + data))
def test_any_target_is_split_or_refused(target: bytes) -> None:
    try:
        segments, query = split_target(target)
    except HttpError as error:
        if error.status is not HTTPStatus.BAD_REQUEST:
            raise
        return
    assert segments
    assert query == b"" or query.startswith(b"?")
    assert all(b"/" not in segment and b"\0" not in segment for segment in segments)
