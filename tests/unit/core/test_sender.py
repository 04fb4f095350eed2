"""The send half as a whole: plans, acknowledgments, pings, the host's news, the stream's end."""

from collections.abc import Iterable

import pytest

from omtcp.core.config import Config, Mode, PrimaryRule
from omtcp.core.losses import Kind
from omtcp.core.membership import ROTATE_AFTER
from omtcp.core.paths import Paths
from omtcp.core.primary import TRIED, loss_of, record_of
from omtcp.core.send_buffer import KEPT_BEHIND
from omtcp.core.sender import Sender
from omtcp.core.subflow import PathState
from omtcp.core.transmission import PING, Plan
from omtcp.trace.events import (
    Event,
    LossDetected,
    MetricsUpdated,
    PathChosen,
    PathSuspect,
    PingSent,
    Retransmission,
)

from .sending import MS, MSS, SECOND, settle_rtt

A, B = 0, 1
WIDE = 1 << 40
LITERAL = Config(congestion="reno", primary_rule=PrimaryRule.LITERAL)
"""For this rule alone losses are counted."""


class Rig:
    """A sender; paths with a round trip given have answered before."""

    def __init__(
        self,
        *rtts_ms: float,
        config: Config | None = None,
        first: int = 0,
        multipath: bool = True,
        sack: bool = True,
        down: Iterable[int] = (),
        traced: bool = True,
        written: int = 1000,
        settled: bool = True,
    ) -> None:
        self.now = 10 * SECOND
        self.events: list[Event] = []
        self.paths = Paths([MSS] * len(rtts_ms))
        for path in down:
            self.paths[path].up = False
        self.sender = Sender(
            config or Config(congestion="reno"),
            self.paths,
            first=first,
            multipath=multipath,
            sack=sack,
            random=lambda: 0.25,
            report=self.events.append if traced else None,
        )
        self.sender.transmission.gather()
        for subflow in self.sender.subflows:
            if rtts_ms[subflow.index]:
                settle_rtt(subflow, rtts_ms[subflow.index], now=self.now)
                subflow.state = PathState.ACTIVE
                subflow.hear(self.now, 0)
        if settled:  # the primary has proved itself
            chooser = self.sender.chooser
            record_of(chooser.primary).tried = TRIED
        self.sender.window.right = WIDE
        self.sender.write(bytes(written * MSS))

    def window(self, path: int, segments: float) -> None:
        controller = self.sender.subflows[path].controller
        controller.cwnd = controller.ssthresh = int(segments * MSS)

    def poll(self, limit: int = 100) -> list[Plan]:
        plans: list[Plan] = []
        while len(plans) < limit and (plan := self.sender.transmission.poll(self.now)) is not None:
            plans.append(plan)
        return plans

    def sent(self) -> list[tuple[int, float, float, str]]:
        """What it sends now: path, range in segments, kind."""
        return [
            (plan.subflow.index, plan.start / MSS, plan.end / MSS, plan.kind)
            for plan in self.poll()
        ]

    def data(self) -> list[tuple[int, float, float, str]]:
        """The same without pings."""
        return [plan for plan in self.sent() if plan[3] != PING]

    def ack(self, segments: float, *blocks: tuple[float, float]) -> None:
        edges = [(round(start * MSS), round(end * MSS)) for start, end in blocks]
        self.sender.on_ack(self.now, round(segments * MSS), edges)
        self.sender.settle(self.now)

    def wait(self, ms: float) -> None:
        self.now += int(ms * MS)

    def run(self, ms: float) -> None:
        """Let time pass and serve the timers on the way; what is sent vanishes."""
        until = self.now + int(ms * MS)
        while (at := self.sender.deadline(self.now)) is not None and at <= until:
            self.now = max(at, self.now)
            assert self.sender.on_timers(self.now)
            self.sender.settle(self.now)
            self.poll()
        self.now = until

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class TestStream:
    def test_a_fin_takes_the_place_behind_the_last_byte(self) -> None:
        rig = Rig(50, written=2)
        rig.window(A, 200)
        sender = rig.sender
        assert (sender.window.end, sender.window.busy) == (2 * MSS, True)
        sender.close()
        assert sender.window.end == 2 * MSS + 1
        assert [plan[:3] for plan in rig.data()] == [(A, 0, 2.001)]
        rig.ack(2)
        assert (sender.window.fin_acked, sender.window.busy) == (False, True)
        rig.ack(2.001)
        assert (sender.window.fin_acked, sender.window.busy) == (True, False)

    def test_nothing_to_send(self) -> None:
        rig = Rig(50, written=0)
        assert rig.poll() == []
        assert not rig.sender.window.busy
        assert rig.sender.deadline(rig.now) is None

    def test_what_is_acknowledged_is_released(self) -> None:
        rig = Rig(50, written=3)
        rig.poll()
        rig.ack(2)
        assert rig.sender.buffer.released == 2 * MSS

    def test_a_later_fin_goes_alone(self) -> None:
        rig = Rig(50, written=1)
        rig.poll()
        rig.sender.close()
        assert rig.data() == [(A, 1, 1.001, "")]

    def test_pings_stop_with_the_acknowledged_fin(self) -> None:
        rig = Rig(50, 0, written=1)
        rig.sender.close()
        rig.poll()
        rig.ack(1.001)
        rig.wait(10_000)
        assert rig.poll() == []


