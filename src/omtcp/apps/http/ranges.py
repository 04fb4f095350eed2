"""Byte ranges (RFC 9110 section 14): which bytes a Range field asks for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_RANGES = 64
"""A field that names more is ignored; nobody but an attacker needs them (section 14.2)."""
COALESCE_GAP = 80
"""Ranges closer than this go as one; another part's head would be longer (section 15.3.7.2)."""

# Nothing reaches beyond this, and int() of a digit string of any length would take its time.
_HUGE = 1 << 64
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` to before `end`, never empty."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def content_range(self, size: int) -> str:
        """The value of Content-Range for this part of `size` bytes."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


class UnsatisfiableRangeError(ValueError):
    """A well-formed Range of which no byte exists: the answer is 416."""


def select_ranges(field: str, size: int) -> tuple[Span, ...] | None:
    """The spans of a `size` byte representation that a Range field selects, in its order.

    None means that the field is to be ignored and all of it sent: another unit, malformed, or
    more ranges or overlaps than section 14.2 asks a server to put up with.

    Raises:
        UnsatisfiableRangeError: every range starts beyond the end.
    """
    unit, separator, listed = field.partition("=")
    if not separator or unit.strip().lower() != "bytes":
        return None
    texts = [text for part in listed.split(",") if (text := part.strip(" \t"))]
    if not texts or len(texts) > MAX_RANGES:
        return None
    spans = []
    for text in texts:
        bounds = _parse_spec(text)
        if bounds is None:
            return None
        span = _resolve(bounds, size)
        if span is not None:
            spans.append(span)
    if not spans:
        if size == 0 and any(text.startswith("-") and text.strip("-0") for text in texts):
            return None  # the last n bytes of nothing: satisfied by nothing at all
        raise UnsatisfiableRangeError(field)
    if _overlaps(spans) > 2:
        return None
    return _coalesce(spans)


def _parse_spec(text: str) -> tuple[int | None, int | None] | None:
    match = _SPEC.fullmatch(text)
    if match is None:
        return None
    first, last = (_number(digits) for digits in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return first, last


def _number(digits: str) -> int | None:
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < 20 else _HUGE


def _resolve(bounds: tuple[int | None, int | None], size: int) -> Span | None:
    """The bytes of one range-spec that exist, or None if none does."""
    first, last = bounds
    if first is None:
        start, end = size - min(last or 0, size), size
    else:
        start, end = first, size if last is None else min(last + 1, size)
    return Span(start, end) if start < end else None


def _overlaps(spans: Sequence[Span]) -> int:
    """How many of the spans begin inside one that begins earlier."""
    count = 0
    reached = 0
    for span in sorted(spans, key=lambda span: span.start):
        count += span.start < reached
        reached = max(reached, span.end)
    return count


def _coalesce(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Join what overlaps or nearly touches; a joined span takes the place of its first."""
    joined: list[tuple[int, Span]] = []
    for place, span in sorted(enumerate(spans), key=lambda item: item[1].start):
        if joined and span.start - joined[-1][1].end < COALESCE_GAP:
            earlier, last = joined[-1]
            wider = Span(last.start, max(last.end, span.end))
            joined[-1] = (min(earlier, place), wider)
        else:
            joined.append((place, span))
    return tuple(span for _, span in sorted(joined, key=lambda item: item[0]))
