"""DSACK pings: when a path is asked, and whose answer it is."""

from itertools import pairwise

import pytest

from omtcp.core.config import Config
from omtcp.core.pings import (
    EAGER_ATTEMPTS,
    EAGER_INTERVAL_NS,
    IDLE_ATTEMPTS,
    IDLE_INTERVAL_NS,
    RESTING_INTERVAL_NS,
    WAITING_MOST,
    Pings,
)
from omtcp.core.send_buffer import KEPT_BEHIND, SendBuffer
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, PingAnswered, PingSent

from .sending import MS, SECOND, make_subflow

CONFIG = Config(ping_interval_ns=100 * MS, slow_ping_interval_ns=5 * SECOND)
NOW = 10 * SECOND


class Rig:
    """Pings over `paths` paths, after `acked` bytes of a stream were acknowledged."""

    def __init__(self, *, paths: int = 2, acked: int = 1000, traced: bool = True) -> None:
        self.subflows: list[Subflow] = [make_subflow(i, rtt_ms=50) for i in range(paths)]
        self.buffer = SendBuffer()
        self.buffer.write(bytes(acked + 1000))
        self.buffer.release(acked)
        self.events: list[Event] = []
        report = self.events.append if traced else None
        self.pings = Pings(CONFIG, self.subflows, self.buffer, report)


