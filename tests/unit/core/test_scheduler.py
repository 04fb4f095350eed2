"""Which path carries the next bytes: order, the receive window, the tail, the pacer."""

import pytest

from omtcp.core.scheduler import (
    Refusal,
    carriers,
    for_new_data,
    for_retransmission,
    in_order,
)
from omtcp.core.subflow import RUN, PathState, Subflow
from omtcp.wire.train import super_segment_size

from .sending import MS, MSS, SECOND, make_subflow

PLENTY = 1 << 30
NOW = 10 * SECOND


def path(index: int, rtt_ms: float, *, cwnd: int = 20, in_flight: int = 0) -> Subflow:
    """A path with its windows in segments, filled for a moment now."""
    made = make_subflow(index, rtt_ms=rtt_ms, cwnd=cwnd * MSS)
    made.in_flight = in_flight * MSS
    return made


def exhaust_pacer(subflow: Subflow) -> None:
    subflow.pace(1 << 30)
    assert subflow.pacer.ready(NOW, MSS)
    subflow.pacer.on_sent(1 << 20)


def new_data(
    *paths: Subflow, remaining: int = PLENTY, window: int = PLENTY
) -> tuple[int | None, int]:
    """Index of the chosen path and the bytes it takes."""
    subflow, room = for_new_data(NOW, list(paths), remaining=remaining, window_size=window)
    return (subflow.index if subflow else None), room


class TestOrder:
    def test_the_primary_first_then_the_nearest(self) -> None:
        a, b, c = path(0, 20), path(1, 50), path(2, 10)
        assert in_order([a, b, c], b) == [b, c, a]

    def test_without_a_primary_the_nearest_first(self) -> None:
        a, b = path(0, 50), path(1, 20)
        assert in_order([a, b], None) == [b, a]

    def test_a_path_in_timeout_last_even_the_primary(self) -> None:
        a, b = path(0, 20), path(1, 50)
        a.timeouts = 1
        assert in_order([a, b], a) == [b, a]

    def test_only_usable_paths(self) -> None:
        a, b, c, d = (path(index, 20) for index in range(4))
        b.state, c.state, d.state = PathState.UNTRIED, PathState.SUSPECT, PathState.DEFECTIVE
        assert in_order([a, b, c, d], b) == [a]
        a.state = PathState.SUSPECT
        assert in_order([a, b, c, d], b) == []


