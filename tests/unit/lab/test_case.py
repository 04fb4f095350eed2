"""Cases: what follows from the links, and which uplink is the better one."""

from dataclasses import replace
from typing import Any

import pytest

from omtcp.errors import LocalError
from omtcp.lab.case import Case, Client, SenderSpec, mean_loss, parse_sender
from omtcp.lab.cases import CASES, find_case
from omtcp.lab.senders import kernel_uplink
from omtcp.lab.sharing import Competitors
from omtcp.link import GilbertElliott, LinkConfig, Pattern, parse_link

MS = 1_000_000


def case(*uplinks: str, client: Client | None = None) -> Case:
    return Case(uplinks=tuple(parse_link(text) for text in uplinks), client=client or Client())


def test_the_return_is_the_nearest_uplink_unless_chosen() -> None:
    plain = case("50mbit,20ms,loss=1%", "20mbit,5ms")
    assert plain.return_index() == 1
    assert plain.return_config().delay_ns == 5 * MS
    chosen = replace(plain, return_uplink=0)
    assert chosen.return_config().delay_ns == 20 * MS
    assert chosen.return_config().loss is None


def test_queues_are_sized_for_the_whole_round_trip() -> None:
    near, far = case("50mbit,5ms", "50mbit,75ms").forward_configs()
    assert near.queue_bytes == 62_500
    assert far.queue_bytes == 500_000


@pytest.mark.parametrize(
    ("uplinks", "better"),
    [
        (("50mbit,10ms", "50mbit,10ms"), 0),
        (("100mbit,10ms", "20mbit,40ms"), 0),
        (("20mbit,40ms", "100mbit,10ms"), 1),
        (("50mbit,75ms", "50mbit,5ms"), 1),
        (("50mbit,10ms,loss=1%", "50mbit,10ms"), 1),
        (("50mbit,10ms", "50mbit,15ms"), 0),
    ],
)
def test_the_better_uplink(uplinks: tuple[str, ...], better: int) -> None:
    assert case(*uplinks).better_uplink() == better


def test_a_small_buffer_makes_the_near_uplink_the_better_one() -> None:
    uplinks = ("100mbit,60ms", "20mbit,10ms")
    assert case(*uplinks).better_uplink() == 0
    assert case(*uplinks, client=Client(buffer=65536)).better_uplink() == 1


def test_what_an_uplink_is_expected_to_carry() -> None:
    plain = case("50mbit,10ms")
    assert plain.expected_bps(0) == pytest.approx(47.8e6, rel=0.01)
    small = case("50mbit,10ms", client=Client(buffer=65536))
    assert small.expected_bps(0) == pytest.approx(65536 * 8 / 0.020)
    assert plain.expected_bps(0, replace(plain.forward_configs()[0], up=False)) == 0


def test_mean_loss_of_every_model() -> None:
    assert mean_loss(LinkConfig()) == 0
    burst = GilbertElliott(to_bad=0.01, to_good=0.24)
    assert mean_loss(LinkConfig(loss=burst)) == pytest.approx(0.04)
    assert mean_loss(LinkConfig(loss=Pattern(bits=0b11))) == 2 / 64


def test_senders_as_people_write_them() -> None:
    assert parse_sender("omtcp") == SenderSpec()
    assert parse_sender("omtcp:pooled:reno") == SenderSpec(mode="pooled", cc="reno")
    assert parse_sender("omtcp:--fair=2").extra == ("--fair=2",)
    switched = parse_sender("omtcp:pooled:2s=redundant:2500ms=pooled")
    assert [(at, policy) for at, policy, _ in switched.switches] == [
        (2_000_000_000, "redundant"),
        (2_500_000_000, "pooled"),
    ]
    assert switched.label == "omtcp pooled cubic 2s=redundant 2500ms=pooled"
    assert parse_sender("kernel:1:reno") == SenderSpec(kind="kernel", uplink=1, cc="reno")
    assert parse_sender("kernel:1:reno").label == "kernel reno on 1"
    assert parse_sender("mptcp:bbr") == SenderSpec(kind="mptcp", cc="bbr")
    assert parse_sender("mptcp").label == "mptcp cubic"


@pytest.mark.parametrize("text", ["", "quic", "omtcp:bbr", "kernel:pooled", "omtcp:3", "mptcp:1"])
def test_bad_senders(text: str) -> None:
    with pytest.raises(LocalError):
        parse_sender(text)


def test_the_kernel_takes_its_own_the_reference_or_the_better_uplink() -> None:
    plain = case("20mbit,40ms", "100mbit,10ms")
    assert kernel_uplink(plain, SenderSpec(kind="kernel")) == 1
    assert kernel_uplink(replace(plain, reference=0), SenderSpec(kind="kernel")) == 0
    assert kernel_uplink(replace(plain, reference=0), SenderSpec(kind="kernel", uplink=1)) == 1


def test_impossible_cases_are_refused() -> None:
    plain = case("50mbit,10ms")
    impossible: tuple[dict[str, Any], ...] = (
        {"uplinks": ()},
        {"return_uplink": 1},
        {"reference": 1},
        {"senders": (SenderSpec(kind="kernel", uplink=3),)},
        {"events": ("1s:cut:1",)},
        {"direct": True, "events": ("1s:cut:0",)},
        {"family": 5},
    )
    for change in impossible:
        with pytest.raises(LocalError):
            replace(plain, **change)
    with pytest.raises(LocalError):
        Client(program="wget")


def test_mptcp_needs_a_client_that_speaks_it_and_not_too_many_uplinks() -> None:
    mptcp = (SenderSpec(kind="mptcp"),)
    nine = replace(case(*["50mbit,10ms"] * 9), senders=mptcp)
    with pytest.raises(LocalError, match="at most 9"):
        replace(nine, uplinks=(*nine.uplinks, nine.uplinks[0]))
    with pytest.raises(LocalError, match="sink"):
        replace(nine, client=Client(program="curl"))


def test_the_named_cases_cover_every_row() -> None:
    for pair in ("even", "uneven", "uneven-second", "far", "far-second", "lossy", "lossy-second"):
        assert find_case(pair).client.buffer is None
        assert find_case(f"{pair}-64k").client.buffer == 65536
    for name in (
        "cut",
        "restore",
        "fall",
        "flap",
        "direct",
        "pooled",
        "chaos",
        "pool-cut",
        "pool-cut-both",
        "pool-cut-return",
        "pool-brownout",
        "pool-restore",
    ):
        assert name in CASES
    for name in ("even", "uneven", "far", "lossy", "three"):
        kinds = [sender.label for sender in find_case(f"pool-{name}").senders]
        assert kinds == ["omtcp pooled cubic", "omtcp primary cubic", "kernel cubic", "mptcp cubic"]
    for uplinks in (2, 4):
        for flows in (1, 4, 10):
            shared = find_case(f"share-{uplinks}-{flows}")
            assert len(shared.behind()) == uplinks
            assert shared.competitors == (Competitors(count=flows),)
            assert kernel_uplink(shared, SenderSpec(kind="kernel")) == 0
    for name in ("all", "data"):
        assert kernel_uplink(find_case(f"swallow-{name}"), SenderSpec(kind="mptcp")) == 1
    totals = [c.size * c.downloads for c in CASES.values() if c.size is not None]
    assert totals == [10**9] * 9
    with pytest.raises(LocalError):
        find_case("nothing")
