"""Range fields against RFC 9110 section 14, by example and against a slow model."""

from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from omtcp.apps.http.ranges import (
    COALESCE_GAP,
    MAX_RANGES,
    Span,
    UnsatisfiableRangeError,
    select_ranges,
)

SIZE = 10_000


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # The examples of section 14.1.2, for a representation of 10 000 bytes.
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=-500", [(9500, 10_000)]),
        ("bytes=9500-", [(9500, 10_000)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 10_000)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10_000)]),
        ("bytes=500-600,601-999", [(500, 1000)]),
        ("bytes=500-700,601-999", [(500, 1000)]),
        # Around the edges.
        ("bytes=9999-9999", [(9999, 10_000)]),
        ("bytes=9999-99999999999999999999999999", [(9999, 10_000)]),
        ("bytes=-99999999999999999999999999", [(0, 10_000)]),
        ("bytes=0-", [(0, 10_000)]),
        ("BYTES=0-0", [(0, 1)]),
        ("bytes=,,0-0,\t,", [(0, 1)]),
        ("bytes=0000000000000000000000000000-1", [(0, 2)]),
        # One of several that do not exist is left out.
        ("bytes=20000-,0-0", [(0, 1)]),
        ("bytes=-0,0-0", [(0, 1)]),
        # The order of the field stays.
        ("bytes=5000-5001,0-1", [(5000, 5002), (0, 2)]),
        ("bytes=5000-5001,0-1,5002-5003", [(5000, 5004), (0, 2)]),
    ],
)
def test_selects(field: str, expected: list[tuple[int, int]]) -> None:
    assert select_ranges(field, SIZE) == tuple(Span(*bounds) for bounds in expected)


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-0,2-1",
        "bytes=0 - 1",
        "bytes=+1-2",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=١-٢",
        "bytes=0-0;1-1",
        "lines=0-1",
        "0-1",
        "bytes=" + ",".join(f"{i * 100}-{i * 100}" for i in range(MAX_RANGES + 1)),
        "bytes=0-9,1-9,2-9,3-9",
    ],
)
def test_ignores(field: str) -> None:
    assert select_ranges(field, SIZE) is None


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("bytes=10000-", SIZE),
        ("bytes=10000-10001,20000-", SIZE),
        ("bytes=-0", SIZE),
        ("bytes=0-", 0),
        ("bytes=-0", 0),
        ("bytes=99999999999999999999999999-", SIZE),
    ],
)
def test_unsatisfiable(field: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        select_ranges(field, size)


def test_the_end_of_nothing_is_all_of_nothing() -> None:
    assert select_ranges("bytes=-5", 0) is None


def test_a_digit_string_of_any_length_is_cheap() -> None:
    assert select_ranges(f"bytes=0-{'9' * 15_000}", SIZE) == (Span(0, SIZE),)


def test_content_range() -> None:
    assert Span(0, 500).content_range(1234) == "bytes 0-499/1234"


@dataclass(frozen=True)
class Spec:
    """A range-spec, and what it asks for."""

    first: int | None
    last: int | None

    def __str__(self) -> str:
        return (
            f"{'' if self.first is None else self.first}-{'' if self.last is None else self.last}"
        )

    def covers(self, size: int) -> set[int]:
        if self.first is None:
            assert self.last is not None
            return set(range(max(0, size - self.last), size))
        return set(range(self.first, min(size, size if self.last is None else self.last + 1)))


numbers = st.integers(0, 600)
specs = st.one_of(
    st.builds(lambda first, more: Spec(first, first + more), numbers, numbers),
    st.builds(lambda first: Spec(first, None), numbers),
    st.builds(lambda last: Spec(None, last), numbers),
)


@given(st.lists(specs, min_size=1, max_size=6), st.integers(1, 1000))
def test_exactly_the_bytes_asked_for_and_small_gaps(listed: list[Spec], size: int) -> None:
    wanted = set[int]().union(*(spec.covers(size) for spec in listed))
    field = "bytes=" + ", ".join(map(str, listed))
    try:
        spans = select_ranges(field, size)
    except UnsatisfiableRangeError:
        assert not wanted
        return
    assume(spans is not None)  # too many overlaps
    assert spans
    sent = [set(range(span.start, span.end)) for span in spans]
    union = set[int]().union(*sent)
    assert sum(map(len, sent)) == len(union), "no byte is sent twice"
    assert wanted <= union
    assert all(0 <= span.start < span.end <= size for span in spans)
    extra = sorted(union - wanted)
    assert all(wanted & set(range(byte - COALESCE_GAP, byte)) for byte in extra)
    for one, other in zip(sorted(sent, key=min), sorted(sent, key=min)[1:], strict=False):
        assert min(other) - max(one) > COALESCE_GAP


@given(st.text(max_size=60), st.integers(0, 1000))
def test_any_text_is_a_selection_or_ignored_or_unsatisfiable(text: str, size: int) -> None:
    for field in (text, f"bytes={text}"):
        try:
            spans = select_ranges(field, size)
        except UnsatisfiableRangeError:
            continue
        assert spans is None or all(0 <= span.start < span.end <= size for span in spans)
