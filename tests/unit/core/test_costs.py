"""Cheaper paths first: who carries data, and who is the primary."""

from __future__ import annotations

from random import Random

import pytest

from omtcp.core.config import Config, Mode, PrimaryRule
from omtcp.core.costs import affordable, without_need, worth_their_cost
from omtcp.core.primary import LONG_PATIENCE, record_of
from omtcp.core.scheduler import in_order
from omtcp.core.subflow import PathState, Subflow
from omtcp.link import LinkConfig
from omtcp.sim.pair import BACK, Pair
from omtcp.trace.events import Event, PathChosen
from omtcp.wire.tcp import Segment

from .sending import MS, SECOND, make_subflow
from .test_primary import Rig

CHEAP, DEAR = 0, 1


def flows(*costs: int, rtt_ms: float = 50) -> list[Subflow]:
    made = [make_subflow(index, rtt_ms=rtt_ms + index) for index in range(len(costs))]
    for subflow, cost in zip(made, costs, strict=True):
        subflow.cost = cost
    return made


class TestOrder:
    def test_the_cheapest_first_then_the_primary(self) -> None:
        dear, near, primary, dearest = made = flows(2, 1, 1, 3)
        assert in_order(made, primary) == [primary, near, dear, dearest]
        assert in_order(made, dearest) == [near, primary, dear, dearest]

    def test_one_in_timeout_comes_after_dearer_ones(self) -> None:
        cheap, dear = made = flows(0, 1)
        cheap.timeouts = 1
        assert in_order(made, cheap) == [dear, cheap]


class TestAffordable:
    def test_the_primary_and_what_costs_no_more(self) -> None:
        cheap, primary, equal, dear = made = flows(0, 1, 1, 2)
        assert affordable(made, primary) == [cheap, primary, equal]
        assert affordable(made, dear) == made

    def test_all_while_the_primary_is_of_no_use(self) -> None:
        primary, _ = made = flows(0, 1)
        primary.timeouts = 1
        assert affordable(made, primary) == made
        primary.timeouts = 0
        primary.state = PathState.SUSPECT
        assert affordable(made, primary) == made


class TestNeed:
    def test_a_round_trip_of_the_cheaper_windows_is_waited_for(self) -> None:
        cheap, equal, dear, dearest = made = flows(0, 0, 1, 2)
        window = cheap.controller.cwnd
        assert without_need(made, 2 * window) == [cheap, equal]
        assert without_need(made, 2 * window + 1) == [cheap, equal, dear]
        assert without_need(made, 3 * window + 1) == made
        assert dearest in made
        assert dear in made

    def test_a_window_in_timeout_takes_nothing(self) -> None:
        cheap, dear = made = flows(0, 1)
        cheap.timeouts = 1
        assert without_need(made, 1) == [cheap, dear]

    def test_equals_are_all_there(self) -> None:
        made = flows(1, 1)
        assert without_need(made, 1) == made
        assert without_need([], 1) == []


@pytest.mark.parametrize(
    ("merits", "known", "usable", "worth"),
    [
        ([10, 10, 10], [10, 10, 10], "yyy", [0]),
        ([4, 10, 10], [4, 10, 10], "yyy", [0, 1]),
        ([4, 10, 21], [4, 10, 21], "yyy", [0, 1, 2]),
        ([4, 10, 21], [4, 0, 0], "yyy", [0]),
        ([5, 10, 10], [5, 10, 10], "yyy", [0]),
        ([10, 10, 10], [10, 10, 10], "nyy", [1]),
        ([10, 10, 10], [10, 10, 10], "nny", [2]),
        ([0, 0, 0], [0, 0, 0], "nnn", []),
    ],
)
def test_who_is_worth_its_cost(
    merits: list[float], known: list[float], usable: str, worth: list[int]
) -> None:
    made = flows(0, 1, 2)
    for subflow, letter in zip(made, usable, strict=True):
        subflow.state = PathState.ACTIVE if letter == "y" else PathState.SUSPECT
    found = worth_their_cost(made, merits, lambda subflow: known[subflow.index])
    assert [subflow.index for subflow in found] == worth


