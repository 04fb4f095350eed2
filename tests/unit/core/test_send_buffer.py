"""The send buffer against a bytes object, and that it keeps references, not copies."""

import gc
import mmap
import weakref
from array import array
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.send_buffer import KEPT_BEHIND, Buffer, SendBuffer

STREAM = Random(3).randbytes(2000)


class Owned(bytearray):
    """Something to write whose end of life can be seen."""


def joined(parts: tuple[memoryview | bytes, ...]) -> bytes:
    return b"".join(parts)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_every_kind_of_buffer(kind: type[Buffer]) -> None:
    buffer = SendBuffer()
    buffer.write(kind(b"hello"))
    assert joined(buffer.slices(1, 4)) == b"ell"


def test_a_view_of_other_items_is_sent_as_its_bytes() -> None:
    numbers = array("I", [1, 2, 3])
    buffer = SendBuffer()
    buffer.write(memoryview(numbers))
    buffer.write(memoryview(bytes(range(6))).cast("B", (2, 3)))
    assert buffer.end == 4 * 3 + 6
    assert joined(buffer.slices(0, 18)) == numbers.tobytes() + bytes(range(6))


def test_writing_nothing_changes_nothing() -> None:
    buffer = SendBuffer()
    buffer.write(b"")
    assert (buffer.end, buffer.size, buffer.holds(0)) == (0, 0, False)


def test_nothing_is_copied() -> None:
    page = bytearray(b"abcdef")
    buffer = SendBuffer()
    buffer.write(page)
    (part,) = buffer.slices(2, 4)
    page[2:4] = b"XY"
    assert bytes(part) == b"XY"
    assert isinstance(part, memoryview)
    assert part.obj is page


def test_a_run_over_several_writes_is_one_view_each() -> None:
    buffer = SendBuffer()
    for piece in (b"ab", b"cd", b"ef"):
        buffer.write(piece)
    assert [bytes(part) for part in buffer.slices(1, 5)] == [b"b", b"cd", b"e"]
    assert [bytes(part) for part in buffer.slices(2, 4)] == [b"cd"]


def test_what_is_acknowledged_is_let_go_but_for_a_ping_s_reach() -> None:
    buffer = SendBuffer()
    first, second = Owned(1000), Owned(1000)
    gone, kept = weakref.ref(first), weakref.ref(second)
    buffer.write(first)
    buffer.write(second)
    del first, second
    buffer.release(1000 + KEPT_BEHIND - 1)
    gc.collect()
    assert gone() is not None
    assert buffer.holds(999)
    buffer.release(1000 + KEPT_BEHIND)
    gc.collect()
    assert gone() is None
    assert kept() is not None
    assert not buffer.holds(999)
    assert buffer.holds(1000)


def test_release_never_goes_back_nor_beyond_the_end() -> None:
    buffer = SendBuffer()
    buffer.write(bytes(500))
    buffer.release(300)
    buffer.release(200)
    assert (buffer.released, buffer.size) == (300, 200)
    buffer.release(501)  # the FIN's place
    assert (buffer.released, buffer.size) == (500, 0)
    assert buffer.holds(500 - KEPT_BEHIND)


def test_clear_drops_every_reference() -> None:
    buffer = SendBuffer()
    data = Owned(10)
    gone = weakref.ref(data)
    buffer.write(data)
    del data
    buffer.clear()
    gc.collect()
    assert gone() is None
    assert (buffer.size, buffer.holds(0)) == (0, False)


@given(data=st.data())
def test_is_a_byte_string(data: st.DataObject) -> None:
    buffer = SendBuffer()
    acked = 0
    for _ in range(data.draw(st.integers(1, 20))):
        verb = data.draw(st.sampled_from(("write", "release", "slices")))
        if verb == "write":
            size = data.draw(st.integers(0, 200))
            buffer.write(STREAM[buffer.end : buffer.end + size])
        elif verb == "release":
            acked = max(acked, data.draw(st.integers(0, buffer.end)))
            buffer.release(acked)
        low = max(acked - KEPT_BEHIND, 0)
        assert buffer.size == buffer.end - acked
        if low < buffer.end:
            start = data.draw(st.integers(low, buffer.end - 1))
            end = data.draw(st.integers(start + 1, buffer.end))
            assert buffer.holds(start)
            assert joined(buffer.slices(start, end)) == STREAM[start:end]
        assert not buffer.holds(buffer.end)


def test_an_idle_buffer_holds_no_more_than_pings_need() -> None:
    buffer = SendBuffer()
    buffer.write(bytes(range(250)) * 400)
    buffer.release(99_000)
    assert sum(map(len, buffer._chunks)) == 100_000, "what may go out again is as it was"
    buffer.release(100_000)
    assert sum(map(len, buffer._chunks)) == KEPT_BEHIND
    assert b"".join(buffer.slices(100_000 - KEPT_BEHIND, 100_000)) == bytes(range(250))[-64:]
    assert not buffer.holds(100_000 - KEPT_BEHIND - 1)
    buffer.write(b"more")
    assert b"".join(buffer.slices(99_999, 100_004)) == bytes([249]) + b"more"


def test_memory_that_may_be_a_files_is_not_touched() -> None:
    """The file may have been cut short: the kernel survives reading it, we would not."""
    buffer = SendBuffer()
    with mmap.mmap(-1, 1 << 16) as mapped, memoryview(mapped) as view:
        buffer.write(view)
        buffer.release(1 << 16)
        (chunk,) = buffer._chunks
        assert isinstance(chunk, memoryview)
        assert chunk.obj is mapped
        buffer.clear()
        del chunk