class TestPaths:
    def test_others_are_pinged_before_they_carry_data(self) -> None:
        rig = Rig(50, 0)
        rig.window(A, 4)
        plans = rig.sent()
        assert [plan[0] for plan in plans if plan[3] == ""] == [A, A]
        assert [plan[0] for plan in plans if plan[3] == PING] == [B]
        assert rig.of(PingSent)

    def test_and_carry_data_once_they_answered(self) -> None:
        rig = Rig(50, 0)
        rig.window(A, 4)
        ping = next(plan for plan in rig.poll() if plan.kind == PING)
        rig.wait(50)
        rig.sender.on_ack(rig.now, 0, [(ping.start, ping.end)])
        rig.sender.settle(rig.now)
        assert rig.sender.subflows[B].usable
        assert rig.sender.subflows[B].rtt.srtt_ns == 50 * MS
        assert {plan[0] for plan in rig.data()} == {B}

    def test_a_nearer_one_is_begun_with(self) -> None:
        rig = Rig(100, 0)
        ping = next(plan for plan in rig.poll() if plan.kind == PING)
        rig.wait(20)
        rig.sender.on_ack(rig.now, 0, [(ping.start, ping.end)])
        assert rig.sender.chooser.primary.index == B

    def test_the_handshake_s_path_is_the_first_primary(self) -> None:
        sender = Rig(0, 0, 0, first=2).sender
        assert sender.chooser.primary.index == 2
        assert [subflow.usable for subflow in sender.subflows] == [False, False, True]

    def test_without_multipath_there_is_one_subflow(self) -> None:
        """P1."""
        rig = Rig(0, 0, 0, first=2, multipath=False, sack=False, written=2)
        assert [subflow.index for subflow in rig.sender.subflows] == [2]
        assert rig.sent() == [(2, 0, 2, "")]
        rig.wait(60_000)
        assert rig.poll() == []  # and no pings

    def test_the_best_is_the_primary_or_the_anchor_of_the_pool(self) -> None:
        assert Rig(100, 50).sender.best.index == A
        rig = Rig(100, 50, config=Config(mode=Mode.POOLED))
        assert rig.sender.pool is not None
        rig.sender.pool.anchor = rig.sender.subflows[B]
        assert rig.sender.best.index == B
        for subflow in rig.sender.subflows:
            subflow.state = PathState.SUSPECT
        assert rig.sender.best.index == B

    def test_a_guessed_primary_waits_for_the_nearest(self) -> None:
        rig = Rig(100, 50, written=2, settled=False)
        assert rig.data() == [(B, 0, 2, "")]
        assert Rig(100, 50, written=2).data() == [(A, 0, 2, "")]