class TestPrimary:
    """Evaluation by evaluation."""

    def rig(self, *, rule: PrimaryRule = PrimaryRule.CAPACITY) -> Rig:
        rig = Rig(50, 20, config=Config(primary_rule=rule))
        rig.subflows[DEAR].cost = 5
        return rig

    @pytest.mark.parametrize("rule", PrimaryRule)
    def test_what_a_dearer_path_might_deliver_does_not_count(self, rule: PrimaryRule) -> None:
        rig = self.rig(rule=rule)
        assert rig.until_moved(2, 1) is None
        assert rig.shares()[DEAR] == 0, "nor is it tried out"

    def test_after_an_outage_the_cheaper_one_takes_over_again(self) -> None:
        rig = self.rig()
        for _ in range(8):
            rig.evaluate(10, 0)
        rig.subflows[CHEAP].state = PathState.SUSPECT
        rig.chooser.replace(rig.now, rig.window, "suspect")
        assert rig.chooser.primary.index == DEAR
        for _ in range(20):
            rig.evaluate(0, 18)
        rig.subflows[CHEAP].state = PathState.ACTIVE
        assert rig.until_moved(0, 18) == 1
        assert rig.moves()[-1] == (DEAR, CHEAP, "cost")
        assert rig.until_moved(10, 0) is None

    def test_less_than_half_of_what_is_known_is_worth_paying_for(self) -> None:
        rig = self.rig()
        for _ in range(8):
            rig.evaluate(10, 0)
        rig.subflows[CHEAP].state = PathState.SUSPECT
        rig.chooser.replace(rig.now, rig.window, "suspect")
        for _ in range(20):
            rig.evaluate(0, 30)
        rig.subflows[CHEAP].state = PathState.ACTIVE
        assert rig.until_moved(0, 30, limit=10) is None

    def test_a_short_weakness_is_no_reason_to_pay(self) -> None:
        rig = self.rig()
        for _ in range(8):
            rig.evaluate(10, 0)
        record = record_of(rig.subflows[DEAR])
        record.potential, record.tried = 50 * 125_000.0, 10
        for _ in range(LONG_PATIENCE - 1):
            assert rig.evaluate(3, 0) == CHEAP
        count = rig.until_moved(3, 0)
        assert count is not None
        assert count <= 4

    def test_a_price_that_rises_moves_it(self) -> None:
        rig = self.rig()
        for _ in range(8):
            rig.evaluate(10, 0)
        record_of(rig.subflows[DEAR]).potential = 9 * 125_000.0
        rig.subflows[CHEAP].cost = 9
        assert rig.until_moved(10, 0, limit=2) is not None
        assert rig.chooser.primary.index == DEAR

    def test_a_cheaper_path_that_answers_first_is_begun_with(self) -> None:
        rig = self.rig()
        rig.subflows[CHEAP].cost = 9
        rig.chooser.on_first_answer(rig.now, rig.subflows[DEAR], rig.window)
        assert rig.moves() == [(CHEAP, DEAR, "cost")]

    def test_a_dearer_one_is_not_however_near(self) -> None:
        rig = self.rig()
        rig.chooser.on_first_answer(rig.now, rig.subflows[DEAR], rig.window)
        assert rig.moves() == []


LINK = LinkConfig(rate_bps=20_000_000, delay_ns=20 * MS, queue_bytes=100_000)
NEAR = LinkConfig(rate_bps=20_000_000, delay_ns=5 * MS, queue_bytes=100_000)


class Run:
    """A download in which the nearer path costs something."""

    def __init__(self, mode: Mode, size: int, *, offered_bps: int = 0) -> None:
        self.events: list[Event] = []
        self.pair = Pair(
            [LINK, NEAR],
            config=Config(mode=mode),
            seed=5,
            sink=lambda now, _, event: self.events.append(event),
        )
        self.pair.server.set_cost(self.pair.now, DEAR, 5)
        self.sent = [0, 0]
        self.pair.taps.append(self._tap)
        self.data = Random(1).randbytes(size)
        self.pair.connect()
        if offered_bps:
            self._trickle(offered_bps)
        else:
            self.pair.serve(self.data)

    def _tap(self, now: int, path: int, segment: Segment) -> None:
        if path != BACK:
            self.sent[path] += segment.length

    def _trickle(self, bps: int) -> None:
        chunk = bps // 8 // 50
        places = iter(range(0, len(self.data), chunk))

        def write() -> bool:
            place = next(places, None)
            if place is not None:
                last = place + chunk >= len(self.data)
                self.pair.serve(self.data[place : place + chunk], close=last)
            return place is not None

        self.pair.every(20 * MS, write, first=100 * MS)

    def finish(self) -> None:
        assert self.pair.run(lambda: self.pair.client.ended, seconds=60)
        assert bytes(self.pair.client.data) == self.data


def test_pooled_it_is_an_overflow() -> None:
    greedy = Run(Mode.POOLED, 6_000_000)
    greedy.finish()
    assert greedy.sent[DEAR] > 1_000_000
    modest = Run(Mode.POOLED, 2_000_000, offered_bps=8_000_000)
    modest.finish()
    assert modest.sent[DEAR] < 0.02 * modest.sent[CHEAP]


def test_primary_it_is_a_reserve() -> None:
    run = Run(Mode.PRIMARY, 6_000_000)
    run.finish()
    assert run.sent[DEAR] < 2_000, "pings"


def test_primary_it_steps_in_and_back() -> None:
    run = Run(Mode.PRIMARY, 12_000_000)
    down: list[bool] = []
    run.pair.path_drops[CHEAP].append(lambda now, segment: bool(down))
    run.pair.at(SECOND, lambda: down.append(True))
    run.pair.at(2 * SECOND, down.clear)
    run.finish()
    moves = [(e.previous, e.path) for e in run.events if isinstance(e, PathChosen)]
    assert moves[0] == (CHEAP, DEAR)
    assert moves[1] == (DEAR, CHEAP)
    assert 500_000 < run.sent[DEAR] < 6_000_000


@pytest.mark.parametrize("sack", [True, False])
def test_connections_begin_on_the_cheapest(sack: bool) -> None:
    pair = Pair([NEAR, LINK], client_config=Config(sack=sack), seed=1)
    pair.server.set_cost(pair.now, 0, 3)
    sent: list[int] = []
    pair.taps.append(lambda now, path, segment: sent.append(path) if path != BACK else None)
    pair.connect()
    pair.serve(bytes(3000))
    assert pair.run(lambda: pair.client.ended)
    assert sent[0] == 1
    assert sum(path == 0 for path in sent) <= 2, "a ping or two"
