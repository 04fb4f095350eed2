"""Who is the primary and who may grow, evaluation by evaluation."""

from collections.abc import Sequence
from itertools import cycle, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.budget import AUDITION_FIRST_NS, AUDITION_NS, AUDITION_RAREST_NS
from omtcp.core.config import Config, LossCorrection, Mode, PrimaryRule
from omtcp.core.congestion.base import SSTHRESH_INFINITE
from omtcp.core.congestion.loss_correction import InverseLoss, cubic_like
from omtcp.core.primary import (
    BETTER,
    DWELL_MAX_NS,
    DWELL_NS,
    LONG_PATIENCE,
    PATIENCE,
    TRIED,
    PrimaryChooser,
)
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, PathChosen

from .sending import MS, MSS, SECOND, make_subflow

A, B, C = 0, 1, 2
MBIT = 125_000
"""Bytes per second."""
INTERVAL_NS = 250 * MS
WIDE = 1 << 30


class Rig:
    """A chooser over paths whose deliveries the test decides."""

    def __init__(
        self,
        *rtts_ms: float,
        config: Config | None = None,
        traced: bool = True,
        now: int = 10 * SECOND,
    ) -> None:
        self.now = now
        self.subflows = [make_subflow(i, rtt_ms=rtt) for i, rtt in enumerate(rtts_ms)]
        self.events: list[Event] = []
        self.chooser = PrimaryChooser(
            config or Config(),
            self.subflows,
            self.subflows[A],
            lambda: 0.5,
            self.events.append if traced else None,
        )
        self.window = WIDE

    def evaluate(self, *mbits: float, hungry: bool = True) -> int:
        """An interval in which each path delivered so many Mbit/s; the primary after it."""
        self.now += INTERVAL_NS
        for subflow, rate in zip(self.subflows, mbits, strict=True):
            size = int(rate * MBIT * INTERVAL_NS / SECOND)
            subflow.delivered += size
            self.chooser.on_delivered(subflow, size)
        self.chooser.evaluate(self.now, window_size=self.window, hungry=hungry)
        return self.chooser.primary.index

    def until_moved(self, *mbits: float, limit: int = 400) -> int | None:
        """Evaluations until the primary changes; None if it does not."""
        before = self.chooser.primary.index
        for count in range(1, limit + 1):
            if self.evaluate(*mbits) != before:
                return count
        return None

    def shares(self) -> list[float]:
        return [subflow.growth for subflow in self.subflows]

    def moves(self) -> list[tuple[int, int, str]]:
        return [(e.previous, e.path, e.reason) for e in self.events if isinstance(e, PathChosen)]


class TestInterval:
    """P9: about every 250 ms, randomised per connection."""

    @given(st.floats(0, 1, exclude_max=True))
    def test_within_a_fifth_of_the_mean(self, draw: float) -> None:
        chooser = PrimaryChooser(Config(), [], make_subflow(), lambda: draw, None)
        assert 200 * MS <= chooser.next_interval_ns() <= 300 * MS

    def test_drawn_anew_each_time(self) -> None:
        draws = [
            PrimaryChooser(Config(), [], make_subflow(), Random(s).random, None) for s in (1, 2)
        ]
        intervals = [[chooser.next_interval_ns() for _ in range(400)] for chooser in draws]
        assert intervals[0] != intervals[1]
        for sequence in intervals:
            assert len(set(sequence)) > 390
            assert sum(sequence) / len(sequence) == pytest.approx(250 * MS, rel=0.02)
            assert min(sequence) < 205 * MS
            assert max(sequence) > 295 * MS

    def test_of_another_mean(self) -> None:
        config = Config(primary_interval_ns=SECOND)
        assert PrimaryChooser(config, [], make_subflow(), lambda: 0.5, None).next_interval_ns() == (
            SECOND
        )