class TestReceiveWindow:
    def test_whole_segments_within_it(self) -> None:
        rig = Rig(50)
        rig.sender.window.right = 3500
        assert [plan[1:3] for plan in rig.data()] == [(0, 2), (2, 3)]
        assert not rig.sender.subflows[A].limited
        assert rig.sender.window.size == 3500

    def test_a_fin_alone_needs_no_room(self) -> None:
        rig = Rig(50, written=2)
        rig.sender.window.right = 2 * MSS
        rig.sender.close()
        rig.data()
        assert rig.sender.board.nxt == 2 * MSS + 1

    def test_a_silly_rest_waits(self) -> None:
        rig = Rig(50)
        rig.sender.window.right = rig.sender.window.largest = 1900
        assert [plan[1:3] for plan in rig.data()] == [(0, 1)]
        rig.sender.window.right = 2900
        rig.ack(1)
        assert [plan[1:3] for plan in rig.data()] == [(1, 2)]

    def test_a_window_of_less_than_a_segment_is_used_if_it_is_half_of_the_largest(self) -> None:
        rig = Rig(50)
        rig.sender.window.right = rig.sender.window.largest = 600
        assert [plan[1:3] for plan in rig.data()] == [(0, 0.6)]

    def test_a_smaller_one_when_patience_is_over(self) -> None:
        rig = Rig(50)
        rig.sender.window.right, rig.sender.window.largest = 100, 60_000
        assert rig.data() == []
        assert rig.sender.window.stalled
        rig.sender.window.override = True
        assert [plan[1:3] for plan in rig.data()] == [(0, 0.1)]
        assert not rig.sender.window.override

    def test_a_window_taken_back_holds_the_lost_data_too(self) -> None:
        rig = Rig(50)
        rig.window(A, 10)
        rig.data()
        rig.sender.window.right = 0
        rig.wait(250)
        rig.sender.on_timers(rig.now)
        assert rig.data() == []
        assert rig.sender.window.stalled
        rig.sender.window.right = WIDE
        assert rig.data()[0][1:] == (0, 1, "timeout")


class TestAcknowledgments:
    def test_a_dsack_below_the_left_edge(self) -> None:
        rig = Rig(50, 0)
        ping = next(plan for plan in rig.poll() if plan.kind == PING)
        rig.sender.on_ack(rig.now + MS, MSS, [(ping.start, ping.end), (2 * MSS, 3 * MSS)])
        assert rig.sender.subflows[B].usable
        assert list(rig.sender.board.sacked) == [(2 * MSS, 3 * MSS)]

    def test_a_dsack_within_the_second_block_is_no_news(self) -> None:
        rig = Rig(50)
        rig.poll()
        rig.ack(0, (3, 4))
        rig.ack(0, (3, 3.5), (3, 5))
        assert list(rig.sender.board.sacked) == [(3 * MSS, 5 * MSS)]

    def test_a_first_block_of_its_own_is_none(self) -> None:
        rig = Rig(50)
        rig.window(A, 20)
        rig.poll()
        rig.ack(0, (3, 4), (7, 9))
        assert rig.sender.subflows[A].delivered == 3 * MSS

    def test_a_block_beyond_all_that_was_sent_is_nonsense(self) -> None:
        rig = Rig(50)
        rig.window(A, 10)
        rig.poll()
        rig.ack(0, (9, 11))
        assert list(rig.sender.board.sacked) == []

    def test_each_path_is_credited_with_what_it_carried(self) -> None:
        """P2, and the loss estimate of P8 hears of it."""
        rig = Rig(50, 50, config=LITERAL)
        rig.window(A, 4)
        rig.window(B, 4)
        assert [plan[:3] for plan in rig.data()] == [(A, 0, 2), (A, 2, 4), (B, 4, 6), (B, 6, 8)]
        rig.wait(50)
        rig.ack(2, (4, 7))
        assert [subflow.delivered for subflow in rig.sender.subflows] == [2 * MSS, 3 * MSS]
        observed = [loss_of(subflow).observed_bytes for subflow in rig.sender.subflows]
        assert observed == [2 * MSS, 3 * MSS]

    def test_settling_without_news_changes_nothing(self) -> None:
        rig = Rig(50)
        rig.poll()
        rig.sender.settle(rig.now)
        assert rig.sender.subflows[A].in_flight == rig.sender.board.nxt


