"""Sorted disjoint half-open byte ranges: a set of them, and a map from them to values.

Both are parallel lists that `bisect` searches in C: an operation costs O(log n) comparisons plus
a move of machine words, whatever the number of bytes, and no object exists per segment.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_NONE: Final[list[Any]] = []
"""The lists of all that are empty, as most are most of the time; nothing is ever put into it."""


class RangeSet:
    """A set of integers kept as disjoint, non-adjacent ranges [start, end)."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = _NONE
        self._ends: list[int] = _NONE

    def __len__(self) -> int:
        """The number of ranges, not of integers."""
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __contains__(self, value: int) -> bool:
        index = bisect_right(self._starts, value) - 1
        return index >= 0 and value < self._ends[index]

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def total(self) -> int:
        """How many integers are in the set."""
        return sum(self._ends) - sum(self._starts)

    @property
    def last_start(self) -> int:
        """Where the highest range begins; the set must not be empty."""
        return self._starts[-1]

    def add(self, start: int, end: int) -> None:
        """Add [start, end), joining whatever it touches."""
        if start >= end:
            return
        starts, ends = self._starts, self._ends
        if not starts:
            self._starts, self._ends = [start], [end]
            return
        first = bisect_left(ends, start)
        last = bisect_right(starts, end)
        if first < last:
            start = min(start, starts[first])
            end = max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]

    def discard_below(self, limit: int) -> None:
        """Remove every integer less than `limit`."""
        starts, ends = self._starts, self._ends
        index = bisect_right(ends, limit)
        if index == len(ends):
            self.clear()
            return
        if index:
            del starts[:index]
            del ends[:index]
        if starts[0] < limit:
            starts[0] = limit

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that are not in the set, in order."""
        starts, ends = self._starts, self._ends
        gaps = []
        index = bisect_right(ends, start)
        while start < end:
            if index == len(starts) or starts[index] >= end:
                gaps.append((start, end))
                break
            if starts[index] > start:
                gaps.append((start, starts[index]))
            start = ends[index]
            index += 1
        return gaps

    def clear(self) -> None:
        """Empty the set."""
        self._starts = self._ends = _NONE


class RangeMap(Generic[T]):
    """Disjoint ranges [start, end), each with a value; touching ranges stay apart."""

    __slots__ = ("ends", "starts", "values")

    def __init__(self) -> None:
        self.starts: list[int] = _NONE
        self.ends: list[int] = _NONE
        self.values: list[T] = _NONE

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[tuple[int, int, T]]:
        return zip(self.starts, self.ends, self.values, strict=True)

    def __repr__(self) -> str:
        return f"RangeMap({list(self)})"

    @property
    def total(self) -> int:
        """How many integers the ranges cover."""
        return sum(self.ends) - sum(self.starts)

    def insert(self, start: int, end: int, value: T) -> None:
        """Map [start, end), which must overlap nothing, to `value`."""
        starts = self.starts
        if not starts:
            self.starts, self.ends, self.values = [start], [end], [value]
            return
        if start >= starts[-1]:
            starts.append(start)
            self.ends.append(end)
            self.values.append(value)
            return
        index = bisect_right(starts, start)
        starts.insert(index, start)
        self.ends.insert(index, end)
        self.values.insert(index, value)

    def cut(self, start: int, end: int) -> list[tuple[int, int, T]]:
        """Remove [start, end) from the map and return the removed pieces in order.

        A range that reaches over an edge is split: its part outside stays.
        """
        starts, ends = self.starts, self.ends
        low = bisect_right(ends, start)
        high = bisect_left(starts, end, low)
        if low >= high:
            return []
        values = self.values
        pieces = list(zip(starts[low:high], ends[low:high], values[low:high], strict=True))
        first_start, first_end, first = pieces[0]
        _, last_end, last = pieces[-1]
        keep: list[tuple[int, int, T]] = []
        if first_start < start:
            keep.append((first_start, start, first))
            pieces[0] = (start, first_end, first)
        if last_end > end:
            keep.append((end, last_end, last))
            pieces[-1] = (pieces[-1][0], end, last)
        if len(keep) == 1 and high - low == 1:  # the common case: one range trimmed in place
            starts[low], ends[low] = keep[0][0], keep[0][1]
        elif not keep and high - low == len(starts):
            self.starts = self.ends = self.values = _NONE
        else:
            starts[low:high] = [piece[0] for piece in keep]
            ends[low:high] = [piece[1] for piece in keep]
            values[low:high] = [piece[2] for piece in keep]
        return pieces

    def overlapping(self, start: int, end: int) -> list[tuple[int, int, T]]:
        """The pieces of the map inside [start, end), clipped to it, without removing them."""
        starts, ends = self.starts, self.ends
        low = bisect_right(ends, start)
        high = bisect_left(starts, end, low)
        return [
            (max(starts[i], start), min(ends[i], end), self.values[i]) for i in range(low, high)
        ]

    def gap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of [start, end) that no range covers, None if all is covered."""
        starts, ends = self.starts, self.ends
        index = bisect_right(ends, start)
        while start < end and index < len(starts) and starts[index] <= start:
            start = ends[index]
            index += 1
        if start >= end:
            return None
        return start, min(end, starts[index]) if index < len(starts) else end
