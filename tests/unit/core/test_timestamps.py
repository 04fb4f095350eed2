"""Timestamps that rise in sequence order, whatever the order of transmission."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.timestamps import OrderedTimestamps

MS = 1_000_000
MODULUS = 1 << 32
BASES = st.one_of(st.integers(0, MODULUS - 1), st.integers(MODULUS - 50, MODULUS - 1))


def later_or_equal(a: int, b: int) -> bool:
    """Whether TSval `a` is not older than `b` (RFC 7323 section 5.2)."""
    return (a - b) % MODULUS < 1 << 31


def test_clock_counts_milliseconds_from_its_base() -> None:
    stamps = OrderedTimestamps(1000)
    assert [stamps.now(t * MS // 2) for t in (0, 1, 2, 5)] == [1000, 1000, 1001, 1002]


def test_clock_wraps() -> None:
    assert OrderedTimestamps(MODULUS - 1).now(2 * MS) == 1


def test_the_syn_has_the_base() -> None:
    assert OrderedTimestamps(77).again(-1) == 77


def test_a_retransmission_repeats_the_first_value() -> None:
    stamps = OrderedTimestamps(0)
    assert stamps.first(10 * MS, 0) == 10
    assert stamps.first(20 * MS, 1000) == 20
    assert [stamps.again(offset) for offset in (0, 999, 1000, 5000)] == [10, 10, 20, 20]


@given(
    base=BASES,
    sizes=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3 * MS)), min_size=1, max_size=40),
    again=st.lists(st.integers(0, 2000), max_size=10),
    released=st.integers(0, 2000),
)
def test_never_falls_with_the_offset(
    base: int, sizes: list[tuple[int, int]], again: list[int], released: int
) -> None:
    stamps = OrderedTimestamps(base)
    values: list[int] = []
    now = 0
    for size, pause in sizes:
        now += pause
        values += [stamps.first(now, len(values))] * size
    for offset in again:
        if offset < len(values):
            assert stamps.again(offset) == values[offset]
    for earlier, later in pairwise(values):
        assert later_or_equal(later, earlier)
    stamps.release(released)
    for offset in range(min(released, len(values)), len(values)):
        assert stamps.again(offset) == values[offset]
    assert later_or_equal(values[0], base)


def test_release_forgets_in_batches_and_keeps_what_may_be_sent_again() -> None:
    stamps = OrderedTimestamps(0)
    for index in range(100):
        stamps.first(index * MS, index * 10)
    stamps.release(150)
    assert stamps.again(100) == 10
    stamps.release(500)
    assert stamps.again(500) == 50
    assert stamps.again(495) == 50  # forgotten: not older than what the peer has seen
    assert stamps.again(999) == 99


def test_an_ack_at_the_end_of_the_data_binds_what_follows() -> None:
    stamps = OrderedTimestamps(0)
    stamps.first(10 * MS, 0)
    for at in range(20, 500):
        stamps.first(at * MS, 1000)  # pure ACKs, while nothing is sent
    assert stamps.again(999) == 10
    assert stamps.first(600 * MS, 1000) == 600
    assert stamps.again(1000) == 600
    assert stamps.alike(0) == 1000


class TestCoarse:
    def test_stands_still_for_a_while(self) -> None:
        stamps = OrderedTimestamps(MODULUS - 5)
        assert stamps.first(0, 0, coarse=True) == MODULUS - 5
        assert stamps.first(100 * MS, 1000, coarse=True) == MODULUS - 5
        assert stamps.first(127 * MS, 2000, coarse=True) == MODULUS - 5
        assert stamps.first(128 * MS, 3000, coarse=True) == 123
        assert stamps.alike(0) == stamps.alike(2999) == 3000
        assert stamps.alike(3000) is None

    def test_is_not_older_than_an_ack(self) -> None:
        stamps = OrderedTimestamps(0)
        stamps.first(0, 0, coarse=True)
        assert stamps.first(20 * MS, 1000) == 20
        assert stamps.first(40 * MS, 1000, coarse=True) == 20
        assert stamps.alike(0) == 1000


class TestPaws:
    def test_an_older_value_is_refused(self) -> None:
        stamps = OrderedTimestamps(0)
        stamps.recent = 100
        assert not stamps.accept(99, True)
        assert stamps.recent == 100

    def test_the_same_or_a_newer_value_is_taken_at_the_left_edge_only(self) -> None:
        stamps = OrderedTimestamps(0)
        stamps.recent = 100
        assert stamps.accept(100, True)
        assert stamps.accept(150, False)
        assert stamps.recent == 100
        assert stamps.accept(150, True)
        assert stamps.recent == 150

    def test_half_the_circle_away_counts_as_older(self) -> None:
        """RFC 7323 section 5.2."""
        stamps = OrderedTimestamps(0)
        stamps.recent = 7
        assert not stamps.accept(7 + (1 << 31), True)
        assert stamps.accept(7 + (1 << 31) - 1, True)

    def test_across_the_wrap(self) -> None:
        stamps = OrderedTimestamps(0)
        stamps.recent = MODULUS - 5
        assert stamps.accept(3, True)
        assert not stamps.accept(MODULUS - 5, True)

    def test_a_receiver_discards_nothing_of_ours(self) -> None:
        """A fast path fills the left edge again and again while older data is still under way."""
        sender, receiver = OrderedTimestamps(5), OrderedTimestamps(0)
        receiver.recent = 5
        slow = [sender.first(t * MS, 100 * t) for t in range(1, 4)]
        fast = [sender.first((t + 10) * MS, 100 * t) for t in range(4, 8)]
        hole = sender.again(0)
        assert receiver.accept(fast[0], False)
        assert receiver.accept(hole, True)  # resent on the fast path, overtaking `slow`
        assert all(receiver.accept(value, True) for value in slow)
        assert all(receiver.accept(value, True) for value in fast)
