"""Who shares a bottleneck, from delays that the test makes up."""

from collections.abc import Callable
from itertools import combinations
from random import Random

import pytest

from omtcp.core.congestion.base import SSTHRESH_INFINITE
from omtcp.core.shared_bottleneck import TURN_INTERVALS, SharedBottlenecks
from omtcp.core.subflow import PathState
from omtcp.trace.events import BottlenecksJudged, Event

from .sending import MS, SECOND, make_subflow

A, B, C = 0, 1, 2
STEP_NS = 5 * MS

Delay = Callable[[int, int], float]
"""(path, time) -> round trip in ms."""


class Rig:
    """Subflows whose round trips are sampled every 5 ms, a millisecond apart.

    Of those found to share a bottleneck the first carries data, and the others are sampled every
    50 ms.
    """

    def __init__(self, paths: int = 2, rtt_ms: float = 40) -> None:
        self.subflows = [make_subflow(i, rtt_ms=rtt_ms) for i in range(paths)]
        self.events: list[tuple[int, Event]] = []
        self.now = 0
        self.judge = SharedBottlenecks(self.subflows, lambda e: self.events.append((self.now, e)))

    def run(self, seconds: float, delay: Delay) -> None:
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.now += STEP_NS
            for group in self.judge.groups:
                for subflow in group:
                    subflow.carrier = group[0] if subflow is not group[0] else None
            for subflow in self.subflows:
                if subflow.resting and self.now % (50 * MS):
                    continue
                at = self.now + subflow.index * MS
                self.judge.on_sample(at, subflow, int(delay(subflow.index, at) * MS))

    @property
    def groups(self) -> list[list[int]]:
        return [[subflow.index for subflow in group] for group in self.judge.groups]


class Queue:
    """A delay that wanders between 0 and 20 ms, a millisecond or so in 10 ms."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self._levels = [10.0]
        for _ in range(10_000):
            step = random.uniform(-1.5, 1.5)
            self._levels.append(min(max(self._levels[-1] + step, 0.0), 20.0))

    def at(self, now: int) -> float:
        return self._levels[now // (10 * MS)]


def one(queue: Queue) -> Delay:
    return lambda path, now: 40 + queue.at(now)


def each(*queues: Queue) -> Delay:
    return lambda path, now: 40 + queues[path].at(now)


class TestVerdict:
    @pytest.mark.parametrize("seed", range(5))
    def test_one_queue_is_found(self, seed: int) -> None:
        rig = Rig()
        rig.run(2.5, one(Queue(seed)))
        assert rig.groups == [[A, B]]

    @pytest.mark.parametrize("seed", range(5))
    def test_queues_of_their_own_are_not(self, seed: int) -> None:
        rig = Rig()
        rig.run(60, each(Queue(seed), Queue(seed + 100)))
        assert rig.events == []
        assert rig.groups == [[A], [B]]

    def test_what_differs_for_ever_does_not_matter(self) -> None:
        rig = Rig()
        queue = Queue(1)
        rig.run(2.5, lambda path, now: (40, 75)[path] + queue.at(now))
        assert rig.groups == [[A, B]]

    def test_two_of_three(self) -> None:
        rig = Rig(3)
        common = Queue(1)
        rig.run(3, each(common, Queue(2), common))
        assert rig.groups == [[A, C], [B]]

    def test_four_in_one(self) -> None:
        rig = Rig(4)
        rig.run(3, one(Queue(1)))
        assert rig.groups == [[0, 1, 2, 3]]

    def test_it_is_reported(self) -> None:
        rig = Rig()
        rig.run(2.5, one(Queue(1)))
        ((at, event),) = rig.events
        assert at < 2.5 * SECOND
        assert isinstance(event, BottlenecksJudged)
        assert event.groups == ((A, B),)
        assert 0.8 <= event.agreements[0] <= 1

    def test_and_revised_when_the_paths_part(self) -> None:
        rig = Rig()
        common = Queue(1)
        rig.run(3, one(common))
        rig.run(5, each(common, Queue(2)))
        assert rig.groups == [[A], [B]]
        assert [event.groups for _, event in rig.events] == [((A, B),), ((A,), (B,))]  # type: ignore[attr-defined]

    def test_a_path_that_rests_and_sees_no_queue_has_one_of_its_own(self) -> None:
        rig = Rig()
        common = Queue(1)
        rig.run(3, one(common))
        rig.run(5, lambda path, now: 40 + (common.at(now) if path == A else 0))
        assert rig.groups == [[A], [B]]

    def test_queues_that_stay_empty_prove_nothing(self) -> None:
        rig = Rig()
        common = Queue(1)
        rig.run(3, one(common))
        random = Random(1)
        rig.run(20, lambda path, now: 40 + random.uniform(0, 0.5))
        assert rig.groups == [[A, B]]

    def test_once_refuted_it_takes_twice_the_evidence(self) -> None:
        rig = Rig()
        common, other = Queue(1), Queue(2)
        took = []
        for _ in range(3):
            before = rig.now
            while rig.groups != [[A, B]]:
                rig.run(0.1, one(common))
            took.append((rig.now - before) / SECOND)
            while rig.groups == [[A, B]]:
                rig.run(0.1, each(common, other))
        assert took[0] < 2.4
        assert took[1] > 24 * 0.025 * 2
        assert took[2] > 24 * 0.025 * 4

    def test_late_acknowledgments_do_not_hide_it(self) -> None:
        """Three in a hundred intervals of a path consist of one sample, late by 40 ms."""
        rig = Rig()
        common, random = Queue(1), Random(1)
        late: dict[tuple[int, int], bool] = {}

        def delay(path: int, now: int) -> float:
            key = path, now // (25 * MS)
            return 40 + common.at(now) + 40 * late.setdefault(key, random.random() < 0.03)

        rig.run(3, delay)
        assert rig.groups == [[A, B]]
        rig.run(30, delay)
        assert rig.groups == [[A, B]]


class TestIntervals:
    @pytest.mark.parametrize(
        ("rtt_ms", "segments", "expected_ms"),
        [(40, 100, 25), (200, 100, 50), (200, 24, 200 / 3), (200, 4, 100), (2000, 100, 200)],
    )
    def test_long_enough_for_samples(self, rtt_ms: int, segments: int, expected_ms: float) -> None:
        """A quarter of a round trip, half of it where the smallest window sends little."""
        rig = Rig(rtt_ms=rtt_ms)
        rig.subflows[B].controller.cwnd = segments * rig.subflows[B].mss
        rig.run(0.2, one(Queue(1)))
        assert rig.judge._interval_ns == pytest.approx(expected_ms * MS)


class TestNoEvidence:
    def test_delays_that_hardly_move(self) -> None:
        """A program that reads its ACKs late by a moment is late with all of them."""
        rig = Rig()
        lateness = Queue(1)
        rig.run(20, lambda path, now: 40 + 0.1 * lateness.at(now))
        assert rig.groups == [[A], [B]]

    def test_slow_start(self) -> None:
        rig = Rig()
        for subflow in rig.subflows:
            subflow.controller.ssthresh = SSTHRESH_INFINITE
        rig.run(5, one(Queue(1)))
        assert rig.events == []

    def test_a_path_out_of_use(self) -> None:
        rig = Rig()
        rig.subflows[B].state = PathState.SUSPECT
        rig.run(5, one(Queue(1)))
        assert rig.events == []

    def test_windows_that_are_cut_together(self) -> None:
        rig = Rig()
        for subflow in rig.subflows:
            subflow.recovery_position = 1
        rig.run(5, one(Queue(1)))
        assert rig.events == []


class Sawtooth:
    """Equal links with windows in step, except for the turns that the detector asks for."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._levels = [10.0] * len(rig.subflows)
        self._cut_at = [-SECOND] * len(rig.subflows)
        self._updated = 0

    def at(self, path: int, now: int) -> float:
        while self._updated < now:
            self._updated += STEP_NS
            for subflow in self._rig.subflows:
                turn = self._rig.judge.turn(self._updated, subflow)
                self._levels[subflow.index] += 0.05 * (0.1 if turn is False else 1.0)
                if self._levels[subflow.index] > 20:
                    self._levels[subflow.index] = 8.0
                    self._cut_at[subflow.index] = self._updated
                repairing = self._updated < self._cut_at[subflow.index] + 60 * MS
                subflow.recovery_position = int(repairing)
        return 40 + self._levels[path]


