"""Each coupling against values worked out by hand, and what they promise whatever the paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.congestion.coupling import (
    COUPLINGS,
    Flow,
    Share,
    balia,
    lia,
    olia,
    shared,
    uncoupled,
)

MS = 1_000_000
MSS = 1000


def flow(
    segments: float = 20, rtt_ms: int = 50, *, interval: int = 400_000, avoiding: bool = True
) -> Flow:
    return Flow(
        cwnd=int(segments * MSS),
        mss=MSS,
        rtt_ns=rtt_ms * MS,
        loss_interval=interval,
        in_congestion_avoidance=avoiding,
    )


def growths(shares: list[Share]) -> list[float]:
    return [share.growth for share in shares]


class TestUncoupled:
    def test_whole_shares(self) -> None:
        assert growths(uncoupled([flow(), flow(5)])) == [1.0, 1.0]
        assert growths(uncoupled([flow()], 2.0)) == [1.0]


class TestShared:
    def test_is_equation_1(self) -> None:
        flows = [flow(), flow(), flow(avoiding=False)]
        assert growths(shared(flows)) == pytest.approx([1 / 2, 1 / 2, 1 / 3])

    def test_times_fair_but_never_more_than_one_tcp(self) -> None:
        assert growths(shared([flow(), flow()], 1.5)) == [0.75, 0.75]
        assert growths(shared([flow()], 3.0)) == [1.0]

    def test_alone_in_slow_start(self) -> None:
        assert growths(shared([flow(avoiding=False)] * 2)) == [1.0, 1.0]


class TestLia:
    def test_two_unequal_paths(self) -> None:
        """w = 30 and 10 segments at 100 and 50 ms: alpha = 40·(10/50²)/(30/100 + 10/50)² = 0.64."""
        assert growths(lia([flow(30, 100), flow(10, 50)])) == pytest.approx([0.48, 0.16])

    def test_no_more_than_one_tcp(self) -> None:
        """w = 100 and 1 at 100 and 1 ms: alpha·100/101 = 100·(1/1²)/(1 + 1)² = 25, at most 1."""
        assert growths(lia([flow(100, 100), flow(1, 1)])) == [1.0, 0.25]

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_equal_paths_get_one_in_n_squared(self, n: int) -> None:
        assert growths(lia([flow()] * n)) == pytest.approx([1 / n**2] * n)


class TestOlia:
    def test_best_path_with_the_largest_window(self) -> None:
        """x = 3 and 1: shares (3/4)² and (1/4)², nothing to shift."""
        flows = [flow(30, interval=900_000), flow(10, interval=100_000)]
        assert growths(olia(flows)) == pytest.approx([9 / 16, 1 / 16])

    def test_shift_to_the_best_path(self) -> None:
        """The second loses more rarely, the first has the larger window: ±1/2."""
        flows = [flow(30, interval=100_000), flow(10, interval=900_000)]
        assert growths(olia(flows)) == pytest.approx([9 / 16 - 1 / 2, 1 / 16 + 1 / 2])

    def test_may_shrink_a_window(self) -> None:
        flows = [flow(10, interval=1), flow(10, interval=1), flow(9, interval=900_000)]
        x = 10 / 29
        assert growths(olia(flows)) == pytest.approx(
            [x * x - 1 / 6, x * x - 1 / 6, (9 / 29) ** 2 + 1 / 3]
        )
        assert olia(flows)[0].growth < 0

    def test_a_near_path_is_better_at_equal_loss(self) -> None:
        """l/rtt²: 400/20² beats 900/40²."""
        near, far = flow(10, 20, interval=400), flow(30, 40, interval=900)
        x = 10 / 20 / (10 / 20 + 30 / 40)
        assert growths(olia([near, far])) == pytest.approx([x**2 + 1 / 2, (1 - x) ** 2 - 1 / 2])

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_equal_paths_get_one_in_n_squared(self, n: int) -> None:
        assert growths(olia([flow()] * n)) == pytest.approx([1 / n**2] * n)


class TestBalia:
    def test_two_unequal_paths(self) -> None:
        """x = 3 and 1: alpha = 1 and 3; (1/4)²·(1 + 3)/2·(4 + 3)/5 = 0.175."""
        shares = balia([flow(30), flow(10)])
        assert growths(shares) == pytest.approx([9 / 16, 0.175])
        assert [share.backoff for share in shares] == [1.0, 1.5]

    def test_decrease_follows_alpha_up_to_its_bound(self) -> None:
        assert balia([flow(12), flow(10)])[1].backoff == pytest.approx(1.2)

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_equal_paths_get_one_in_n_squared(self, n: int) -> None:
        assert growths(balia([flow()] * n)) == pytest.approx([1 / n**2] * n)


flows_strategy = st.lists(
    st.builds(
        flow,
        st.integers(1, 2000),
        st.integers(1, 400),
        interval=st.integers(0, 10**9),
        avoiding=st.booleans(),
    ),
    min_size=1,
    max_size=5,
)
linked = pytest.mark.parametrize("name", ["lia", "olia", "balia"])


@pytest.mark.parametrize("name", sorted(COUPLINGS))
@given(flows=flows_strategy, fair=st.sampled_from([0.5, 1.0, 1.5, 2.0]))
def test_no_path_grows_faster_than_one_tcp(name: str, flows: list[Flow], fair: float) -> None:
    shares = COUPLINGS[name](flows, fair)
    assert len(shares) == len(flows)
    assert all(-fair * fair <= share.growth <= 1 for share in shares)
    assert all(1 <= share.backoff <= 1.5 for share in shares)


@linked
@given(flows=flows_strategy)
def test_at_one_distance_all_together_grow_no_faster_than_one_tcp(
    name: str, flows: list[Flow]
) -> None:
    """BALIA leaves a path that carries next to nothing a tenth, to come back with."""
    flows = [
        flow(f.cwnd / MSS, interval=f.loss_interval, avoiding=f.in_congestion_avoidance)
        for f in flows
    ]
    rest = 0.1 * (len(flows) - 1) if name == "balia" else 0.0
    assert sum(growths(COUPLINGS[name](flows, 1.0))) <= 1 + rest + 1e-9


@given(flows=flows_strategy)
def test_lia_adds_no_more_throughput_than_one_tcp_on_the_nearest_path(flows: list[Flow]) -> None:
    """Goal 2 of RFC 6356: a share is so many MSS per RTT, each RTT."""
    shares = lia(flows)
    gained = sum(share.growth / f.rtt_ns**2 for share, f in zip(shares, flows, strict=True))
    assert gained <= max(1 / f.rtt_ns**2 for f in flows) * (1 + 1e-9)


@linked
@given(flows=flows_strategy)
def test_one_path_alone_is_a_tcp(name: str, flows: list[Flow]) -> None:
    (share,) = COUPLINGS[name](flows[:1], 1.0)
    assert share[:2] == pytest.approx((1.0, 1.0))


@linked
@given(flows=flows_strategy)
def test_as_aggressive_as_n_flows_over_n_equal_paths_is_uncoupled(
    name: str, flows: list[Flow]
) -> None:
    equal = flows[:1] * len(flows)
    assert growths(COUPLINGS[name](equal, float(len(flows)))) == pytest.approx([1.0] * len(flows))


@pytest.mark.parametrize("name", sorted(COUPLINGS))
def test_no_subflows(name: str) -> None:
    assert COUPLINGS[name]([], 1.0) == []
