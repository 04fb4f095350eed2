"""Reassembly, the window, SACK and DSACK blocks, and when to acknowledge."""

import pytest

from omtcp.core.receive import ACK_DELAY_NS, Receiver

MSS = 1000
STREAM = bytes(range(251)) * 400


def receiver(
    capacity: int = 20 * MSS, capacity_max: int | None = None, quick_acks: int = 0
) -> Receiver:
    made = Receiver(capacity, capacity_max, mss=MSS, quick_acks=quick_acks)
    made.on_data(0, 0, (STREAM[:MSS],))  # so that it has seen the size of a full segment
    made.read(MSS)
    made.on_ack_sent()
    return made


def feed(r: Receiver, start: int, end: int, now: int = 0) -> None:
    r.on_data(now, start, (STREAM[start:end],))


class TestData:
    def test_in_order(self) -> None:
        r = Receiver(10_000)
        r.on_data(0, 0, (b"hello ", b"world"))
        assert (r.rcv_nxt, r.readable) == (11, 11)
        assert r.read(100) == b"hello world"
        assert r.read(100) == b""
        assert r.readable == 0

    def test_read_splits_chunks(self) -> None:
        r = Receiver(10_000)
        r.on_data(0, 0, (b"abcdef", b"ghi"))
        assert [r.read(n) for n in (2, 0, 5, 9)] == [b"ab", b"", b"cdefg", b"hi"]

    def test_a_whole_bytes_chunk_is_not_copied(self) -> None:
        r = Receiver(10_000)
        data = b"abc" * 100
        r.on_data(0, 0, (data,))
        assert r.read(1000) is data

    @pytest.mark.parametrize("out_of_order", [False, True])
    def test_buffers_may_be_reused_by_the_caller(self, out_of_order: bool) -> None:
        r = Receiver(10_000)
        frame = bytearray(b"xxpayload")
        start = 3 * out_of_order
        r.on_data(0, start, (memoryview(frame)[2:], frame))
        frame[:] = b"overwrite"
        if out_of_order:
            r.on_data(0, 0, (b"abc",))
        assert r.read(100) == b"abc" * out_of_order + b"payloadxxpayload"

    def test_a_small_view_does_not_keep_its_whole_packet(self) -> None:
        r = Receiver(10_000)
        packet = bytes(1000)
        r.on_data(0, 0, (memoryview(packet)[:10], b"", memoryview(packet)[:900]))
        small, large = r._arrived
        assert isinstance(small, bytes)
        assert isinstance(large, memoryview)
        assert r.read(2000) == bytes(910)

    def test_a_hole_is_filled(self) -> None:
        r = receiver()
        feed(r, 3000, 4000)
        feed(r, 2000, 3000)
        assert (r.rcv_nxt, r.readable) == (1000, 0)
        feed(r, 1000, 2000)
        assert r.rcv_nxt == 4000
        assert r.read(10_000) == STREAM[1000:4000]

    def test_overlaps_on_both_sides(self) -> None:
        r = receiver()
        feed(r, 2000, 3000)
        feed(r, 4000, 5000)
        feed(r, 500, 4500)
        assert r.read(10_000) == STREAM[1000:5000]

    def test_a_super_segment_over_several_islands(self) -> None:
        r = receiver()
        for start in (2000, 3000, 5000, 7000):
            feed(r, start, start + 500)
        view = memoryview(STREAM)
        r.on_data(0, 1000, (view[1000:1700], b"", view[1700:6100], view[6100:8000]))
        assert r.rcv_nxt == 8000
        assert r.read(10_000) == STREAM[1000:8000]

    def test_nothing_is_kept_beyond_the_window(self) -> None:
        r = receiver(capacity=4000)
        feed(r, 3000, 9000)
        assert r.sack_blocks(3) == [(3000, 5000)]
        feed(r, 6000, 7000)
        assert r.sack_blocks(3) == [(3000, 5000)]
        feed(r, 1000, 9000)
        assert r.rcv_nxt == 5000
        assert r.window == 0
        r.on_ack_sent()
        feed(r, 5000, 6000)
        assert r.rcv_nxt == 5000
        assert r.ack_now


