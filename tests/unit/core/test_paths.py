"""The table of paths: indices, costs, and what may be used in which order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from omtcp.core.paths import Paths
from omtcp.errors import LocalError


def table(count: int = 3, *, down: Iterable[int] = (), drained: Iterable[int] = ()) -> Paths:
    paths = Paths([1460] * count)
    for index in down:
        paths[index].up = False
    for index in drained:
        paths[index].drained = True
    return paths


@pytest.mark.parametrize(
    ("wanted", "down", "order"),
    [
        (0, (), [0, 1, 2]),
        (4, (), [1, 2, 0]),
        (1, (1,), [2, 0]),
        (2, (2, 0), [1]),
        (1, (0, 1, 2), [1, 2, 0]),
    ],
)
def test_one_after_the_other(wanted: int, down: tuple[int, ...], order: list[int]) -> None:
    assert table(down=down).rotation(wanted) == order


def test_the_cheapest_come_first() -> None:
    paths = table()
    paths[0].cost = 5
    assert paths.rotation(0) == [1, 2, 0]
    assert paths.rotation(2) == [2, 1, 0]


def test_a_link_that_is_down_comes_before_a_path_that_may_not_be_used() -> None:
    paths = table(2, down=[0], drained=[1])
    assert paths.rotation(1) == [0]


def test_nothing_is_left() -> None:
    paths = table(2, drained=[0])
    paths[1].removed = True
    assert paths.rotation() == []
    assert Paths().rotation() == []


def test_an_index_is_never_used_again() -> None:
    paths = table(2)
    paths[1].removed = True
    assert paths.add(1460).index == 2
    assert [path.index for path in paths] == [0, 2]
    assert len(paths) == 3


def test_who_is_the_last() -> None:
    paths = table(3, drained=[2])
    assert not paths.is_last(0)
    assert not paths.is_last(2), "it is none of those that may be used"
    paths[1].up = False
    assert paths.is_last(0)
    assert not paths.is_last(1)


@pytest.mark.parametrize("index", [-1, 3, 0])
def test_there_is_no_such_path(index: int) -> None:
    paths = table()
    paths[0].removed = True
    with pytest.raises(LocalError, match=f"no path {index}"):
        paths.find(index)


def test_a_cost_below_zero() -> None:
    with pytest.raises(LocalError, match="-1"):
        table().add(1460, cost=-1)