class TestWhen:
    def test_an_idle_active_path_while_the_connection_is_busy(self) -> None:
        rig = Rig()
        a = rig.subflows[0]
        a.hear(NOW, 0)
        assert rig.pings.due_at(a, busy=True) == NOW + IDLE_INTERVAL_NS
        assert rig.pings.due_at(a, busy=False) is None
        a.send(NOW, 0, 100)
        assert rig.pings.due_at(a, busy=True) is None  # data asks as well as a ping

    def test_a_path_that_rests_more_often(self) -> None:
        rig = Rig()
        a, b = rig.subflows
        b.carrier = a
        rig.pings.send(NOW, b)
        assert rig.pings.due_at(b, busy=True) == NOW + RESTING_INTERVAL_NS
        a.state = PathState.SUSPECT
        rig.pings.send(NOW, b)
        assert rig.pings.due_at(b, busy=True) == NOW + IDLE_INTERVAL_NS

    @pytest.mark.parametrize(
        ("state", "interval"),
        [
            (PathState.ACTIVE, IDLE_INTERVAL_NS),
            (PathState.UNTRIED, CONFIG.ping_interval_ns),
            (PathState.PROBING, 50 * MS),
            (PathState.SUSPECT, 50 * MS),
            (PathState.DEFECTIVE, CONFIG.slow_ping_interval_ns),
        ],
    )
    def test_how_often(self, state: PathState, interval: int) -> None:
        rig = Rig()
        rig.subflows[1].state = state
        rig.pings.send(NOW, rig.subflows[1])
        assert rig.pings.due_at(rig.subflows[1], busy=True) == NOW + interval

    def test_a_silent_path_is_asked_once_per_round_trip_and_then_less_often(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        b.state = PathState.SUSPECT
        b.rtt.srtt_ns = 30 * MS
        waits = []
        now = NOW
        for _ in range(EAGER_ATTEMPTS + 3):
            rig.pings.send(now, b)
            at = rig.pings.due_at(b, busy=True)
            assert at is not None
            waits.append((at - now) // MS)
            now = at
        assert waits == [30] * EAGER_ATTEMPTS + [60, 100, 100]

    def test_but_not_all_the_time_on_a_path_with_no_delay(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        b.state = PathState.SUSPECT
        b.rtt.srtt_ns = MS
        rig.pings.send(NOW, b)
        assert rig.pings.due_at(b, busy=True) == NOW + EAGER_INTERVAL_NS

    def test_due_names_the_path(self) -> None:
        rig = Rig()
        a, b = rig.subflows
        a.hear(NOW, 0)
        b.state = PathState.SUSPECT
        assert rig.pings.due(NOW, busy=True) is b
        rig.pings.send(NOW, b)
        assert rig.pings.due(NOW, busy=True) is None
        assert rig.pings.due(NOW + CONFIG.ping_interval_ns, busy=True) is b

    def test_an_idle_connection_gives_up_after_some_attempts(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        b.state = PathState.SUSPECT
        for _ in range(IDLE_ATTEMPTS):
            assert rig.pings.due_at(b, busy=False) is not None
            rig.pings.send(NOW, b)
        assert rig.pings.due_at(b, busy=False) is None
        assert rig.pings.due_at(b, busy=True) is not None

    def test_hasten(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        b.state = PathState.SUSPECT
        rig.pings.send(NOW, b)
        rig.pings.hasten(NOW + MS, b)
        assert rig.pings.due_at(b, busy=True) == NOW + MS
        assert rig.pings.doubted_at(b) is None

    def test_doubt_begins_with_the_second_unanswered_ping(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        first = rig.pings.send(NOW, b)
        assert rig.pings.doubted_at(b) is None
        rig.pings.send(NOW + SECOND, b)
        rig.pings.send(NOW + 2 * SECOND, b)
        assert rig.pings.doubted_at(b) == NOW + SECOND
        rig.pings.answer(NOW + 2 * SECOND, first, first + 1)
        assert rig.pings.doubted_at(b) is None


class TestWhere:
    @pytest.mark.parametrize("acked", [0, 1, 2, KEPT_BEHIND - 1, KEPT_BEHIND, 1000])
    def test_below_the_left_edge_and_never_the_same_byte_soon(self, acked: int) -> None:
        """Were a byte asked for twice within a round trip, the answers could be confused."""
        rig = Rig(acked=acked)
        offsets = [rig.pings.send(NOW, rig.subflows[i % 2]) for i in range(KEPT_BEHIND)]
        assert all(acked - KEPT_BEHIND <= offset < acked for offset in offsets)
        assert len(set(offsets)) == KEPT_BEHIND
        assert all(rig.buffer.holds(offset) for offset in offsets if offset >= 0)

    def test_a_long_round_trip_is_measured_from_its_own_ping(self) -> None:
        """At the very start there is no acknowledged byte: the answer is still unmistakable."""
        rig = Rig(acked=0)
        b = Subflow(1, 1000, rig.subflows[1].controller, type(rig.subflows[1].rtt)())
        pings = Pings(CONFIG, [rig.subflows[0], b], rig.buffer, None)
        offsets = [pings.send(NOW + i * 100 * MS, b) for i in range(6)]
        for i, offset in enumerate(offsets):
            pings.answer(NOW + (i * 100 + 550) * MS, offset, offset + 1)
            assert b.rtt.latest_ns == 550 * MS


class TestAnswer:
    def test_is_a_sign_of_life_and_a_sample(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        offset = rig.pings.send(NOW, b)
        waiting_since = b.silent_since
        assert rig.pings.answer(NOW + 80 * MS, offset, offset + 1) is b
        assert (waiting_since, b.silent_since) == (NOW, None)
        assert (b.heard_at, b.heard_sent_at) == (NOW + 80 * MS, NOW)
        assert b.rtt.latest_ns == 80 * MS
        assert rig.events == [PingSent(1, offset, offset + 1), PingAnswered(1, 80 * MS)]

    def test_untraced(self) -> None:
        rig = Rig(traced=False)
        offset = rig.pings.send(NOW, rig.subflows[0])
        assert rig.pings.answer(NOW + MS, offset, offset + 1) is rig.subflows[0]
        assert rig.events == []

    def test_counts_once(self) -> None:
        rig = Rig()
        offset = rig.pings.send(NOW, rig.subflows[1])
        assert rig.pings.answer(NOW + MS, offset, offset + 1) is not None
        assert rig.pings.answer(NOW + MS, offset, offset + 1) is None

    def test_other_duplicates_are_none(self) -> None:
        rig = Rig()
        offset = rig.pings.send(NOW, rig.subflows[1])
        assert rig.pings.answer(NOW + MS, offset - 1, offset) is None
        assert rig.pings.answer(NOW + MS, offset, offset + 2) is None

    def test_each_path_gets_its_own(self) -> None:
        rig = Rig(paths=3)
        offsets = [rig.pings.send(NOW, subflow) for subflow in rig.subflows]
        for index in (2, 0, 1):
            answered = rig.pings.answer(NOW + MS, offsets[index], offsets[index] + 1)
            assert answered is rig.subflows[index]

    def test_no_sample_from_a_path_that_data_measures(self) -> None:
        """A ping among data waits in the data's queue and says no more than it."""
        rig = Rig()
        b = rig.subflows[1]
        offset = rig.pings.send(NOW, b)
        b.send(NOW, 1000, 1500)
        rig.pings.answer(NOW + 80 * MS, offset, offset + 1)
        assert b.rtt.latest_ns == 50 * MS
        assert b.silent_since == NOW + 80 * MS

    def test_whoever_compares_delays_is_told_of_all(self) -> None:
        rig = Rig()
        b = rig.subflows[1]
        told: list[tuple[int, Subflow, int]] = []
        rig.pings.measured = lambda now, subflow, rtt_ns: told.append((now, subflow, rtt_ns))
        offset = rig.pings.send(NOW, b)
        b.send(NOW, 1000, 1500)
        rig.pings.answer(NOW + 80 * MS, offset, offset + 1)
        assert told == [(NOW + 80 * MS, b, 80 * MS)]

    def test_one_without_any_sample_takes_it_even_so(self) -> None:
        rig = Rig()
        b = Subflow(1, 1000, rig.subflows[1].controller, type(rig.subflows[1].rtt)())
        pings = Pings(CONFIG, [b], rig.buffer, None)
        offset = pings.send(NOW, b)
        b.send(NOW, 1000, 1500)
        pings.answer(NOW + 80 * MS, offset, offset + 1)
        assert b.rtt.latest_ns == 80 * MS


def test_pings_follow_the_left_edge() -> None:
    rig = Rig(acked=1000)
    first = rig.pings.send(NOW, rig.subflows[0])
    rig.buffer.release(1500)
    later = [rig.pings.send(NOW, rig.subflows[0]) for _ in range(KEPT_BEHIND)]
    assert first < 1000
    assert all(1500 - KEPT_BEHIND <= offset < 1500 for offset in later)
    assert all(a != b for a, b in pairwise(later))


def test_pings_that_are_never_answered_are_forgotten_in_the_end() -> None:
    rig = Rig(acked=0)
    rig.buffer.write(bytes(2000))
    for step in range(2000):
        rig.buffer.release(step)
        rig.pings.send(NOW + step * SECOND, rig.subflows[0])
    assert len(rig.pings._waiting) <= WAITING_MOST
