"""Bottlenecks and competitors as people write them, and what follows for the links."""

from dataclasses import replace
from typing import Any

import pytest

from omtcp.errors import LocalError
from omtcp.lab.case import Case
from omtcp.lab.fairness import jain_index, share
from omtcp.lab.sharing import Bottleneck, Competitors, parse_bottleneck, parse_competitors
from omtcp.link import parse_link

MS = 1_000_000
S = 1_000_000_000


def case(*uplinks: str, **more: Any) -> Case:
    return replace(Case(uplinks=tuple(parse_link(text) for text in uplinks)), **more)


def test_a_bottleneck_needs_a_rate_only() -> None:
    plain = parse_bottleneck("50mbit")
    assert plain.link.link.rate_bps == 50_000_000
    assert plain.link.link.delay_ns == 0
    assert plain.behind(3) == (0, 1, 2)
    full = parse_bottleneck("50mbit,5ms,queue=100kB,uplinks=0+2")
    assert full.link.link.delay_ns == 5 * MS
    assert full.link.link.queue_bytes == 100_000
    assert full.behind(3) == (0, 2)


@pytest.mark.parametrize(
    "text",
    ["", "fast", "50mbit,1ms,2ms", "50mbit,uplinks=a", "50mbit,uplinks=0,uplinks=1",
     "50mbit,swallow=all"],
)  # fmt: skip
def test_bad_bottlenecks(text: str) -> None:
    with pytest.raises(LocalError):
        parse_bottleneck(text)


def test_competitors() -> None:
    assert parse_competitors("4") == Competitors(count=4)
    assert parse_competitors("2@1") == Competitors(count=2, uplink=1)


@pytest.mark.parametrize("text", ["", "0", "-1", "33", "two", "2@", "2@x", "@1"])
def test_bad_competitors(text: str) -> None:
    with pytest.raises(LocalError):
        parse_competitors(text)


def test_what_cannot_be_shared_is_refused() -> None:
    plain = case("50mbit,10ms", "50mbit,10ms")
    bottleneck = parse_bottleneck("50mbit")
    impossible: tuple[dict[str, Any], ...] = (
        {"competitors": (Competitors(count=1),)},
        {"competitors": (Competitors(count=1, uplink=2),)},
        {"bottleneck": replace(bottleneck, uplinks=(0, 2))},
        {"bottleneck": replace(bottleneck, uplinks=(0, 0))},
        {"bottleneck": bottleneck, "direct": True},
        {"competitors": (Competitors(count=1, uplink=0),), "direct": True},
        {"fair_from_ns": plain.duration_ns},
        {"events": ("1s:rate:bottleneck:5mbit",)},
    )
    for change in impossible:
        with pytest.raises(LocalError):
            replace(plain, **change)
    replace(plain, bottleneck=bottleneck, events=("1s:rate:bottleneck:5mbit",))


def test_queues_know_the_whole_round_trip() -> None:
    shared = Bottleneck(link=parse_link("40mbit,5ms"), uplinks=(1,))
    plain = case("80mbit,10ms", "80mbit,20ms", bottleneck=shared)
    config = plain.bottleneck_config()
    assert config is not None
    assert config.queue_bytes == 40_000_000 * 35 // 8000  # 20 + 5 + 10 ms back
    first, second = plain.forward_configs()
    assert first.queue_bytes == 80_000_000 * 20 // 8000
    assert second.queue_bytes == 80_000_000 * 35 // 8000


def test_competitors_come_as_near_as_the_first_uplink_behind_the_bottleneck() -> None:
    shared = parse_bottleneck("40mbit,uplinks=1")
    plain = case("80mbit,10ms", "60mbit,20ms,loss=1%", bottleneck=shared)
    config = plain.competitor_config(Competitors(count=3))
    assert config is not None
    assert (config.delay_ns, config.rate_bps, config.loss) == (20 * MS, 60_000_000, None)
    assert plain.competitor_config(Competitors(count=3, uplink=0)) is None


def test_what_is_expected_is_a_share() -> None:
    pair = ("50mbit,10ms", "50mbit,10ms")
    alone = case(*pair).expected_bps(0)
    shared = case(*pair, bottleneck=parse_bottleneck("25mbit,uplinks=0"))
    assert shared.expected_bps(0) == pytest.approx(alone / 2)
    assert shared.better_uplink() == 1
    crowded = replace(shared, competitors=(Competitors(count=4), Competitors(count=1, uplink=1)))
    assert crowded.expected_bps(0) == pytest.approx(alone / 10)
    assert crowded.expected_bps(1) == pytest.approx(alone / 2)


def test_an_uplink_that_swallows_is_not_the_better_one() -> None:
    assert case("90mbit,1ms,swallow=data", "5mbit,50ms").better_uplink() == 1


def steady(size: int) -> list[tuple[int, int]]:
    return [(index, size) for index in range(200)]


def test_shares_of_a_part_of_the_run() -> None:
    ours = [(index, 5000 if index < 100 else 2000) for index in range(200)]
    whole = share(ours, [steady(1000), steady(3000)], downloads=1, from_ns=0, until_ns=2 * S)
    assert whole.measured_bps == 350_000 * 8 / 1
    assert whole.competitors_bps == [800_000, 2_400_000]
    assert whole.ratio == 3500 / 2000
    assert whole.spread == (0.5, 1.5)
    late = share(ours, [steady(1000), steady(3000)], downloads=1, from_ns=S, until_ns=2 * S)
    assert late.ratio == 1.0
    assert late.jain == pytest.approx(36 / (3 * 14))


def test_of_several_measured_connections_the_mean_counts() -> None:
    both = share(steady(4000), [steady(2000)], downloads=2, from_ns=0, until_ns=2 * S)
    assert both.ratio == 1.0
    assert both.jain == pytest.approx(1.0)


def test_competitors_that_got_nothing() -> None:
    starved = share(steady(1), [[]], downloads=1, from_ns=0, until_ns=S)
    assert starved.ratio is None
    assert starved.spread is None
    assert starved.jain == 0.5
    assert jain_index([0, 0]) == 1.0
