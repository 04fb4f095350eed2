import pytest

from omtcp.bench.spread import Spread, jain, quotients


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([1.0, 4.0]) == Spread(2.5, 1.0, 4.0, 2)
    assert Spread.of([]) is None


def test_wide_is_relative_to_the_median() -> None:
    assert Spread(10, 8, 12, 3).wide
    assert not Spread(10, 9, 11, 3).wide
    assert not Spread(0, 0, 0, 1).wide


def test_quotients_are_taken_round_by_round() -> None:
    # The second round ran on a machine half as fast: medians alone would say 2 to 4.
    assert quotients([10.0, 5.0], [5.0, 2.5]) == [2.0, 2.0]


def test_rounds_that_lack_a_side_are_left_out() -> None:
    assert quotients([10.0, None, 8.0, 6.0], [5.0, 1.0, None, 0.0]) == [2.0]


@pytest.mark.parametrize(
    ("shares", "index"), [([5, 5, 5], 1.0), ([9, 0, 0], 1 / 3), ([], 0.0), ([0, 0], 0.0)]
)
def test_jains_index(shares: list[float], index: float) -> None:
    assert jain(shares) == pytest.approx(index)
