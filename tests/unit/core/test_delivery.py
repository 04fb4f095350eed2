"""How much a path loses, and who carries again what it lost."""

from __future__ import annotations

from omtcp.core.delivery import LossShare
from omtcp.core.scheduler import carriers, elsewhere, for_retransmission

from .sending import MS, MSS, Bench, make_subflow

A, B = 0, 1


class TestLossShare:
    def test_an_event_in_every_small_window_is_much(self) -> None:
        share = LossShare()
        for _ in range(30):
            share.on_event()
            share.on_delivered(5)
        assert 0.1 < share.value < 0.2

    def test_an_event_in_every_large_window_is_little(self) -> None:
        share = LossShare()
        for _ in range(30):
            share.on_event()
            for _ in range(50):
                share.on_delivered(2)
        assert share.value < 0.02

    def test_is_forgotten(self) -> None:
        share = LossShare()
        share.value = 0.5
        for _ in range(4 * LossShare.SEGMENTS):
            share.on_delivered(1)
        assert share.value < 0.01

    def test_of_a_huge_acknowledgment_is_nothing_and_not_less(self) -> None:
        share = LossShare()
        share.on_event()
        share.on_delivered(1000)
        assert share.value == 0


class TestCarriers:
    def test_the_path_that_lost_may_try_again(self) -> None:
        bench = Bench(20, 50)
        lost = bench.send(A)
        assert carriers(lost, bench.subflows) == bench.subflows

    def test_but_another_that_is_about_as_near_comes_first(self) -> None:
        bench = Bench(20, 29, 31)
        a, b, c = bench.subflows
        assert carriers(bench.send(A), bench.subflows) == [b, a, c]

    def test_a_slow_path_does_not_keep_all_that_another_lost_for_itself(self) -> None:
        """B, near by, has no room now; at a segment in 25 ms it carries one before A would."""
        bench = Bench(100, 20)
        a, b = bench.subflows
        b.in_flight = b.controller.cwnd = 2 * MSS
        b.rate.on_sample(bench.now, MSS, 25 * MS, 20 * MS)
        paths = carriers(bench.send(A), bench.subflows)
        assert paths == [b, a]
        assert for_retransmission(bench.now, paths, MSS)[0] is None
        assert for_retransmission(bench.now, paths, 3 * MSS)[0] is a

    def test_a_queue_there_may_be_as_long_as_the_path(self) -> None:
        bench = Bench(20, 20)
        a, b = bench.subflows
        lost = bench.send(A)
        b.rtt.srtt_ns = 39 * MS
        assert carriers(lost, bench.subflows) == [b, a]
        b.rtt.srtt_ns = 41 * MS
        assert carriers(lost, bench.subflows) == [a, b]

    def test_but_not_a_third_time(self) -> None:
        bench = Bench(20, 50)
        bench.send(A, 10)
        bench.wait(20)
        bench.sack((1, 10))
        again = bench.resend(A)
        assert carriers(again, bench.subflows) == [bench.subflows[B]]

    def test_nor_where_much_is_lost(self) -> None:
        bench = Bench(20, 50, 50)
        a, b, c = bench.subflows
        lost = bench.send(A)
        a.loss_share.value = b.loss_share.value = 0.2
        assert carriers(lost, bench.subflows) == [c]

    def test_a_path_much_farther_would_only_keep_the_receiver_waiting(self) -> None:
        bench = Bench(20, 400, 50)
        lost = bench.send(A)
        bench.subflows[A].loss_share.value = 0.2
        assert carriers(lost, bench.subflows[:2]) == bench.subflows[:2]
        assert elsewhere(lost, bench.subflows) == [bench.subflows[2]]

    def test_unless_there_is_no_other(self) -> None:
        bench = Bench(20)
        a = bench.subflows[A]
        a.loss_share.value = 0.2
        assert carriers(bench.send(A), [a]) == [a]

    def test_a_reduction_counts_and_an_undisturbed_path_does_not(self) -> None:
        subflow = make_subflow()
        assert not subflow.lossy
        for _ in range(5):
            subflow.begin_reduction(10 * MSS)
        assert subflow.lossy
