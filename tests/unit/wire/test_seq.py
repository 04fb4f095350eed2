import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.wire.seq import SEQ_MODULUS, seq_add, seq_diff, seq_le, seq_lt, unwrap

from .strategies import u32

HALF = SEQ_MODULUS // 2
steps = st.integers(-HALF, HALF - 1)
offsets = st.integers(-(2**80), 2**80)


@given(u32, steps)
def test_difference_undoes_addition(a: int, n: int) -> None:
    assert seq_diff(seq_add(a, n), a) == n


@given(u32, st.integers(1, HALF - 1))
def test_a_number_less_than_half_the_circle_ahead_is_later(a: int, n: int) -> None:
    later = seq_add(a, n)
    assert seq_lt(a, later)
    assert seq_le(a, later)
    assert not seq_lt(later, a)
    assert not seq_le(later, a)


@given(u32)
def test_equal_numbers(a: int) -> None:
    assert not seq_lt(a, a)
    assert seq_le(a, a)
    assert seq_diff(a, a) == 0


@given(u32)
def test_opposite_numbers_are_unordered(a: int) -> None:
    opposite = seq_add(a, HALF)
    assert not seq_lt(a, opposite)
    assert not seq_lt(opposite, a)
    assert not seq_le(a, opposite)
    assert seq_diff(a, opposite) == -HALF == seq_diff(opposite, a)


@pytest.mark.parametrize(
    ("a", "n", "expected"),
    [(0xFFFFFFFF, 1, 0), (0, -1, 0xFFFFFFFF), (5, 2**32, 5), (0xFFFFFFF0, 0x20, 0x10)],
)
def test_addition_wraps(a: int, n: int, expected: int) -> None:
    assert seq_add(a, n) == expected


@given(offsets, steps)
def test_unwrap_finds_the_offset_within_half_the_circle(near: int, distance: int) -> None:
    offset = near + distance
    assert unwrap(offset % SEQ_MODULUS, near) == offset


@given(u32, offsets)
def test_unwrapped_is_congruent_and_nearest(seq32: int, near: int) -> None:
    offset = unwrap(seq32, near)
    assert (offset - seq32) % SEQ_MODULUS == 0
    assert -HALF <= offset - near < HALF


def test_unwrap_just_after_the_start_of_a_stream() -> None:
    assert unwrap(0xFFFFFFFF, 0) == -1
    assert unwrap(2, SEQ_MODULUS - 3) == SEQ_MODULUS + 2
