"""Long segments in pieces: together they are the whole, and a device takes each."""

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.sim.packets import cut
from omtcp.wire.header import MAX_PAYLOAD, HeaderWriter
from omtcp.wire.tcp import ACK, CWR, FIN, PSH, Segment
from omtcp.wire.train import super_segment_size, super_segments

from .strategies import V6_A, V6_B

STAMPS = (1, 2)


def long_segment(length: int, borders: set[int], seq: int = 7, flags: int = ACK) -> Segment:
    whole = bytes(at % 251 for at in range(length))
    ends = sorted({0, length, *(border for border in borders if border < length)})
    payload = tuple(whole[a:b] for a, b in pairwise(ends))
    return Segment(80, 5, seq, 9, flags, 10, payload=payload, length=length, timestamps=STAMPS)


@given(
    length=st.integers(0, 300_000),
    borders=st.sets(st.integers(1, 300_000), max_size=5),
    seq=st.integers(0, 2**32 - 1),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | CWR | FIN]),
    segment_size=st.sampled_from([536, 1448, 8948, 40_000]),
)
def test_the_packets_are_those_of_the_whole(
    length: int, borders: set[int], seq: int, flags: int, segment_size: int
) -> None:
    whole = long_segment(length, borders, seq, flags)
    pieces = list(super_segments(whole, segment_size))
    packets = [packet for piece in pieces for packet in cut(piece, segment_size)]
    expected = list(cut(whole, segment_size))
    for packet in (*packets, *expected):
        packet.payload = (b"".join(packet.payload),)
    assert packets == expected
    assert all(piece.length <= MAX_PAYLOAD for piece in pieces)
    assert all(piece.length % segment_size == 0 for piece in pieces[:-1])


def test_what_fits_stays_as_it_is() -> None:
    segment = long_segment(1000, set())
    (piece,) = super_segments(segment, 1)  # a pure ACK has no size to speak of
    assert piece is segment


@pytest.mark.parametrize("segment_size", [1, 536, 1448, MAX_PAYLOAD, MAX_PAYLOAD + 1])
def test_a_full_one_is_whole_segments_and_as_many_as_fit(segment_size: int) -> None:
    size = super_segment_size(segment_size)
    assert size % segment_size == 0
    assert size <= max(MAX_PAYLOAD, segment_size) < size + segment_size


def test_options_are_repeated_and_nothing_is_copied() -> None:
    payload = memoryview(bytes(200_000))
    segment = dataclasses.replace(long_segment(0, set()), payload=(payload,), length=200_000)
    writer = HeaderWriter(V6_A, V6_B, 80, 5)
    for piece in super_segments(segment, 1448):
        assert piece.timestamps == STAMPS
        (view,) = piece.payload
        assert isinstance(view, memoryview)
        assert view.obj is payload.obj
        writer.header(piece)  # fits a packet