class TestNewData:
    def test_nothing_without_a_path(self) -> None:
        assert new_data() == (None, 0)

    def test_one_burst_in_whole_segments(self) -> None:
        a = path(0, 10, cwnd=100)  # 10 segments a millisecond
        assert new_data(a) == (0, 10 * MSS)
        assert new_data(a, remaining=10_500) == (0, 10 * MSS)

    def test_a_few_bursts_where_nothing_is_paced(self) -> None:
        a = path(0, 10, cwnd=3000)
        burst = a.quantum
        assert new_data(a) == (0, burst)
        a.pace(PLENTY)  # 300 MB/s
        assert new_data(a) == (0, RUN * super_segment_size(MSS) // burst * burst)
        a.in_flight = 3000 * MSS - (2 * burst + 1500)
        assert new_data(a) == (0, 2 * burst)
        a.in_flight = 3000 * MSS - (burst - 1)
        assert new_data(a) == (None, 0)

    def test_bursts_that_would_follow_at_once_go_together(self) -> None:
        a = path(0, 10, cwnd=2000)
        burst = a.quantum
        assert burst >= super_segment_size(MSS)
        a.pace(PLENTY)
        now = SECOND  # the bucket is full: milliseconds at 240 MB/s
        _, room = for_new_data(now, [a], remaining=PLENTY, window_size=PLENTY)
        assert room == 2 * burst
        a.send(now, 0, room)
        assert for_new_data(now, [a], remaining=PLENTY, window_size=PLENTY) == (None, 0)
        assert a.pacer.tokens <= 0
        assert a.pacer.tokens > -burst

    def test_the_end_of_the_data_as_it_is(self) -> None:
        a = path(0, 100, cwnd=11)
        assert new_data(a, remaining=1234) == (0, 2 * MSS)  # the caller clips it
        a.controller.cwnd = 10 * MSS - 500
        a.in_flight = 8 * MSS
        assert new_data(a, remaining=1234) == (0, 1500)
        assert new_data(a, remaining=1600) == (None, 0)

    def test_no_further_than_the_window(self) -> None:
        assert new_data(path(0, 10, cwnd=3)) == (0, 2 * MSS)
        assert new_data(path(0, 10, cwnd=20, in_flight=19), remaining=1) == (0, MSS)

    def test_a_full_window_waits(self) -> None:
        a = path(0, 50, in_flight=20)
        assert new_data(a) == (None, 0)
        assert a.limited

    def test_small_gaps_wait_until_they_make_a_burst(self) -> None:
        a = path(0, 10, cwnd=100, in_flight=95)
        assert new_data(a) == (None, 0)
        assert new_data(a, remaining=2 * MSS) == (0, 5 * MSS)  # nothing would come behind it

    def test_pairs_stay_pairs(self) -> None:
        a = path(0, 100, cwnd=6, in_flight=4)
        assert new_data(a) == (0, 2 * MSS)
        a.in_flight = 5 * MSS  # after the repetition of a single segment
        assert new_data(a) == (0, MSS)
        a.in_flight, a.controller.cwnd = 4 * MSS, 5 * MSS
        assert new_data(a) == (None, 0)

    def test_an_empty_path_may_always_send_one_segment(self) -> None:
        a = path(0, 50, cwnd=20)
        a.controller.cwnd = MSS // 2
        assert new_data(a) == (0, MSS)

    def test_the_next_path_when_the_best_is_full(self) -> None:
        a, b = path(0, 20, in_flight=20), path(1, 30)
        assert new_data(a, b) == (1, 2 * MSS)
        assert a.limited

    def test_the_pacer_counts_as_a_full_window(self) -> None:
        a, b = path(0, 20), path(1, 30)
        exhaust_pacer(a)
        assert new_data(a, b)[0] == 1
        assert a.paced
        assert a.pacer.ready_at() > NOW


class TestReceiveWindow:
    def test_the_best_path_is_never_refused(self) -> None:
        a, b = path(0, 10, cwnd=20, in_flight=20), path(1, 100)
        new_data(a, b, window=30 * MSS)
        assert b.refusal == Refusal.WINDOW
        new_data(b, a, window=30 * MSS)
        assert not b.refusal

    def test_a_path_that_answers_at_once(self) -> None:
        a, b = path(0, 10, cwnd=20, in_flight=20), path(1, 0)
        assert not b.rtt.srtt_ns
        assert new_data(a, b)[0] == 1

    """Data on a slower path must not make the receiver's buffer the bottleneck."""

    def test_a_slow_path_is_left_out_when_the_better_one_needs_the_window(self) -> None:
        a, b = path(0, 80, in_flight=20), path(1, 150)
        assert new_data(a, b, window=32 << 10) == (None, 0)
        assert new_data(a, b, window=1 << 20)[0] == 1

    def test_what_the_better_path_sends_meanwhile_is_counted(self) -> None:
        """Until 2·MSS arrive over B in 100 ms, A sends its 20 segments twice."""
        a, b = path(0, 50, in_flight=20), path(1, 100)
        assert new_data(a, b, window=42 * MSS)[0] == 1
        assert new_data(a, b, window=42 * MSS - 1)[0] is None
        assert b.refusal == Refusal.WINDOW

    def test_a_queue_on_the_slow_path_counts_as_distance(self) -> None:
        """2·MSS more, at what it was seen to deliver, take 200 ms and not one round trip."""
        a, b = path(0, 50, in_flight=20), path(1, 60)
        b.rate.on_sample(NOW, MSS, 100_000_000, 60_000_000)
        assert new_data(a, b, window=82 * MSS)[0] == 1
        assert new_data(a, b, window=82 * MSS - 1)[0] is None

    def test_what_adds_less_than_it_delays_is_left_out(self) -> None:
        """A sends 400 segments a second; B comes 100 ms later, and would have to add 4 of them."""
        a, b = path(0, 50, in_flight=20), path(1, 150)
        b.has_lost = True
        b.rate.on_sample(NOW, 5 * MSS, 1_000_000_000, 150_000_000)
        b.rate.on_sample(NOW, 3 * MSS, 1_000_000_000, 150_000_000)
        assert b.arrival_ns(2 * MSS) == 400_000_000  # so it takes 14
        assert new_data(a, b)[0] is None
        assert b.refusal == Refusal.DELAY

    def test_nor_what_could_not_add_more_for_want_of_window(self) -> None:
        """B is as yet unknown; but 2 segments of room in 400 ms are not worth a delay of 350 ms.

        A sends 400 segments a second: 140 in that time, which 5 a second make up for in 28 s.
        """
        a, b = path(0, 50, in_flight=20), path(1, 400)
        assert new_data(a, b, window=162 * MSS)[0] is None
        assert b.refusal == Refusal.DELAY
        assert new_data(a, b, window=168 * MSS)[0] == 1
        b.chance_until = NOW + 1
        assert new_data(a, b)[0] == 1
        b.chance_until = 0
        b.rate.on_sample(NOW, 40 * MSS, 1_000_000_000, 150_000_000)
        assert new_data(a, b)[0] == 1
        assert not b.refusal

    def test_a_path_left_out_is_not_limited_by_its_window(self) -> None:
        a, b = path(0, 50, in_flight=20), path(1, 100)
        b.limited = True
        new_data(a, b, window=MSS)
        assert not b.limited

    def test_the_best_path_is_never_left_out(self) -> None:
        assert new_data(path(0, 150), window=MSS)[0] == 0


class TestTail:
    """Near the end, waiting for the fast path is quicker than using the slow one."""

    @pytest.mark.parametrize(("remaining", "chosen"), [(10, None), (30, None), (60, 1)])
    def test_only_if_it_would_arrive_sooner(self, remaining: int, chosen: int | None) -> None:
        a, b = path(0, 20, in_flight=20), path(1, 60)
        # A needs 20 ms and another 20 ms per 20 segments; B needs 60 ms.
        assert new_data(a, b, remaining=remaining * MSS)[0] == chosen

    def test_without_any_rate_to_compare_with(self) -> None:
        a, b = path(0, 20), path(1, 60)
        a.controller.cwnd, a.in_flight = 0, MSS
        assert new_data(a, b)[0] == 1


class TestCarriers:
    """Who repeats what a path lost."""

    def test_another_path_that_is_as_near_comes_first(self) -> None:
        a, b = path(0, 20), path(1, 25)
        assert carriers(a.send(NOW, 0, MSS), [a, b]) == [b, a]

    @pytest.mark.parametrize("refusal", [Refusal.DELAY, Refusal.BLOCKING])
    def test_unless_the_others_do_better_without_it(self, refusal: Refusal) -> None:
        a, b = path(0, 20), path(1, 20)
        b.refusal = refusal
        assert carriers(a.send(NOW, 0, MSS), [a, b]) == [a, b]

    def test_unless_its_link_is_slow(self) -> None:
        a, b = path(0, 20), path(1, 20)
        b.rate.on_sample(NOW, 4 * MSS, SECOND // 10, 20 * MS)
        assert carriers(a.send(NOW, 0, MSS), [a, b]) == [a, b]


class TestRetransmission:
    def choose(self, *paths: Subflow) -> tuple[int | None, int]:
        subflow, room = for_retransmission(NOW, list(paths))
        return (subflow.index if subflow else None), room

    def test_the_best_with_room(self) -> None:
        assert self.choose(path(0, 50), path(1, 20)) == (0, 2 * MSS)
        assert self.choose(path(0, 50, in_flight=20), path(1, 20)) == (1, 2 * MSS)

    def test_an_idle_path_carries_a_segment_whatever_its_window(self) -> None:
        a = path(0, 50)
        a.controller.cwnd = 1
        assert self.choose(a) == (0, MSS)

    def test_not_over_a_much_slower_path(self) -> None:
        a, b = path(0, 20, in_flight=20), path(1, 31)
        assert self.choose(a, b) == (None, 0)
        assert a.limited
        assert self.choose(a, path(1, 30))[0] == 1

    def test_nor_over_one_whose_link_is_slow(self) -> None:
        a, b = path(0, 20, in_flight=20), path(1, 20)
        b.rate.on_sample(NOW, 4 * MSS, SECOND // 10, 20 * MS)  # 25 ms for a segment
        assert self.choose(a, b) == (None, 0)
        b.rate.on_sample(NOW, 40 * MSS, SECOND // 10, 20 * MS)
        assert self.choose(a, b)[0] == 1

    def test_the_pacer_has_a_say(self) -> None:
        a = path(0, 50)
        exhaust_pacer(a)
        assert self.choose(a) == (None, 0)
        assert a.paced

    def test_no_path_at_all(self) -> None:
        assert self.choose() == (None, 0)
