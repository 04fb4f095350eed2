"""Every scenario of the catalogue: it finishes in time, byte for byte, and keeps the promises.

`OMTCP_SNAPSHOT_UPDATE=1 pytest tests/scenario` rewrites the table of tests/snapshots.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from omtcp.core.config import Mode
from omtcp.trace.events import MultipathDisabled

from .catalogue import SCENARIOS
from .scenarios import SEED, Outcome, Scenario, outcome, singles

SNAPSHOT = Path(__file__).parent.parent / "snapshots" / "scenarios.txt"
FORCED = {"suspect", "unusable", "timeout", "single path", "decisive"}
"""Why a primary moves when it has no choice, or none that anybody could doubt."""

every = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@every
def test_it_finishes_in_time_with_every_byte_right(scenario: Scenario) -> None:
    result = outcome(scenario)
    assert result.intact
    assert result.finished, f"{result.received} of {scenario.size} bytes (seed {SEED})"
    assert result.received == scenario.size


@every
def test_nothing_but_pings_goes_over_a_suspect_path(scenario: Scenario) -> None:
    assert outcome(scenario).faults == ()


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.silence_ms is not None],
    ids=lambda scenario: scenario.name,
)
def test_a_cut_goes_almost_unnoticed(scenario: Scenario) -> None:
    assert scenario.silence_ms is not None
    silence_ns = outcome(scenario).silence_ns
    assert silence_ns <= scenario.silence_ms * 1_000_000, f"{silence_ns / 1e6:.0f} ms, seed {SEED}"


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.baseline and len(scenario.links) > 1],
    ids=lambda scenario: scenario.name,
)
def test_it_is_no_slower_than_the_best_single_path(scenario: Scenario) -> None:
    """The paper's first goal (section IV), against the same core over each link alone."""
    best = max(single.goodput_mbps for single in singles(scenario))
    assert outcome(scenario).goodput_mbps >= 0.97 * best, f"seed {SEED}"


@every
def test_the_primary_does_not_flip(scenario: Scenario) -> None:
    """At most one move of free will in 5 s, beside the choice of where to begin."""
    if scenario.config.mode is Mode.POOLED:
        return  # there every path grows, and the primary is but a name
    times = [at for at, reason in outcome(scenario).moves if reason not in FORCED]
    times = [at for at in times if at > 500_000_000]
    calm = all(later - earlier >= 5_000_000_000 for earlier, later in pairwise(times))
    assert calm, times


def _line(result: Outcome) -> str:
    return (
        f"{result.name:48} {result.goodput_mbps:8.2f} {result.silence_ns / 1e6:8.1f}"
        f" {result.resent:8} {result.wasted:8} {len(result.moves):6}"
    )


def test_the_table_is_up_to_date() -> None:
    """Numbers may change, but not unseen: a change of behaviour changes the table with it."""
    head = f"{'scenario':48} {'Mbit/s':>8} {'silence':>8} {'resent':>8} {'wasted':>8} {'moves':>6}"
    table = "\n".join([head, *(_line(outcome(scenario)) for scenario in SCENARIOS)]) + "\n"
    if os.environ.get("OMTCP_SNAPSHOT_UPDATE"):
        SNAPSHOT.write_text(table, encoding="utf-8")
    expected = SNAPSHOT.read_text(encoding="utf-8")
    assert table.splitlines() == expected.splitlines(), "OMTCP_SNAPSHOT_UPDATE=1 to accept"


@pytest.mark.parametrize(
    "name", ["1 % loss on both, pooled", "path 0 cut at 0.7 s", "jitter 5 ms", "flapping"]
)
def test_the_same_seed_gives_the_same_trace_and_another_does_not(name: str) -> None:
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == name]
    first = outcome(scenario)
    for _ in range(2):
        again = outcome.__wrapped__(scenario)
        assert again.trace == first.trace
        assert again == first
    other = outcome.__wrapped__(scenario, SEED + 1)
    assert other.trace != first.trace


def test_names_are_unique() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)


def test_no_scenario_with_sack_loses_its_paths() -> None:
    for scenario in SCENARIOS:
        disabled = [
            event for _, _, event in outcome(scenario).trace if isinstance(event, MultipathDisabled)
        ]
        assert not disabled
