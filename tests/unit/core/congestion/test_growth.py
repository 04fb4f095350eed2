"""The paper's optimisation problem."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.congestion.growth import GrowthInput, ranking
from omtcp.core.congestion.growth import primary_shares as primary

MS = 1_000_000


def subflow(
    rtt_ms: int = 50, lc: float = 1000.0, mss: int = 1448, *, avoiding: bool = True
) -> GrowthInput:
    return GrowthInput(mss=mss, rtt_ns=rtt_ms * MS, lc=lc, in_congestion_avoidance=avoiding)


def test_merit_is_mss_times_lc_over_rtt() -> None:
    assert subflow(rtt_ms=100, lc=50.0, mss=1000).merit == pytest.approx(500_000)
    assert subflow(rtt_ms=0).merit == 0


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (subflow(mss=8960), subflow(mss=1448)),
        (subflow(rtt_ms=20), subflow(rtt_ms=80)),
        (subflow(lc=1000), subflow(lc=100)),
    ],
    ids=["larger MSS", "shorter RTT", "less loss"],
)
def test_the_papers_three_examples(better: GrowthInput, worse: GrowthInput) -> None:
    assert primary([better, worse]) == [1.0, 0.0]
    assert primary([worse, better]) == [0.0, 1.0]


def test_fair_above_one_gives_whole_shares_then_the_fraction() -> None:
    subflows = [subflow(40), subflow(10), subflow(30), subflow(20)]
    assert primary(subflows, 2.5) == pytest.approx([0.0, 1.0, 0.5, 1.0])
    assert primary(subflows, 9.0) == [1.0, 1.0, 1.0, 1.0]


def test_equal_merit_goes_to_the_first() -> None:
    assert primary([subflow(), subflow()]) == [1.0, 0.0]


def test_slow_start_takes_no_share_from_congestion_avoidance() -> None:
    best_but_starting = subflow(1, avoiding=False)
    assert primary([best_but_starting, subflow(80)]) == [0.0, 1.0]
    assert primary([best_but_starting]) == [1.0]
    assert ranking([best_but_starting, subflow(80), subflow(40)]) == [2, 1, 0]


def test_no_subflows() -> None:
    assert primary([], 1.0) == []


inputs = st.lists(
    st.builds(subflow, rtt_ms=st.integers(1, 300), lc=st.floats(1, 1e5), avoiding=st.booleans()),
    min_size=1,
    max_size=4,
)


@given(inputs, st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]))
def test_primary_meets_its_constraints(subflows: list[GrowthInput], fair: float) -> None:
    shares = primary(subflows, fair)
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) == pytest.approx(min(fair, len(subflows)))


@given(inputs, st.sampled_from([1.0, 1.5, 2.0]))
def test_no_other_division_does_better(subflows: list[GrowthInput], fair: float) -> None:
    avoiding = [s for s in subflows if s.in_congestion_avoidance]
    best = sum(x * s.merit for x, s in zip(primary(avoiding, fair), avoiding, strict=True))
    for shares in product([0.0, 0.25, 0.5, 0.75, 1.0], repeat=len(avoiding)):
        if sum(shares) <= fair:
            value = sum(x * s.merit for x, s in zip(shares, avoiding, strict=True))
            assert value <= best * (1 + 1e-9)
