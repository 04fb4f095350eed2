"""When a path is asked over which nothing was heard yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omtcp.core.config import Config, Mode
from omtcp.core.subflow import PathState
from omtcp.link import LinkConfig
from omtcp.sim.pair import Pair
from omtcp.trace.events import Event, PingSent

MS = 1_000_000
LINK = LinkConfig(rate_bps=20_000_000, delay_ns=20 * MS, queue_bytes=100_000)
MODES = pytest.mark.parametrize("mode", [Mode.PRIMARY, Mode.POOLED])


class Run:
    """A server over three links, and a client that says something first."""

    def __init__(self, mode: Mode) -> None:
        self.pings: list[tuple[int, int]] = []
        self.pair = Pair(
            [LINK] * 3,
            back=LinkConfig(delay_ns=20 * MS),
            config=Config(mode=mode),
            seed=3,
            sink=self._note,
        )
        self.pair.connect()
        self.pair.run(lambda: bool(self.pair.connections))

    def _note(self, now: int, _: int, event: Event) -> None:
        if isinstance(event, PingSent):
            self.pings.append((now, event.path))

    def states(self) -> list[PathState]:
        sender = self.pair.connections[0].sender
        assert sender is not None
        return [subflow.state for subflow in sender.subflows]


@MODES
def test_none_of_an_idle_connection(mode: Mode) -> None:
    run = Run(mode)
    run.pair.run(seconds=5)
    assert run.pings == []
    assert run.states() == [PathState.ACTIVE]  # there is not even a subflow for the others


@MODES
def test_none_for_an_answer_that_one_path_takes_at_once(mode: Mode) -> None:
    run = Run(mode)
    run.pair.serve(bytes(10_000))
    run.pair.run()
    assert run.pair.client.data == bytes(10_000)
    assert run.pings == []


@MODES
def test_all_at_once_for_more(mode: Mode) -> None:
    run = Run(mode)
    run.pair.serve(bytes(200_000))
    begin = run.pair.now
    run.pair.run()
    asked = {path: at for at, path in reversed(run.pings)}
    assert sorted(asked) == [1, 2]
    assert max(asked.values()) - begin < MS


@MODES
def test_if_the_answer_to_a_short_one_is_late(mode: Mode) -> None:
    """The path went down in the moment: the others are needed after all."""
    run = Run(mode)
    run.pair.serve(bytes(10_000))
    run.pair.configure(0, replace(LINK, up=False))
    begin = run.pair.now
    run.pair.run()
    assert run.pair.client.data == bytes(10_000)
    asked = {path: at - begin for at, path in reversed(run.pings)}
    assert max(asked[1], asked[2]) < 150 * MS
    assert run.pair.client.arrivals[-1].now - begin < 200 * MS
