"""Links as people write them."""

import pytest

from omtcp.errors import LocalError
from omtcp.link import Bernoulli, GilbertElliott, LinkConfig, Pattern, parse_link
from omtcp.link.spec import (
    MIN_QUEUE_BYTES,
    parse_loss,
    parse_probability,
    parse_rate,
    parse_size,
    parse_time,
)

MS = 1_000_000


def test_quantities() -> None:
    assert parse_rate("50mbit") == 50_000_000
    assert parse_rate("1.5 Gbit/s") == 1_500_000_000
    assert parse_rate("inf") is None
    assert parse_time("10ms") == 10 * MS
    assert parse_time("4s") == 4_000 * MS
    assert parse_size("64k") == parse_size("64KiB") == 65_536
    assert parse_size("100MB") == 100_000_000
    assert parse_size("1500") == 1500
    assert parse_probability("1%") == pytest.approx(0.01)
    assert parse_probability("0.5") == 0.5


@pytest.mark.parametrize("text", ["", "10", "mbit", "-5mbit", "0mbit", "1e3mbit", "5mbits"])
def test_bad_rates(text: str) -> None:
    with pytest.raises(LocalError):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "10", "1h", "ms"])
def test_bad_times(text: str) -> None:
    with pytest.raises(LocalError):
        parse_time(text)


@pytest.mark.parametrize("text", ["", "x", "101%", "-1%", "nan"])
def test_bad_probabilities(text: str) -> None:
    with pytest.raises(LocalError):
        parse_probability(text)


def test_losses() -> None:
    assert parse_loss("2%") == Bernoulli(probability=0.02)
    assert parse_loss("0%") is None
    assert parse_loss("none") is None
    assert parse_loss("burst:1%/25%") == GilbertElliott(to_bad=0.01, to_good=0.25)
    assert parse_loss("pattern:ff") == Pattern(bits=255)
    with pytest.raises(LocalError):
        parse_loss("pattern:xyz")
    with pytest.raises(LocalError):
        parse_loss("burst:1%")


def test_a_plain_link_has_a_queue_of_one_product_of_the_whole_round_trip() -> None:
    spec = parse_link("50mbit,10ms")
    assert spec.resolve(10 * MS) == LinkConfig(
        rate_bps=50_000_000, delay_ns=10 * MS, queue_bytes=125_000
    )
    assert parse_link("50mbit,10ms,queue=2bdp").resolve(10 * MS).queue_bytes == 250_000
    assert parse_link("1mbit,0ms").resolve(0).queue_bytes == MIN_QUEUE_BYTES


def test_every_setting() -> None:
    text = "5mbit,7ms,loss=1%,queue=100p,jitter=2ms,mark=30kB,mtu=1400"
    assert parse_link(text).resolve(0) == LinkConfig(
        rate_bps=5_000_000,
        delay_ns=7 * MS,
        jitter_ns=2 * MS,
        queue_bytes=151_400,
        loss=Bernoulli(probability=0.01),
        mark_bytes=30_000,
        mtu=1400,
    )
    assert parse_link("5mbit,7ms,queue=30kB").resolve(0).queue_bytes == 30_000
    assert parse_link("5mbit,7ms").swallow == "none"
    assert parse_link("5mbit,7ms,queue=30kB,swallow=data").swallow == "data"


def test_an_infinitely_fast_link_needs_no_queue() -> None:
    assert parse_link("inf,1ms").resolve(MS) == LinkConfig(delay_ns=MS)


@pytest.mark.parametrize(
    "text",
    ["", "50mbit", "10ms,50mbit", "50mbit,10ms,1%", "50mbit,10ms,lose=1%",
     "50mbit,10ms,loss=1%,loss=2%", "50mbit,10ms,queue=xbdp", "50mbit,10ms,queue=many",
     "50mbit,10ms,swallow=some"],
)  # fmt: skip
def test_bad_links(text: str) -> None:
    with pytest.raises(LocalError):
        parse_link(text)
