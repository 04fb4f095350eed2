"""Scripts as people write them, and the steps that they become."""

import pytest

from omtcp.errors import LocalError
from omtcp.lab.script import BOTTLENECK, RETURN, Step, parse_script
from omtcp.link import Bernoulli

S = 1_000_000_000


def parse(
    *entries: str, uplinks: int = 2, duration: int = 15 * S, bottleneck: bool = False
) -> tuple[Step, ...]:
    return parse_script(
        entries,
        uplinks=uplinks,
        duration_ns=duration,
        return_uplink=0,
        bottleneck=bottleneck,
    )


def test_every_verb() -> None:
    steps = parse(
        "1s:cut:0", "2s:restore:0", "3s:rate:1:5mbit", "4s:delay:0:50ms", "5s:loss:0:2%",
        "6s:return:1",
    )  # fmt: skip
    assert [(step.at_ns // S, step.link, step.changes) for step in steps[:5]] == [
        (1, "0", {"up": False}),
        (2, "0", {"up": True}),
        (3, "1", {"rate_bps": 5_000_000}),
        (4, "0", {"delay_ns": 50_000_000}),
        (5, "0", {"loss": Bernoulli(probability=0.02)}),
    ]
    assert steps[5].reroute == 1
    assert [step.kind for step in steps] == ["cut", "restore", "rate", "delay", "loss", RETURN]
    (step,) = parse("7s:swallow:1:data")
    assert (step.link, step.swallow, step.kind) == ("1", "data", "swallow")


def test_a_bottleneck_has_events_if_there_is_one() -> None:
    (step,) = parse("1s:loss:bottleneck:1%", bottleneck=True)
    assert step.link == BOTTLENECK
    for entry in ("1s:return:bottleneck", "1s:swallow:bottleneck:all", "1s:swallow:return:all"):
        with pytest.raises(LocalError):
            parse(entry, bottleneck=True)
    with pytest.raises(LocalError):
        parse("1s:loss:bottleneck:1%")


def test_steps_come_in_order_of_time() -> None:
    assert [step.at_ns for step in parse("5s:cut:0", "500ms:cut:1")] == [S // 2, 5 * S]


def test_a_cut_has_a_direction() -> None:
    assert [step.link for step in parse("1s:cut:0:forward")] == ["0"]
    assert [step.link for step in parse("1s:cut:0:return")] == [RETURN]
    both = parse("1s:cut:0:both")
    assert [step.link for step in both] == ["0", RETURN]
    assert [bool(step.label) for step in both] == [True, False]
    assert [step.link for step in parse("1s:cut:1:both")] == ["1"]  # nothing comes back by it
    assert [step.link for step in parse(f"1s:cut:{RETURN}")] == [RETURN]


def test_a_flapping_link_goes_down_and_up() -> None:
    steps = parse("flap:1:3s", duration=10 * S)
    assert [(step.at_ns // S, step.kind) for step in steps] == [
        (3, "cut"),
        (6, "restore"),
        (9, "cut"),
    ]
    assert parse("1s:flap:1:3s")[0].at_ns == S


def test_random_scripts_repeat_and_never_cut_everything() -> None:
    for seed in range(20):
        steps = parse(f"random:{seed}", duration=60 * S)
        assert steps == parse(f"random:{seed}", duration=60 * S)
        assert steps
        down: set[str] = set()
        for step in steps:
            if step.kind == "cut":
                down.add(step.link)
            if step.kind == "restore":
                down.discard(step.link)
            assert len(down) < 2
    assert parse("random:1") != parse("random:2")
    kinds = {(step.link, step.kind) for step in parse("random:1", uplinks=3, duration=600 * S)}
    every = ("cut", "restore", "rate", "delay", "loss")
    assert kinds == {(link, kind) for link in "012" for kind in every}


@pytest.mark.parametrize(
    "entry",
    ["", "cut:0", "4s:cut", "4s:cut:2", "4s:cut:x", "4s:explode:0", "4s:rate:0", "4s:rate:0:fast",
     "4s:cut:0:sideways", "4s:cut:1:return", "4s:return:2", "4s:swallow:0", "4s:swallow:0:me",
     "flap:0", "flap:0:0s", "random:x"],
)  # fmt: skip
def test_bad_entries(entry: str) -> None:
    with pytest.raises(LocalError):
        parse(entry)
