"""The directory page."""

from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.apps.listing import human_size, render_listing
from omtcp.apps.tree import Entry

names = st.binary(min_size=1, max_size=20).filter(lambda n: b"/" not in n and b"\0" not in n)


class Links(HTMLParser):
    """The links of a page, and every tag it holds."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links.extend(value or "" for name, value in attributes if name == "href")


def entry(name: bytes, is_directory: bool = False) -> Entry:
    return Entry(name=name, is_directory=is_directory, size=1, modified=0.0)


@given(st.lists(names, max_size=3), names, st.booleans())
def test_a_link_leads_to_its_file_whatever_the_name(
    segments: list[bytes], name: bytes, is_directory: bool
) -> None:
    page = render_listing(segments, [entry(name, is_directory)])
    parsed = Links(page)
    target = urlsplit(urljoin("http://host/here/", parsed.links[-1]))
    assert target.netloc == "host"
    slash = b"/" if is_directory else b""
    if name not in (b".", b".."):  # never an entry of a directory
        assert unquote_to_bytes(target.path) == b"/here/" + name + slash
    assert parsed.tags == Links(render_listing([], [entry(b"plain")])).tags


def test_names_are_escaped() -> None:
    page = render_listing([b"<b>"], [entry(b"<script>alert(1)</script>&\x1b\n")])
    assert b"<script" not in page
    assert b"<b>" not in page
    assert b"\x1b" not in page


def test_the_root_has_no_parent() -> None:
    assert Links(render_listing([], [entry(b"a")])).links == ["a"]
    assert Links(render_listing([b"d"], [entry(b"a")])).links == ["../", "a"]


def test_a_cut_list_says_so() -> None:
    assert b"there are more" in render_listing([], [entry(b"a")], truncated=True)
    assert b"there are more" not in render_listing([], [entry(b"a")])


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (100 * 1024**2, "100.0 MiB"),
        (12 * 1024**3, "12.0 GiB"),
        (5000 * 1024**5, "5000.0 PiB"),
    ],
)
def test_human_size(size: int, text: str) -> None:
    assert human_size(size) == text