class TestRetransmission:
    def lossy(self, config: Config | None = None) -> Rig:
        """A's first segment is lost, the rest of its window arrived."""
        rig = Rig(50, 50, config=config)
        rig.window(A, 10)
        rig.window(B, 2)
        rig.data()
        rig.wait(50)
        rig.ack(0, (1, 10))
        return rig

    def test_lost_data_goes_before_new_data(self) -> None:
        rig = self.lossy()
        plans = rig.data()
        assert plans[0] == (A, 0, 1, Kind.FAST)
        assert plans[1][3] == ""
        assert Retransmission(A, A, 0, MSS, "fast") in rig.events

    def test_over_another_path_if_the_best_is_full(self) -> None:
        rig = self.lossy()
        rig.sender.subflows[A].in_flight += 100 * MSS
        rig.window(B, 20)
        assert rig.data()[0] == (B, 0, 1, Kind.FAST)
        assert Retransmission(B, A, 0, MSS, "fast") in rig.events

    def test_not_beyond_a_full_window(self) -> None:
        rig = self.lossy()
        for subflow in rig.sender.subflows:
            subflow.in_flight += 100 * MSS
        assert rig.data() == []
        for subflow in rig.sender.subflows:
            subflow.in_flight -= 100 * MSS

    def test_a_reduction_is_a_loss_event_of_its_path(self) -> None:
        rig = self.lossy(LITERAL)
        events = [loss_of(subflow).events for subflow in rig.sender.subflows]
        assert events == [1, 0]

    def test_a_timeout_is_one_too(self) -> None:
        rig = Rig(50, config=LITERAL)
        rig.poll()
        rig.wait(250)
        rig.sender.on_timers(rig.now)
        assert loss_of(rig.sender.subflows[A]).events == 1

    def test_so_is_a_loss_found_by_time(self) -> None:
        rig = Rig(40, config=LITERAL)
        rig.window(A, 2)
        rig.poll()
        rig.wait(40)
        rig.ack(0, (1, 2))
        rig.wait(10)
        rig.sender.on_timers(rig.now)
        assert rig.of(LossDetected)
        assert loss_of(rig.sender.subflows[A]).events == 1

    def test_a_probe_asks_another_path(self) -> None:
        rig = Rig(50, 50)
        rig.window(A, 10)
        rig.window(B, 2)
        rig.data()
        rig.wait(76)
        rig.sender.subflows[B].in_flight = 0  # idle, so not to be compared with
        rig.sender.subflows[B].sends.clear()
        rig.sender.on_timers(rig.now)
        kinds = [(plan[0], plan[3]) for plan in rig.data()]
        assert (B, Kind.PROBE) in kinds
        assert (A, Kind.PROBE) not in kinds


