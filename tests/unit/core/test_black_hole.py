"""A path that swallows large packets: found out, and used with smaller ones."""

from __future__ import annotations

from random import Random

import pytest

from omtcp.core.black_hole import ROUNDS, SIZES, BlackHoles
from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.sim.pair import Pair
from omtcp.trace.events import Event, PathSuspect, WindowChanged

from .sending import Bench, make_subflow

DATA = Random(5).randbytes(6_000_000)
LINK = LinkConfig(rate_bps=20_000_000, delay_ns=10_000_000, queue_bytes=60_000)


@pytest.mark.parametrize("limit", [1300, 600])
@pytest.mark.parametrize("path", [0, 1])
def test_it_is_used_in_the_end(limit: int, path: int) -> None:
    events: list[Event] = []
    pair = Pair(
        [LINK, LINK],
        config=Config(mode=Mode.POOLED),
        seed=1,
        sink=lambda _, __, event: events.append(event),
    )
    pair.path_drops[path].append(lambda _, segment: segment.length > limit)
    pair.connect()
    pair.serve(DATA)
    assert pair.run(lambda: pair.client.ended, seconds=30)
    assert bytes(pair.client.data) == DATA
    assert pair.accepted is not None
    assert pair.accepted.sender is not None
    narrow, wide = pair.accepted.sender.subflows[path], pair.accepted.sender.subflows[1 - path]
    assert narrow.mss < limit
    assert wide.mss > 1400
    assert narrow.delivered > len(DATA) // 6
    silences = [event for event in events if isinstance(event, PathSuspect) and event.path == path]
    assert len(silences) <= 3 * ROUNDS
    reasons = [event.reason for event in events if isinstance(event, WindowChanged)]
    assert reasons.count("mss") == (1 if limit > SIZES[0] else 2)


def test_a_path_that_delivers_in_between_is_none() -> None:
    holes, subflow = BlackHoles(), make_subflow(mss=1448)
    for _ in range(3 * ROUNDS):
        assert holes.on_silence(subflow) is None
        subflow.delivered += 1000


def test_each_further_step_takes_as_long() -> None:
    holes, subflow = BlackHoles(), make_subflow(mss=1448)
    found = []
    for _ in range(4 * ROUNDS):
        smaller = holes.on_silence(subflow)
        found.append(smaller)
        subflow.mss = smaller or subflow.mss
    assert found == [None, None, 1200, None, None, 500] + [None] * 6


def test_a_link_that_is_down_owes_nothing() -> None:
    """Suspected on the host's word alone, with nothing under way: that tells nothing of sizes."""
    bench = Bench(50, 50)
    mss = bench.subflows[0].mss
    for _ in range(3 * ROUNDS):
        bench.silence.suspect(bench.now, bench.subflows[0])
        bench.silence.restore(bench.now, bench.subflows[0])
    assert bench.subflows[0].mss == mss