class TestFin:
    def test_takes_an_offset_of_its_own(self) -> None:
        r = receiver()
        r.on_fin(1500)
        feed(r, 1000, 1500)
        assert r.finished
        assert r.rcv_nxt == 1501
        assert r.ack_now

    def test_waits_for_what_precedes_it(self) -> None:
        r = receiver()
        r.on_fin(3000)
        r.on_data(0, 3000, ())
        assert r.ack_now
        assert not r.finished
        feed(r, 2000, 3000)
        assert not r.finished
        feed(r, 1000, 2000)
        assert r.finished
        assert r.rcv_nxt == 3001

    def test_alone(self) -> None:
        r = receiver()
        r.on_fin(1000)
        r.on_data(0, 1000, ())
        assert r.finished
        assert r.rcv_nxt == 1001

    def test_data_beyond_it_is_ignored(self) -> None:
        r = receiver()
        r.on_fin(2000)
        feed(r, 1500, 2500)
        feed(r, 1000, 1500)
        assert r.finished
        assert r.read(9999) == STREAM[1000:2000]
        feed(r, 2001, 3000)
        assert (r.rcv_nxt, r.readable) == (2001, 0)

    def test_contradictions_are_ignored(self) -> None:
        r = receiver()
        feed(r, 3000, 4000)
        r.on_fin(3500)
        r.on_fin(500)
        feed(r, 1000, 3000)
        assert r.rcv_nxt == 4000
        r.on_fin(5000)
        r.on_fin(4500)
        feed(r, 4000, 5000)
        assert r.finished
        assert r.rcv_nxt == 5001

    def test_duplicate_of_the_last_data_is_reported(self) -> None:
        r = receiver()
        r.on_fin(2000)
        feed(r, 1000, 2000)
        r.on_ack_sent()
        feed(r, 1000, 2000)
        assert r.sack_blocks(3) == [(1000, 2000)]


class TestSack:
    def test_most_recently_changed_first(self) -> None:
        """RFC 2018 section 4."""
        r = receiver()
        for start in (2000, 4000, 6000, 8000):
            feed(r, start, start + 500)
        assert r.sack_blocks(3) == [(8000, 8500), (6000, 6500), (4000, 4500)]
        feed(r, 2500, 2600)
        assert r.sack_blocks(4) == [(2000, 2600), (8000, 8500), (6000, 6500), (4000, 4500)]

    def test_rfc_2018_example_of_two_losses(self) -> None:
        """Section 5, case 3: every second of 500-byte segments is lost."""
        r = Receiver(65536, quick_acks=0)
        r.on_data(0, 0, (bytes(5000),))
        reports = []
        for start in (5500, 6500, 7500, 8500):
            r.on_data(0, start, (bytes(500),))
            assert r.rcv_nxt == 5000
            reports.append(r.sack_blocks(3))
            r.on_ack_sent()
        assert reports[:3] == [
            [(5500, 6000)],
            [(6500, 7000), (5500, 6000)],
            [(7500, 8000), (6500, 7000), (5500, 6000)],
        ]
        r.on_data(0, 6000, (bytes(500),))  # the fourth segment comes late
        assert r.rcv_nxt == 5000
        assert r.sack_blocks(3)[0] == (5500, 7000)
        r.on_data(0, 5000, (bytes(500),))
        assert r.rcv_nxt == 7000
        assert r.sack_blocks(3) == [(8500, 9000), (7500, 8000)]

    def test_islands_join(self) -> None:
        r = receiver()
        feed(r, 2000, 3000)
        feed(r, 4000, 5000)
        feed(r, 3000, 4000)
        assert r.sack_blocks(4) == [(2000, 5000)]

    def test_none(self) -> None:
        assert receiver().sack_blocks(4) == []