class TestSilence:
    def test_a_silent_primary_is_replaced_and_its_data_goes_on(self) -> None:
        rig = Rig(50, 50)
        rig.window(A, 10)
        rig.window(B, 40)
        rig.data()
        rig.wait(74)
        rig.ack(0, (10, 11))
        rig.wait(1)
        rig.sender.settle(rig.now)
        assert rig.of(PathSuspect)
        assert rig.sender.chooser.primary.index == B
        assert next((plan[0], plan[3]) for plan in rig.data()) == (B, Kind.SUSPECT)

    def test_slow_retransmit_looks_at_the_helper_s_window(self) -> None:
        """P4: B's window is what the space left must be less than, however small A's is."""
        rig = Rig(80, 50, config=Config(suspect_floor_ns=60 * MS))
        rig.window(A, 2)
        rig.window(B, 40)
        paths = {plan[0] for plan in rig.data()}
        assert paths == {A, B}
        rig.wait(112)
        rig.sender.window.right = rig.sender.board.nxt + 30 * MSS
        held = next(s.start for _, _, s in rig.sender.board.flights if s.subflow.index == B)
        rig.sender.on_ack(rig.now, rig.sender.board.una, [(held, held + MSS)])
        rig.sender.settle(rig.now)
        assert rig.sender.subflows[A].state is PathState.SUSPECT
        assert rig.sender.board.lost.values[0].lost_by == Kind.SLOW

    def test_all_defective_is_the_end(self) -> None:
        """P5."""
        rig = Rig(50, 50, config=Config(user_timeout_ns=2 * SECOND))
        rig.poll()
        alive = True
        for _ in range(1000):
            rig.now = rig.sender.deadline(rig.now) or rig.now
            alive = rig.sender.on_timers(rig.now)
            if not alive:
                break
            rig.sender.settle(rig.now)
            rig.poll()
        assert not alive
        assert rig.now <= 13 * SECOND

    def test_a_defective_path_gives_its_data_back(self) -> None:
        """Not at its next retransmission timeout, which may be a minute away by then."""
        rig = Rig(50, 0, config=Config(user_timeout_ns=SECOND))
        rig.window(A, 10)
        rig.poll()
        rig.run(999)
        rig.sender.subflows[B].silent_since = None
        rig.now += 2 * MS
        assert rig.sender.on_timers(rig.now)
        a = rig.sender.subflows[A]
        assert (a.state, a.in_flight) == (PathState.DEFECTIVE, 0)
        assert rig.sender.board.lost.total == rig.sender.board.nxt


class TestHostsNews:
    def test_a_link_that_is_down_is_left_at_once(self) -> None:
        rig = Rig(50, 50)
        rig.window(A, 10)
        rig.poll(5)
        rig.sender.on_path(rig.now, A, up=False)
        assert rig.sender.chooser.primary.index == B
        assert rig.data()[0][:2] == (B, 0)

    def test_the_last_usable_one_is_kept(self) -> None:
        rig = Rig(50, 0)
        rig.poll()
        rig.sender.on_path(rig.now, A, up=False)
        assert rig.sender.subflows[A].usable

    def test_what_was_sent_before_does_not_prove_it_up(self) -> None:
        rig = Rig(50, 50)
        rig.window(A, 10)
        rig.data()
        rig.wait(10)
        rig.sender.on_path(rig.now, A, up=False)
        rig.wait(5)
        rig.ack(10)
        assert rig.sender.subflows[A].state is PathState.SUSPECT

    def test_one_that_is_up_again_is_asked(self) -> None:
        rig = Rig(50, 50)
        rig.sender.on_path(rig.now, B, up=False)
        rig.poll()
        rig.wait(1)
        rig.sender.on_path(rig.now, B, up=True)
        assert [plan[0] for plan in rig.sent() if plan[3] == PING] == [B]

    def test_news_of_a_stranger(self) -> None:
        rig = Rig(50, 50, multipath=False)
        rig.sender.on_path(rig.now, B, up=False)
        assert rig.sender.subflows[A].index == A


class TestOnePathAtATime:
    def test_two_timeouts_in_a_row_try_the_next(self) -> None:
        rig = Rig(50, 0, multipath=False)
        subflow = rig.sender.subflows[0]
        for count in range(1, ROTATE_AFTER + 1):
            assert subflow.index == A
            rig.poll()
            rig.now = subflow.rto_at or 0
            rig.sender.on_timers(rig.now)
            assert subflow.timeouts == count % ROTATE_AFTER
        assert subflow.index == B
        assert rig.of(PathChosen) == [PathChosen(B, -1, "timeout", ())]
        assert rig.data()[0][0] == B

    def test_unless_it_is_down_or_there_is_none(self) -> None:
        for rig in (Rig(50, 0, multipath=False, down={B}), Rig(50)):
            subflow = rig.sender.subflows[0]
            for _ in range(4):
                rig.poll()
                rig.now = subflow.rto_at or 0
                rig.sender.on_timers(rig.now)
            assert subflow.index == A

    def test_the_host_s_news_is_quicker(self) -> None:
        rig = Rig(50, 0, multipath=False, traced=False)
        rig.window(A, 40)
        rig.poll()
        rig.sender.on_path(rig.now, A, up=False)
        subflow = rig.sender.subflows[0]
        assert subflow.index == B
        assert subflow.controller.cwnd == 10 * MSS
        assert rig.data()[0][:2] == (B, 0)


