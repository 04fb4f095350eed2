"""Who is filled first when all paths are used, and when the others are left out."""

from __future__ import annotations

from omtcp.core.pooling import ALONE_FIRST_NS, Pool
from omtcp.core.scheduler import Refusal
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, PoolChanged

from .sending import SECOND, make_subflow

WIDE = 1 << 30


class Rig:
    """Two paths whose rates are what a test says; time passes with `run`."""

    def __init__(self, *paths: tuple[float, int]) -> None:
        """`paths` are (round trip in ms, bytes per second)."""
        self.now = 10 * SECOND
        self.subflows = [make_subflow(i, rtt_ms=rtt) for i, (rtt, _) in enumerate(paths)]
        for subflow, (_, rate) in zip(self.subflows, paths, strict=True):
            self.rate(subflow, rate)
        self.events: list[Event] = []
        self.pool = Pool(self.subflows, self.subflows[0], Scoreboard(), self.events.append)
        self.una = 0

    def rate(self, subflow: Subflow, rate: int) -> None:
        subflow.rate.on_sample(self.now, rate, SECOND, subflow.rtt.srtt_ns)

    def run(self, seconds: float, goodput: int, *, window: int = WIDE, hungry: bool = True) -> None:
        """ACKs every 20 ms bring `goodput` bytes per second."""
        for _ in range(round(seconds * 50)):
            self.now += 20_000_000
            self.una += goodput // 50
            self.pool.on_ack(self.now, una=self.una, window_size=window, hungry=hungry)

    @property
    def order(self) -> list[int]:
        return [subflow.index for subflow in self.pool.paths()]

    def changes(self) -> list[PoolChanged]:
        return [event for event in self.events if isinstance(event, PoolChanged)]


class TestAnchor:
    def test_the_path_that_delivers_most(self) -> None:
        rig = Rig((20, 1_000_000), (100, 5_000_000))
        rig.run(0.1, 6_000_000)
        assert rig.order == [1, 0]

    def test_but_no_more_than_the_window_lets_it(self) -> None:
        """64 KB per 100 ms are less than the near path's megabyte per second."""
        rig = Rig((20, 1_000_000), (100, 5_000_000))
        rig.run(0.1, 1_000_000, window=64_000)
        assert rig.order == [0, 1]

    def test_never_one_that_rests(self) -> None:
        """Whatever it delivered when it did not."""
        rig = Rig((20, 1_000_000), (20, 5_000_000), (20, 2_000_000))
        rig.subflows[1].carrier = rig.subflows[0]
        rig.run(3, 3_000_000)
        assert rig.order == [2, 0]
        assert rig.changes() == [PoolChanged((0, 2), "bottleneck")]
        rig.subflows[0].state = PathState.SUSPECT
        assert rig.order == [2, 1]

    def test_a_little_better_is_not_enough(self) -> None:
        rig = Rig((20, 1_000_000), (20, 1_090_000))
        rig.run(0.1, 2_000_000)
        assert rig.order == [0, 1]

    def test_an_unusable_one_is_replaced(self) -> None:
        rig = Rig((20, 5_000_000), (20, 1_000_000))
        rig.subflows[0].state = PathState.SUSPECT
        rig.run(0.1, 1_000_000)
        assert rig.order == [1]


class TestGuard:
    def test_pooling_that_pays_goes_on(self) -> None:
        rig = Rig((20, 1_000_000), (40, 1_000_000))
        rig.run(10, 1_900_000)
        assert not rig.pool.guarded
        assert rig.order == [0, 1]
        assert rig.changes() == [PoolChanged((0, 1), "all")]

    def test_less_than_the_best_alone_ends_it(self) -> None:
        rig = Rig((20, 1_000_000), (40, 1_000_000))
        rig.run(1.1, 1_900_000)
        rig.run(1.7, 800_000)
        assert rig.pool.guarded
        assert rig.order == [0]
        assert rig.changes()[-1] == PoolChanged((0,), "goodput")

    def test_once_is_not_enough(self) -> None:
        rig = Rig((20, 1_000_000), (40, 1_000_000))
        rig.run(1.1, 1_900_000)
        rig.run(0.5, 800_000)
        rig.run(2, 1_900_000)
        assert not rig.pool.guarded

    def test_nothing_is_concluded_while_the_application_is_the_limit(self) -> None:
        rig = Rig((20, 1_000_000), (40, 1_000_000))
        rig.run(5, 100_000, hungry=False)
        assert not rig.pool.guarded

    def test_it_is_tried_again(self) -> None:
        rig = self._guarded()
        rig.run(ALONE_FIRST_NS / SECOND + 0.6, 1_000_000)
        assert not rig.pool.guarded
        assert rig.changes()[-1] == PoolChanged((0, 1), "retry")

    def test_and_left_alone_for_longer_the_next_time(self) -> None:
        rig = self._guarded()
        rig.run(ALONE_FIRST_NS / SECOND + 0.6, 1_000_000)
        rig.run(1.7, 800_000)
        assert rig.pool.guarded
        rig.run(ALONE_FIRST_NS / SECOND + 0.6, 1_000_000)
        assert rig.pool.guarded

    def test_if_the_best_alone_is_no_better_it_judges_slower(self) -> None:
        rig = self._guarded()
        rig.run(ALONE_FIRST_NS / SECOND + 0.6, 800_000)
        assert not rig.pool.guarded
        rig.run(0.9, 800_000)
        assert not rig.pool.guarded
        rig.run(1.2, 800_000)
        assert rig.pool.guarded

    def test_an_anchor_that_fails_is_not_waited_for(self) -> None:
        rig = self._guarded()
        rig.subflows[0].state = PathState.SUSPECT
        assert rig.order == [1]

    @staticmethod
    def _guarded() -> Rig:
        rig = Rig((20, 1_000_000), (40, 1_000_000))
        rig.run(1.1, 1_900_000)
        rig.run(1.7, 800_000)
        assert rig.pool.guarded
        return rig


class TestLeftOut:
    def test_it_is_told_with_its_reason(self) -> None:
        rig = Rig((20, 1_000_000), (40, 10_000))
        rig.subflows[1].refusal = Refusal.WINDOW
        rig.run(1.1, 1_000_000)
        assert rig.changes() == [PoolChanged((0,), "window")]

    def test_a_path_not_worth_its_delay_gets_another_chance(self) -> None:
        rig = Rig((20, 1_000_000), (40, 10_000))
        rig.subflows[1].refusal = Refusal.DELAY
        rig.run(9, 1_000_000)
        assert rig.subflows[1].chance_until == 0
        rig.run(3, 1_000_000)
        first = rig.subflows[1].chance_until
        assert first > 0
        rig.run(15, 1_000_000)
        assert rig.subflows[1].chance_until == first
        rig.run(15, 1_000_000)
        assert rig.subflows[1].chance_until > first
