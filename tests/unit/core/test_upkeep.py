"""What an established connection does as time passes."""

from __future__ import annotations

import pytest

from omtcp.core.composer import Composer
from omtcp.core.config import Config
from omtcp.core.paths import Paths
from omtcp.core.receive import Receiver
from omtcp.core.sender import Sender
from omtcp.core.timers import Timer, TimerTable
from omtcp.core.timestamps import OrderedTimestamps
from omtcp.core.upkeep import PROBE_MAX_NS, Upkeep
from omtcp.trace.events import Event, MetricsUpdated
from omtcp.wire.seq import seq_diff
from omtcp.wire.tcp import Segment

from .sending import MS, MSS, SECOND

CONFIG = Config(
    keepalive_ns=100 * SECOND,
    keepalive_interval_ns=10 * SECOND,
    keepalive_probes=4,
    user_timeout_ns=100 * SECOND,
)


class Rig:
    """The upkeep of a connection whose peer has not sent anything since, nor opened its window."""

    def __init__(self, *, written: int = 0, sampled: bool = False) -> None:
        self.now = 10 * SECOND
        self.events: list[Event] = []
        self.sender = Sender(
            CONFIG,
            Paths([MSS]),
            first=0,
            multipath=False,
            sack=True,
            random=lambda: 0.5,
            report=self.events.append,
        )
        self.sender.write(bytes(written))
        composer = Composer((80, 4000), 0, Receiver(1000, 1000), OrderedTimestamps(0))
        self.timers = TimerTable()
        self.outbox: list[tuple[int, Segment]] = []
        self.upkeep = Upkeep(
            CONFIG, self.sender, composer, self.timers, self.outbox, sampled=sampled
        )
        self.upkeep.begin(self.now)

    def expire(self, timer: Timer) -> str:
        """Let time pass until `timer` is due; why the connection is over then."""
        at = self.timers.get(timer)
        assert at is not None
        self.now = at
        self.timers.stop(timer)
        return self.upkeep.on_timer(at, timer)

    def asked(self) -> list[int]:
        """The places of the bytes that were repeated."""
        asked = [seq_diff(segment.seq, 1) for _, segment in self.outbox]
        assert all(segment.length == 1 for _, segment in self.outbox)
        self.outbox.clear()
        return asked


@pytest.mark.parametrize("timer", [Timer.PRIMARY, Timer.METRICS])
def test_intervals_end_with_the_data_and_begin_with_it(timer: Timer) -> None:
    rig = Rig(written=1000, sampled=True)
    assert rig.expire(timer) == ""
    assert rig.timers.get(timer) is not None
    rig.sender.board.una = rig.sender.buffer.end
    assert rig.expire(timer) == ""
    assert rig.timers.get(timer) is None
    rig.upkeep.arm(rig.now)
    assert rig.timers.get(timer) is not None


def test_samples_are_taken_for_whoever_traces() -> None:
    rig = Rig(sampled=True)
    rig.expire(Timer.METRICS)
    assert [type(event) for event in rig.events] == [MetricsUpdated]
    assert Rig().timers.get(Timer.METRICS) is None


class TestZeroWindow:
    """RFC 9293 section 3.8.6.1."""

    def test_it_is_asked_for_less_and_less_often(self) -> None:
        rig = Rig(written=1000)
        rig.upkeep.arm_persist(rig.now)
        waited = []
        for _ in range(9):
            before = rig.now
            rig.upkeep.on_heard(rig.now)
            assert rig.expire(Timer.PERSIST) == ""
            assert rig.asked() == [-1]
            waited.append(rig.now - before)
        assert waited[:4] == [1 * SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
        assert waited[-1] == PROBE_MAX_NS

    def test_data_that_leaves_ends_that(self) -> None:
        rig = Rig(written=1000)
        rig.upkeep.arm_persist(rig.now)
        rig.upkeep.on_data()
        assert rig.timers.get(Timer.PERSIST) is None
        rig.upkeep.arm_persist(rig.now)
        assert rig.timers.get(Timer.PERSIST) == rig.now + SECOND

    def test_nothing_is_asked_for_what_is_no_longer_waited_for(self) -> None:
        rig = Rig(written=1000)
        rig.upkeep.arm_persist(rig.now)
        rig.sender.board.una = rig.sender.buffer.end
        assert rig.expire(Timer.PERSIST) == ""
        assert rig.asked() == []

    def test_a_silly_window_is_used_at_last(self) -> None:
        rig = Rig(written=1000)
        rig.sender.window.right = 10
        rig.upkeep.arm_persist(rig.now)
        assert rig.expire(Timer.PERSIST) == ""
        assert rig.sender.window.override
        assert rig.asked() == []

    def test_nobody_answers(self) -> None:
        rig = Rig(written=1000)
        rig.upkeep.arm_persist(rig.now)
        while not (why := rig.expire(Timer.PERSIST)):
            assert rig.now < 110 * SECOND
        assert why == "the peer's window stays closed"
        assert rig.now >= 110 * SECOND


class TestKeepAlive:
    """RFC 9293 section 3.8.4."""

    def test_a_peer_that_was_heard_is_not_asked(self) -> None:
        rig = Rig()
        rig.upkeep.on_heard(50 * SECOND)
        assert rig.expire(Timer.KEEPALIVE) == ""
        assert rig.asked() == []
        assert rig.timers.get(Timer.KEEPALIVE) == 150 * SECOND

    def test_nor_one_that_owes_us_an_answer_anyway(self) -> None:
        rig = Rig(written=1000)
        assert rig.expire(Timer.KEEPALIVE) == ""
        assert rig.asked() == []
        assert rig.timers.get(Timer.KEEPALIVE) == rig.now + SECOND

    def test_a_silent_one_is_asked_and_then_given_up(self) -> None:
        rig = Rig()
        for _ in range(4):
            assert rig.expire(Timer.KEEPALIVE) == ""
            assert rig.asked() == [-1]
        assert rig.expire(Timer.KEEPALIVE) == "the peer is gone"
        assert rig.now == (10 + 100 + 40) * SECOND

    def test_an_answer_counts(self) -> None:
        rig = Rig()
        for _ in range(4):
            rig.expire(Timer.KEEPALIVE)
        rig.upkeep.on_heard(rig.now + 50 * MS)
        assert rig.expire(Timer.KEEPALIVE) == ""
        assert rig.timers.get(Timer.KEEPALIVE) == (140 + 100) * SECOND + 50 * MS