class TestPathMtu:
    def test_what_was_too_big_goes_out_smaller(self) -> None:
        rig = Rig(50)
        rig.window(A, 12)
        rig.data()
        rig.sender.on_too_big(rig.now, 5 * MSS, 600)
        a = rig.sender.subflows[A]
        assert (a.mss, a.in_flight, a.controller.cwnd) == (600, 0, 12 * MSS)
        assert rig.data()[0][1:3] == (0, 1.2)

    def test_a_larger_size_is_no_news(self) -> None:
        rig = Rig(50)
        rig.data()
        in_flight = rig.sender.subflows[A].in_flight
        rig.sender.on_too_big(rig.now, 0, 9000)
        assert (rig.sender.subflows[A].mss, rig.sender.subflows[A].in_flight) == (MSS, in_flight)

    def test_nor_is_one_about_data_that_arrived(self) -> None:
        rig = Rig(50)
        rig.data()
        rig.ack(1)
        rig.sender.on_too_big(rig.now, 0, 600)
        assert rig.sender.subflows[A].mss == MSS


class TestIdleness:
    def test_after_a_pause_windows_start_small(self) -> None:
        rig = Rig(50, written=40)
        rig.window(A, 40)
        rig.data()
        while rig.sender.subflows[A].paced:
            rig.now = rig.sender.subflows[A].pacer.ready_at()
            rig.data()
        rig.wait(50)
        rig.ack(40)
        rig.wait(1000)
        rig.sender.write(bytes(100 * MSS))
        rig.data()
        assert rig.sender.subflows[A].controller.cwnd == 10 * MSS

    def test_not_before_the_first_data(self) -> None:
        rig = Rig(50)
        rig.window(A, 40)
        rig.poll(1)
        assert rig.sender.subflows[A].controller.cwnd == 40 * MSS

    def test_a_standby_path_is_pinged_while_there_is_work(self) -> None:
        rig = Rig(50, 50)
        rig.window(A, 4)
        rig.sender.window.right = 2 * MSS
        rig.data()
        deadline = rig.sender.deadline(rig.now)
        assert deadline is not None
        rig.wait(500)
        assert (B, PING) in [(plan[0], plan[3]) for plan in rig.sent()]


def test_evaluation_says_when_the_next_is_due() -> None:
    rig = Rig(50, 50)
    assert rig.sender.evaluate(rig.now) == 225 * MS  # a quarter into 200..300


def test_metrics_of_every_subflow() -> None:
    rig = Rig(50, 100)
    rig.poll()
    rig.sender.report_metrics()
    a, b = rig.of(MetricsUpdated)
    assert a == MetricsUpdated(
        path=A,
        cwnd=10 * MSS,
        ssthresh=1 << 40,
        srtt_ns=50 * MS,
        in_flight=rig.sender.subflows[A].in_flight,
        delivered=0,
        state="active",
        primary=True,
    )
    assert isinstance(b, MetricsUpdated)
    assert not b.primary


def test_untraced() -> None:
    rig = Rig(50, 0, traced=False)
    rig.sender.report_metrics()
    rig.window(A, 10)
    rig.data()
    rig.wait(50)
    rig.ack(0, (1, 10))
    assert rig.data()[0] == (A, 0, 1, Kind.FAST)
    assert rig.events == []


@pytest.mark.parametrize("offset", [-1, -KEPT_BEHIND])
def test_a_ping_s_answer_before_any_data_is_acknowledged(offset: int) -> None:
    """The byte lies before the stream; the receiver calls it a duplicate like any other."""
    rig = Rig(50, 0)
    while (ping := rig.sender.pings.send(rig.now, rig.sender.subflows[B])) != offset:
        assert ping < 0
    rig.sender.on_ack(rig.now + MS, 0, [(offset, offset + 1)])
    assert rig.sender.subflows[B].usable
