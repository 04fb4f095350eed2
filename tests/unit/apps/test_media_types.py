"""Content types."""

import pytest

from omtcp.apps.media_types import media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.html", "text/html; charset=utf-8"),
        (b"a.txt", "text/plain; charset=utf-8"),
        (b"README.md", "text/markdown; charset=utf-8"),
        (b"a.json", "application/json"),
        (b"a.PNG", "image/png"),
        (b"linux.tar.gz", "application/gzip"),
        (b"linux.tar.xz", "application/x-xz"),
        (b"a.gz", "application/gzip"),
        (b"debian.iso", "application/x-iso9660-image"),
        (b"film.mkv", "video/x-matroska"),
        (b"data:text.html", "text/html; charset=utf-8"),
        (b"http:a.txt", "text/plain; charset=utf-8"),
        (b"a.\xff", "application/octet-stream"),
        (b"noname", "application/octet-stream"),
        (b".html", "application/octet-stream"),
    ],
)
def test_media_type(name: bytes, expected: str) -> None:
    assert media_type(name) == expected