class TestDsack:
    """RFC 2883, the examples of section 4 with the offsets it uses."""

    def setup_method(self) -> None:
        self.r = Receiver(65536, quick_acks=0)
        self.r.on_data(0, 0, (bytes(3000),))

    def arrive(self, start: int, end: int) -> list[tuple[int, int]]:
        """The blocks of the ACK that a segment draws."""
        self.r.on_data(0, start, (bytes(end - start),))
        assert self.r.ack_now
        blocks = self.r.sack_blocks(3)
        self.r.on_ack_sent()
        return blocks

    def test_4_1_1_duplicate_below_the_left_edge(self) -> None:
        assert self.arrive(3000, 3500) == []
        assert self.arrive(3000, 3500) == [(3000, 3500)]
        assert self.r.rcv_nxt == 3500

    def test_4_1_2_duplicate_with_a_hole(self) -> None:
        self.arrive(3000, 3500)
        assert self.arrive(4000, 4500) == [(4000, 4500)]
        assert self.arrive(3000, 3500) == [(3000, 3500), (4000, 4500)]

    def test_4_1_3_duplicate_of_an_island(self) -> None:
        self.arrive(3500, 4000)
        self.arrive(4000, 4500)
        self.arrive(5000, 5500)
        assert self.arrive(4000, 4500) == [(4000, 4500), (3500, 4500), (5000, 5500)]

    def test_4_2_partial_duplicate(self) -> None:
        self.arrive(3500, 4000)
        self.arrive(4500, 5000)
        assert self.arrive(3500, 4500) == [(3500, 4000), (3500, 5000)]

    def test_4_3_two_non_contiguous_duplicates_report_the_first(self) -> None:
        self.arrive(3000, 4000)
        self.arrive(4500, 5000)
        assert self.arrive(3500, 5000) == [(3500, 4000)]
        assert self.r.rcv_nxt == 5000

    def test_ping_draws_exactly_its_range(self) -> None:
        assert self.arrive(1234, 1235) == [(1234, 1235)]

    def test_each_is_reported_once_in_an_ack_of_its_own(self) -> None:
        for start in (100, 200, 300):
            self.r.on_data(0, start, (bytes(50),))
        seen = []
        while self.r.ack_now:
            seen.append(self.r.sack_blocks(4))
            self.r.on_ack_sent()
        assert seen == [[(100, 150)], [(200, 250)], [(300, 350)]]

    def test_a_flood_of_duplicates_is_forgotten(self) -> None:
        for start in range(1000):
            self.r.on_data(0, start, (b"x",))
        acks = 0
        while self.r.ack_now:
            self.r.on_ack_sent()
            acks += 1
        assert acks == 16

    def test_beyond_the_window_is_no_duplicate(self) -> None:
        self.r.on_data(0, 10**6, (bytes(10),))
        assert self.r.ack_now
        assert self.r.sack_blocks(4) == []


class TestAckPolicy:
    def test_every_second_full_sized_segment(self) -> None:
        r = receiver()
        feed(r, 1000, 2000, now=5)
        assert not r.ack_now
        assert r.ack_deadline == 5 + ACK_DELAY_NS
        feed(r, 2000, 3000, now=7)
        assert r.ack_now
        r.on_ack_sent()
        assert not r.ack_now
        assert r.ack_deadline is None

    def test_the_deadline_is_that_of_the_first(self) -> None:
        r = receiver()
        feed(r, 1000, 1010, now=5)
        feed(r, 1010, 1020, now=9)
        assert r.ack_deadline == 5 + ACK_DELAY_NS
        assert not r.ack_now

    def test_a_super_segment_at_once(self) -> None:
        r = receiver()
        feed(r, 1000, 9000)
        assert r.ack_now

    def test_at_once_out_of_order_and_filling_a_gap(self) -> None:
        r = receiver()
        for start in (3000, 4500, 1000, 2000, 4000):
            feed(r, start, start + 500)
            assert r.ack_now, start
            r.on_ack_sent()

    def test_delay_returns_when_the_gap_is_gone(self) -> None:
        r = receiver()
        feed(r, 1500, 2000)
        feed(r, 1000, 1500)
        r.on_ack_sent()
        feed(r, 2000, 3000)
        assert not r.ack_now

    def test_quick_at_the_start(self) -> None:
        r = Receiver(100_000, quick_acks=3)
        for i in range(5):
            r.on_data(0, i * 100, (bytes(100),))
            assert r.ack_now is (i < 3)
            if r.ack_now:
                r.on_ack_sent()

    def test_a_segment_without_room_for_sack_leaves_it_owed(self) -> None:
        r = receiver()
        feed(r, 3000, 4000)
        r.on_ack_sent(carried_sack=False)
        assert r.ack_now
        r.on_ack_sent()
        assert not r.ack_now

    def test_the_owner_may_ask_for_an_ack(self) -> None:
        r = receiver()
        r.ack_now = True
        r.on_ack_sent()
        assert not r.ack_now


