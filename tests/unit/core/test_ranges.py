"""Range sets and range maps against the naive model: one entry per integer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models import runs

from omtcp.core.ranges import RangeMap, RangeSet

EDGE = st.integers(0, 60)
SPANS = st.tuples(EDGE, EDGE)


def filled(*ranges: tuple[int, int]) -> RangeSet:
    made = RangeSet()
    for start, end in ranges:
        made.add(start, end)
    return made


class TestRangeSet:
    def test_touching_ranges_join(self) -> None:
        assert list(filled((0, 10), (20, 30), (10, 20))) == [(0, 30)]

    def test_a_range_over_several_swallows_them(self) -> None:
        assert list(filled((2, 4), (6, 8), (10, 12), (3, 11))) == [(2, 12)]

    def test_empty_ranges_add_nothing(self) -> None:
        made = filled((5, 5), (7, 3))
        assert not made
        assert made.total == 0

    def test_membership_ends_before_the_end(self) -> None:
        made = filled((3, 5))
        assert [n in made for n in range(2, 6)] == [False, True, True, False]

    def test_last_start(self) -> None:
        assert filled((1, 2), (8, 9), (4, 5)).last_start == 8

    def test_clear(self) -> None:
        made = filled((1, 2), (4, 5))
        made.clear()
        assert list(made) == []

    def test_repr_names_the_ranges(self) -> None:
        assert repr(filled((1, 2), (4, 6))) == "RangeSet([(1, 2), (4, 6)])"

    def test_missing_of_a_part_that_begins_inside_a_range(self) -> None:
        assert filled((0, 10), (20, 30)).missing(5, 25) == [(10, 20)]
        assert filled((0, 10)).missing(10, 10) == []

    @given(
        steps=st.lists(
            st.one_of(
                SPANS.map(lambda span: ("add", *span)),
                EDGE.map(lambda limit: ("discard", limit, limit)),
            ),
            max_size=30,
        ),
        probe=SPANS,
    )
    def test_is_a_set_of_integers(
        self, steps: list[tuple[str, int, int]], probe: tuple[int, int]
    ) -> None:
        made = RangeSet()
        model: set[int] = set()
        for verb, start, end in steps:
            if verb == "add":
                made.add(start, end)
                model.update(range(start, end))
            else:
                made.discard_below(start)
                model = {member for member in model if member >= start}
            assert list(made) == runs(model)
        assert len(made) == len(runs(model))
        assert made.total == len(model)
        assert [n in made for n in range(-1, 62)] == [n in model for n in range(-1, 62)]
        assert made.missing(*probe) == runs(set(range(*probe)) - model)
        if model:
            assert made.last_start == runs(model)[-1][0]


class TestRangeMap:
    def test_touching_ranges_of_one_value_stay_apart(self) -> None:
        made: RangeMap[str] = RangeMap()
        made.insert(10, 20, "a")
        made.insert(0, 10, "a")
        assert list(made) == [(0, 10, "a"), (10, 20, "a")]
        assert len(made) == 2

    @pytest.mark.parametrize(
        ("start", "end", "taken", "left"),
        [
            (0, 5, [(0, 5)], [(5, 10)]),
            (5, 10, [(5, 10)], [(0, 5)]),
            (3, 6, [(3, 6)], [(0, 3), (6, 10)]),
            (0, 10, [(0, 10)], []),
            (10, 20, [], [(0, 10)]),
        ],
        ids=["head", "tail", "middle", "whole", "beside"],
    )
    def test_cut_of_one_range(
        self,
        start: int,
        end: int,
        taken: list[tuple[int, int]],
        left: list[tuple[int, int]],
    ) -> None:
        made: RangeMap[str] = RangeMap()
        made.insert(0, 10, "a")
        assert made.cut(start, end) == [(*piece, "a") for piece in taken]
        assert list(made) == [(*piece, "a") for piece in left]

    def test_cut_over_several_ranges_clips_the_outer_two(self) -> None:
        made: RangeMap[str] = RangeMap()
        for start, value in ((0, "a"), (10, "b"), (30, "c")):
            made.insert(start, start + 10, value)
        assert made.cut(5, 35) == [(5, 10, "a"), (10, 20, "b"), (30, 35, "c")]
        assert list(made) == [(0, 5, "a"), (35, 40, "c")]

    def test_repr_names_the_ranges(self) -> None:
        made: RangeMap[str] = RangeMap()
        made.insert(1, 2, "a")
        assert repr(made) == "RangeMap([(1, 2, 'a')])"

    @pytest.mark.parametrize(
        ("start", "end", "gap"),
        [
            (0, 9, (0, 9)),
            (0, 15, (0, 10)),
            (10, 25, None),
            (12, 40, (30, 35)),
            (25, 60, (30, 35)),
            (36, 60, (40, 60)),
            (7, 7, None),
        ],
    )
    def test_gap_is_the_first_part_without_a_value(
        self, start: int, end: int, gap: tuple[int, int] | None
    ) -> None:
        made: RangeMap[str] = RangeMap()
        for low, high in ((10, 20), (20, 30), (35, 40)):
            made.insert(low, high, "a")
        assert made.gap(start, end) == gap

    @given(data=st.data())
    def test_is_a_dictionary_of_integers(self, data: st.DataObject) -> None:
        made: RangeMap[int] = RangeMap()
        model: dict[int, int] = {}
        for value in range(data.draw(st.integers(1, 25))):
            start, end = data.draw(SPANS)
            if start >= end:
                continue
            if data.draw(st.booleans()):
                for low, high in runs(set(range(start, end)) - model.keys()):
                    made.insert(low, high, value)
                    model.update(dict.fromkeys(range(low, high), value))
            else:
                inside = {n: v for n, v in model.items() if start <= n < end}
                looked = made.overlapping(start, end)
                gaps = runs(set(range(start, end)) - model.keys())
                assert made.gap(start, end) == (gaps[0] if gaps else None)
                taken = made.cut(start, end)
                assert taken == looked
                assert {n: v for low, high, v in taken for n in range(low, high)} == inside
                assert all(a[1] <= b[0] for a, b in pairwise(taken))
                model = {n: v for n, v in model.items() if not start <= n < end}
            assert {n: v for low, high, v in made for n in range(low, high)} == model
            assert all(a[1] <= b[0] for a, b in pairwise(made))
            assert made.total == len(model)