class TestInStep:
    @pytest.mark.parametrize("paths", [2, 3, 4])
    def test_equal_links_are_suspected_but_not_taken_for_one(self, paths: int) -> None:
        rig = Rig(paths)
        saw = Sawtooth(rig)
        turns: set[bool | None] = set()
        for _ in range(300):
            rig.run(0.1, saw.at)
            turns |= {rig.judge.turn(rig.now, subflow) for subflow in rig.subflows}
        assert turns == {None, True, False}
        assert rig.events == []


class TestTurns:
    def test_nobody_is_asked_to_wait_without_suspicion(self) -> None:
        rig = Rig()
        assert [rig.judge.turn(0, subflow) for subflow in rig.subflows] == [None, None]

    @pytest.mark.parametrize("paths", [2, 3, 4, 6])
    def test_are_fair_and_differ(self, paths: int) -> None:
        rig = Rig(paths, rtt_ms=20)
        while rig.judge.turn(rig.now, rig.subflows[-1]) is None:
            rig.run(0.1, one(Queue(1)))
        slots = range(0, 8 * TURN_INTERVALS * 25 * MS, TURN_INTERVALS * 25 * MS)
        turns = [[rig.judge.turn(at, subflow) for at in slots] for subflow in rig.subflows]
        assert all(sorted(turn) == [False] * 4 + [True] * 4 for turn in turns)  # type: ignore[type-var]
        for first, second in combinations(turns, 2):
            assert sum(a is not b for a, b in zip(first, second, strict=True)) >= 4


def test_a_subflow_that_is_gone_is_forgotten() -> None:
    rig = Rig(3)
    rig.run(3, one(Queue(1)))
    assert rig.groups == [[0, 1, 2]]
    gone = rig.subflows.pop(1)
    rig.judge.forget(gone)
    assert rig.groups == [[0, 2]]
    assert rig.judge.turn(rig.now, gone) is None
    rig.run(3, one(Queue(1)))
    assert rig.groups == [[0, 2]]


def test_one_that_comes_later_is_alone_at_first() -> None:
    rig = Rig()
    rig.run(3, one(Queue(1)))
    late = make_subflow(2, rtt_ms=40)
    rig.subflows.append(late)
    rig.judge.add(late)
    assert rig.groups == [[0, 1], [2]]
    rig.run(3, one(Queue(2)))
    assert rig.groups == [[0, 1, 2]]