class TestWindow:
    def test_shrinks_with_unread_data_only(self) -> None:
        r = receiver(capacity=10_000)
        assert r.window == 10_000
        feed(r, 5000, 6000)
        assert r.window == 10_000
        feed(r, 1000, 5000)
        r.on_ack_sent()
        assert r.window == 5000

    def test_silly_window(self) -> None:
        """The edge moves by a segment at least."""
        r = receiver(capacity=10_000)
        feed(r, 1000, 11_000)
        r.on_ack_sent()
        assert r.window == 0
        r.read(999)
        assert (r.window, r.ack_now) == (0, False)
        r.read(1)
        assert (r.window, r.ack_now) == (1000, True)

    def test_small_buffers_open_by_half(self) -> None:
        r = Receiver(100, mss=MSS, quick_acks=0)
        r.on_data(0, 0, (bytes(100),))
        r.on_ack_sent()
        r.read(49)
        assert r.window == 0
        r.read(1)
        assert r.window == 50

    def test_no_update_before_it_doubles(self) -> None:
        r = receiver(capacity=10_000)
        feed(r, 1000, 5000)
        r.on_ack_sent()
        r.read(4000)
        assert r.window == 10_000
        assert not r.ack_now

    def test_update_after_most_of_it_was_full(self) -> None:
        r = receiver(capacity=10_000)
        feed(r, 1000, 9000)
        r.on_ack_sent()
        assert r.window == 2000
        r.read(1000)
        assert not r.ack_now
        r.read(1000)
        assert r.ack_now

    def test_none_after_the_fin(self) -> None:
        r = receiver(capacity=10_000)
        r.on_fin(11_000)
        feed(r, 1000, 11_000)
        r.on_ack_sent()
        r.read(10_000)
        assert not r.ack_now

    def test_grows_when_the_application_keeps_up(self) -> None:
        r = Receiver(4000, 30_000, mss=MSS)
        at = 0
        seen = []
        for _ in range(100):
            r.on_data(0, at, (bytes(1000),))
            r.read(2000)
            r.on_ack_sent()
            at += 1000
            seen.append(r.capacity)
        assert sorted(set(seen)) == [4000, 8000, 16_000, 30_000]
        assert seen.index(8000) == 3
        assert r.window == 30_000

    def test_does_not_grow_when_it_lags(self) -> None:
        r = Receiver(4000, 30_000, mss=MSS)
        r.on_data(0, 0, (bytes(2000),))
        for at in range(2000, 50_000, 1000):
            r.on_data(0, at, (bytes(1000),))
            r.read(1000)
            r.on_ack_sent()
        assert r.capacity == 4000

    @pytest.mark.parametrize("step", [1, 40, 999, 1000])
    def test_scaled_announcements_never_shrink_and_stay_bounded(self, step: int) -> None:
        r = Receiver(20_000, mss=MSS)
        r.window_shift = 7
        edge = 0
        at = 0
        while r.window:
            assert r.window % 128 == 0
            if r.rcv_nxt + r.window < edge:
                assert edge > 20_000 + 2 * MSS - 128
                break
            edge = r.rcv_nxt + r.window
            assert edge <= 20_000 + 2 * MSS
            r.on_ack_sent()
            r.on_data(0, at, (bytes(step),))
            at += step