class TestBudget:
    """P7."""

    def test_only_the_primary_grows(self) -> None:
        rig = Rig(50, 50, 50)
        rig.evaluate(10, 1, 1)
        assert rig.shares() == [1, 0, 0]

    def test_whole_shares_for_the_next_best_and_then_the_fraction(self) -> None:
        rig = Rig(50, 50, 50, config=Config(fair=1.5))
        rig.evaluate(10, 1, 5)
        assert rig.shares() == [1, 0, 0.5]
        rig = Rig(50, 50, 50, config=Config(fair=2.25))
        rig.evaluate(10, 1, 5)
        assert rig.shares() == [1, 0.25, 1]

    def test_less_than_one_flow(self) -> None:
        rig = Rig(50, 50, config=Config(fair=0.5))
        rig.evaluate(10, 1)
        assert rig.shares() == [0.5, 0]

    def test_pooled_paths_all_grow(self) -> None:
        rig = Rig(50, 50, config=Config(mode=Mode.POOLED))
        rig.evaluate(10, 50)
        assert rig.shares() == [1, 1]
        assert rig.moves() == []

    def test_a_primary_in_slow_start_keeps_its_share(self) -> None:
        rig = Rig(50, 50)
        rig.subflows[A].controller.ssthresh = SSTHRESH_INFINITE
        rig.evaluate(10, 1)
        assert rig.shares()[A] == 1

    def test_an_unusable_primary_leaves_it_to_others(self) -> None:
        rig = Rig(50, 50)
        rig.evaluate(10, 1)
        rig.subflows[A].state = PathState.SUSPECT
        rig.chooser.grow(rig.now, WIDE)
        assert rig.shares() == [0, 1]


class TestLossCorrection:
    """P8, in the paper's own rule."""

    def test_inverse_loss(self) -> None:
        rig = Rig(50, 20, config=Config(primary_rule=PrimaryRule.LITERAL))
        model = InverseLoss()
        rig.chooser.on_delivered(rig.subflows[A], 500_000)
        rig.chooser.on_loss(rig.subflows[A])
        model.on_delivered(500_000)
        model.on_loss()
        expected = [MSS * model.segments(MSS) / 0.050, MSS * InverseLoss().segments(MSS) / 0.020]
        assert rig.chooser.merits(WIDE) == pytest.approx(expected)

    def test_cubic_like(self) -> None:
        config = Config(primary_rule=PrimaryRule.LITERAL, loss_correction=LossCorrection.CUBIC_LIKE)
        rig = Rig(50, 50, config=config)
        a, b = (subflow.controller for subflow in rig.subflows)
        a.cwnd, a.ssthresh = 10 * MSS, 10 * MSS
        b.cwnd, b.ssthresh = 18 * MSS, 10 * MSS
        near = MSS * cubic_like(cwnd=10 * MSS, ssthresh=10 * MSS, mss=MSS) / 0.050
        far = MSS * cubic_like(cwnd=18 * MSS, ssthresh=10 * MSS, mss=MSS) / 0.050
        assert rig.chooser.merits(WIDE) == pytest.approx([near, far])
        assert near > far

    def test_nothing_of_a_path_without_round_trip_or_use(self) -> None:
        rig = Rig(50, 0, 20, config=Config(primary_rule=PrimaryRule.LITERAL))
        rig.subflows[C].state = PathState.DEFECTIVE
        assert rig.chooser.merits(WIDE)[1:] == [0, 0]


class TestStandby:
    """P10, with the controller of the standby subflow."""

    @staticmethod
    def round_trip(subflow: Subflow, now: int) -> None:
        """A full window leaves and is acknowledged."""
        start = subflow.position
        send = subflow.send(now, start, start + subflow.controller.cwnd)
        subflow.limited = True
        subflow.credit(now + 50 * MS, send, send.start, send.end, was_lost=False)
        subflow.settle(now + 50 * MS)

    def test_shrinks_to_two_segments_while_its_ssthresh_grows(self) -> None:
        standby = make_subflow(cwnd=16 * MSS, rtt_ms=50)
        standby.growth = 0.0
        controller = standby.controller
        self.round_trip(standby, 0)
        for count in range(6):
            controller.on_loss(now=count, in_flight=controller.cwnd)
        assert controller.cwnd == 2 * MSS
        before = controller.ssthresh
        for count in range(10):
            self.round_trip(standby, count * 50 * MS)
        assert controller.cwnd == 2 * MSS
        assert controller.ssthresh == before + 10 * MSS

    def test_when_promoted_it_slow_starts_to_that_ssthresh(self) -> None:
        standby = make_subflow(cwnd=2 * MSS, rtt_ms=50)
        standby.growth = 0.0
        for count in range(14):
            self.round_trip(standby, count * 50 * MS)
        assert standby.controller.ssthresh == 16 * MSS
        standby.growth = 1.0
        windows = []
        for count in range(14, 18):
            self.round_trip(standby, count * 50 * MS)
            windows.append(standby.controller.cwnd // MSS)
        assert windows == [4, 8, 16, 17]


class TestLiteralRule:
    """Why the paper's rule, taken literally, is not the default."""

    def busy_and_idle(self, rule: PrimaryRule) -> Rig:
        """A carries 40 Mbit/s and loses a segment each second, as a full queue makes it; B, of the
        same kind but for a third of the capacity, carries next to nothing and loses nothing."""
        rig = Rig(50, 50, config=Config(primary_rule=rule))
        for count in range(40):
            if count % 4 == 3:
                rig.chooser.on_loss(rig.subflows[A])
            primary = rig.evaluate(40, 0.1)
            if primary == B:
                break
        return rig

    def test_flips_to_the_idle_path(self) -> None:
        rig = Rig(60, 50, config=Config(primary_rule=PrimaryRule.LITERAL))
        assert rig.evaluate(40, 0.1) == B
        assert rig.moves() == [(A, B, "merit")]

    def test_and_back_as_soon_as_the_other_is_idle(self) -> None:
        """Each primary's own queue makes it the worse: the rule never settles."""
        rig = Rig(50, 50, config=Config(primary_rule=PrimaryRule.LITERAL))
        for _ in range(12):
            at_work = rig.chooser.primary.index
            for subflow in rig.subflows:
                rtt = 90 if subflow.index == at_work else 50
                for count in range(30):
                    subflow.rtt.on_sample(rig.now + count, rtt * MS)
            rig.evaluate(*(40 if index == at_work else 0.1 for index in (A, B)))
        assert rig.moves() == [
            (*move, "merit") for move, _ in zip(cycle([(A, B), (B, A)]), range(12), strict=False)
        ]

    def test_stays_only_while_its_own_merit_is_the_best(self) -> None:
        rig = Rig(50, 60, config=Config(primary_rule=PrimaryRule.LITERAL))
        for _ in range(5):
            assert rig.evaluate(40, 0.1) == A
        for _ in range(8):
            rig.chooser.on_loss(rig.subflows[A])
        assert rig.evaluate(0.1, 0.1) == B

    def test_capacity_stays_where_the_capacity_is(self) -> None:
        rig = Rig(50, 50)
        rig.subflows[B].limited = True
        for _ in range(100):
            at_work = rig.chooser.primary.index
            for subflow in rig.subflows:
                rtt = 90 if subflow.index == at_work else 50
                for count in range(30):
                    subflow.rtt.on_sample(rig.now + count, rtt * MS)
            rig.evaluate(40, 0.1)
        assert rig.moves() == []

    def test_stays_while_the_best_is_the_best(self) -> None:
        assert self.busy_and_idle(PrimaryRule.CAPACITY).chooser.primary.index == A


class TestCapacityRule:
    def settled(self, *rtts_ms: float, config: Config | None = None, **rates: float) -> Rig:
        """A rig whose primary is known to deliver 20 Mbit/s, the others next to nothing."""
        rig = Rig(*rtts_ms, config=config)
        for subflow in rig.subflows:
            subflow.limited = True
        for _ in range(TRIED + 2):
            rig.evaluate(20, *[0.1] * (len(rtts_ms) - 1))
        assert rig.chooser.settled
        assert rig.chooser.primary.index == A
        return rig

    def test_more_than_twice_as_good_at_once(self) -> None:
        rig = self.settled(50, 50)
        assert rig.until_moved(20, 50) == 1
        assert rig.moves() == [(A, B, "capacity")]

    def test_clearly_better_twice_in_a_row(self) -> None:
        rig = self.settled(50, 50)
        assert rig.until_moved(20, 20 * BETTER + 1) == PATIENCE

    def test_slightly_better_for_long(self) -> None:
        rig = self.settled(50, 50)
        assert rig.until_moved(20, 20 * 1.1) == LONG_PATIENCE

    def test_as_good_is_not_better(self) -> None:
        assert self.settled(50, 50).until_moved(20, 20.9) is None

    def test_once_is_not_twice(self) -> None:
        """A standby path's good moment is remembered until its delivery is seen to be less."""
        rig = self.settled(50, 50, 50)
        favourites = cycle([(20, 26, 0.1), (20, 0.1, 33)])
        assert rig.evaluate(*next(favourites)) == A
        assert rig.evaluate(*next(favourites)) == A  # another favourite: the count starts anew

    def test_as_good_and_clearly_nearer(self) -> None:
        rig = self.settled(100, 50)
        assert rig.until_moved(20, 20) == PATIENCE
        assert rig.moves() == [(A, B, "rtt")]

    def test_nearer_but_no_match(self) -> None:
        assert self.settled(100, 50).until_moved(20, 15) is None

    def test_the_receive_window_bounds_a_merit(self) -> None:
        rig = self.settled(50, 150)
        rig.window = 64 << 10
        merits = rig.chooser.merits(rig.window)
        assert merits[A] == pytest.approx((64 << 10) / 0.050)
        rig.evaluate(20, 100)
        assert rig.chooser.merits(rig.window)[B] == pytest.approx((64 << 10) / 0.150)
        assert rig.chooser.primary.index == A

    def test_no_merit_without_use_or_round_trip(self) -> None:
        rig = self.settled(50, 50, 50)
        rig.subflows[B].state = PathState.SUSPECT
        rig.subflows[C].rtt = type(rig.subflows[C].rtt)()
        assert rig.chooser.merits(WIDE)[1:] == [0, 0]

    def test_a_path_that_was_never_loaded_may_be_as_good_as_the_primary(self) -> None:
        rig = Rig(50, 50)
        b = rig.subflows[B].controller
        b.ssthresh, b.cwnd = SSTHRESH_INFINITE, 10 * MSS
        rig.evaluate(20, 0.1)
        assert not rig.chooser.settled
        merits = rig.chooser.merits(WIDE)
        assert merits[A] == merits[B] == pytest.approx(20 * MBIT)

    def test_and_once_the_primary_is_known_the_receive_window_speaks_for_it(self) -> None:
        rig = Rig(50, 50)
        b = rig.subflows[B].controller
        b.ssthresh, b.cwnd = SSTHRESH_INFINITE, 10 * MSS
        rig.window = 1 << 16
        for _ in range(TRIED):
            rig.evaluate(20, 0.1)
        assert rig.chooser.merits(1 << 16)[B] == pytest.approx((1 << 16) / 0.050)

    def test_what_it_delivers_less_is_believed_while_there_is_data(self) -> None:
        rig = self.settled(50, 50)
        for _ in range(20):
            rig.evaluate(10, 0.1, hungry=False)
        assert rig.chooser.merits(WIDE)[A] == pytest.approx(20 * MBIT)
        for _ in range(20):
            rig.evaluate(10, 0.1)
        assert rig.chooser.merits(WIDE)[A] == pytest.approx(10 * MBIT, rel=0.01)

    def test_a_move_is_followed_by_a_rest(self) -> None:
        rig = self.settled(50, 50)
        rig.evaluate(20, 50)
        assert rig.chooser.primary.index == B
        rig.evaluate(20, 50)
        for subflow in rig.subflows:
            subflow.limited = True
        count = rig.until_moved(70, 50)
        assert count is not None
        assert (1 + count) * INTERVAL_NS >= DWELL_NS

    def test_after_a_move_taken_back_it_hesitates_longer(self) -> None:
        def swing(rig: Rig) -> int:
            rates = (20, 26) if rig.chooser.primary.index == A else (26, 20)
            count = rig.until_moved(*rates)
            assert count is not None
            for _ in range(8):  # until the old merits are forgotten
                rig.evaluate(20, 20)
            return count

        rig = self.settled(50, 50)
        for subflow in rig.subflows:
            subflow.growth = 1.0
        counts = [swing(rig) for _ in range(4)]
        assert counts[-1] > counts[0]

    def test_a_long_peace_ends_all_hesitation(self) -> None:
        rig = self.settled(50, 50)
        rig.chooser._dwell_ns = DWELL_MAX_NS
        rig.now += DWELL_MAX_NS + SECOND
        rig.evaluate(20, 20)
        rig.subflows[A].state = PathState.SUSPECT
        rig.chooser.replace(rig.now, WIDE, "suspect")
        assert rig.chooser._dwell_ns == DWELL_NS

    def test_an_unusable_primary_is_left_at_the_next_evaluation(self) -> None:
        rig = self.settled(50, 50)
        rig.subflows[A].state = PathState.DEFECTIVE
        assert rig.evaluate(0, 1) == B
        assert rig.moves() == [(A, B, "unusable")]

    def test_but_not_for_another_unusable_one(self) -> None:
        rig = self.settled(50, 50)
        for subflow in rig.subflows:
            subflow.state = PathState.SUSPECT
        assert rig.evaluate(1, 1) == A

    def test_silence_of_all_proves_nothing(self) -> None:
        rig = self.settled(50, 50)
        merits = rig.chooser.merits(WIDE)
        for _ in range(10):
            rig.evaluate(0, 0)
        assert rig.chooser.merits(WIDE) == merits

    def test_twice_at_one_instant_is_once(self) -> None:
        rig = self.settled(50, 50)
        merits = rig.chooser.merits(WIDE)
        rig.subflows[B].delivered += 1 << 30
        rig.chooser.evaluate(rig.now, window_size=WIDE, hungry=True)
        assert rig.chooser.merits(WIDE) == merits

    def test_untraced(self) -> None:
        rig = Rig(50, 50, traced=False)
        for _ in range(TRIED + 2):
            rig.evaluate(20, 0.1)
        rig.evaluate(20, 60)
        assert rig.chooser.primary.index == B
        assert rig.events == []


class TestFirstAnswer:
    def test_a_clearly_nearer_path_is_begun_with(self) -> None:
        rig = Rig(100, 50)
        rig.chooser.on_first_answer(rig.now, rig.subflows[B], WIDE)
        assert rig.chooser.primary.index == B
        assert rig.moves() == [(A, B, "rtt")]
        assert rig.shares() == [0, 1]

    def test_not_a_slightly_nearer_one(self) -> None:
        rig = Rig(100, 90)
        rig.chooser.on_first_answer(rig.now, rig.subflows[B], WIDE)
        assert rig.moves() == []

    def test_not_once_the_first_has_proved_itself(self) -> None:
        rig = Rig(100, 50)
        rig.evaluate(20, 0)
        rig.chooser.on_first_answer(rig.now, rig.subflows[B], WIDE)
        assert rig.moves() == []

    def test_not_when_there_is_no_primary(self) -> None:
        rig = Rig(100, 50, config=Config(mode=Mode.POOLED))
        rig.chooser.on_first_answer(rig.now, rig.subflows[B], WIDE)
        assert rig.moves() == []


class TestReplace:
    def test_at_once_by_the_best_that_is_left(self) -> None:
        rig = Rig(50, 50, 50)
        rig.evaluate(20, 1, 5)
        rig.subflows[A].state = PathState.SUSPECT
        rig.chooser.replace(rig.now, WIDE, "suspect")
        assert rig.moves() == [(A, C, "suspect")]
        assert rig.shares() == [0, 0, 1]

    def test_not_while_it_is_usable(self) -> None:
        rig = Rig(50, 50)
        rig.chooser.replace(rig.now, WIDE, "suspect")
        assert rig.moves() == []

    def test_not_without_any_other(self) -> None:
        rig = Rig(50, 50)
        for subflow in rig.subflows:
            subflow.state = PathState.SUSPECT
        rig.chooser.replace(rig.now, WIDE, "suspect")
        assert rig.moves() == []


class TestAudition:
    """What a standby path could deliver is found out now and then."""

    def grown(self, seconds: float) -> list[tuple[int, int]]:
        """When the standby path was allowed to grow: (start, duration) in evaluations."""
        rig = Rig(50, 50)
        spells: list[tuple[int, int]] = []
        for count in range(int(seconds * SECOND / INTERVAL_NS)):
            rig.evaluate(20, 0.1)
            if rig.shares()[B]:
                if spells and sum(spells[-1]) == count:
                    spells[-1] = (spells[-1][0], spells[-1][1] + 1)
                else:
                    spells.append((count, 1))
        return spells

    def test_lasts_and_becomes_rarer(self) -> None:
        spells = self.grown(300)
        durations = {duration * INTERVAL_NS for _, duration in spells[1:]}
        assert durations == {AUDITION_NS}
        pauses = [
            (later[0] - earlier[0] - earlier[1]) * INTERVAL_NS
            for earlier, later in pairwise(spells)
        ]
        assert pauses == sorted(pauses)
        assert pauses[0] == pytest.approx(2 * AUDITION_FIRST_NS, abs=INTERVAL_NS)
        assert pauses[-1] == pytest.approx(AUDITION_RAREST_NS, abs=INTERVAL_NS)

    def test_counts_from_the_start_of_the_connection(self) -> None:
        """What the clock showed then, an hour after boot or a month, makes no difference."""
        stories = []
        for start in (1, 10, 5_000, 3_000_000):
            rig = Rig(50, 50, now=start * SECOND)
            stories.append([(rig.evaluate(20, 0.1), *rig.shares()) for _ in range(50)])
        assert stories == stories[:1] * 4
        grown = next(count for count, story in enumerate(stories[0]) if story[1 + B])
        assert grown * INTERVAL_NS == pytest.approx(AUDITION_FIRST_NS, abs=INTERVAL_NS)

    def test_what_it_shows_wins_it_the_primary(self) -> None:
        rig = Rig(50, 50)
        moved: Sequence[tuple[int, int, str]] = ()
        for _ in range(100):
            rig.subflows[B].limited = True
            rig.evaluate(20, 60 if rig.shares()[B] else 0.1)
            moved = rig.moves()
            if moved:
                break
        assert moved == [(A, B, "capacity")]
