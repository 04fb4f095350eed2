"""Long segments in pieces: together they are the whole, and a device takes each."""

import dataclasses
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.sim.packets import cut
from omtcp.wire.header import MAX_PAYLOAD, MOST_PAYLOAD, HeaderWriter
from omtcp.wire.packet import TcpPacket, parse_packet
from omtcp.wire.tcp import ACK, CWR, FIN, PSH, Segment
from omtcp.wire.train import packets, super_segment_size

from .strategies import V4_A, V4_B, V6_A, V6_B

STAMPS = (1, 2)


def long_segment(length: int, borders: set[int], seq: int = 7, flags: int = ACK) -> Segment:
    whole = bytes(at % 251 for at in range(length))
    ends = sorted({0, length, *(border for border in borders if border < length)})
    payload = tuple(whole[a:b] for a, b in pairwise(ends))
    return Segment(80, 5, seq, 9, flags, 10, payload=payload, length=length, timestamps=STAMPS)


def sent(segment: Segment, segment_size: int, pair: tuple[bytes, bytes]) -> list[Segment]:
    """What is read from the packets; where each was cut is checked on the way."""
    writer = HeaderWriter(*pair, segment.source_port, segment.destination_port)
    found = []
    for header, payload in packets(writer, segment, segment_size):
        octets = bytes(header) + b"".join(payload)
        packet = parse_packet(octets, checksum_valid=True)
        assert isinstance(packet, TcpPacket)
        found.append(packet.segment)
    assert all(piece.length % segment_size == 0 for piece in found[:-1])
    return found


def plain(segments: Iterable[Segment]) -> list[Segment]:
    """With payloads that compare."""
    made = list(segments)
    for segment in made:
        segment.payload = (b"".join(segment.payload),)
    return made


@given(
    length=st.integers(0, 300_000),
    borders=st.sets(st.integers(1, 300_000), max_size=5),
    seq=st.integers(0, 2**32 - 1),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | CWR | FIN]),
    segment_size=st.sampled_from([536, 1448, 8948, 40_000]),
    pair=st.sampled_from([(V4_A, V4_B), (V6_A, V6_B)]),
)
def test_the_segments_are_those_of_the_whole(
    length: int,
    borders: set[int],
    seq: int,
    flags: int,
    segment_size: int,
    pair: tuple[bytes, bytes],
) -> None:
    whole = long_segment(length, borders, seq, flags)
    cut_again = [
        small for piece in sent(whole, segment_size, pair) for small in cut(piece, segment_size)
    ]
    assert plain(cut_again) == plain(cut(whole, segment_size))


@given(length=st.integers(0, 2_000_000), most=st.sampled_from([MAX_PAYLOAD, 200_000, MOST_PAYLOAD]))
def test_a_device_that_takes_more_gets_longer_ones(length: int, most: int) -> None:
    segment = long_segment(length, set())
    pieces = [
        b"".join(payload)
        for _, payload in packets(HeaderWriter(V4_A, V4_B, 80, 5), segment, 1448, most)
    ]
    assert b"".join(pieces) == segment.payload[0] if length else pieces == [b""]
    assert {len(piece) for piece in pieces[:-1]} <= {super_segment_size(1448, most)}
    assert len(pieces[-1]) <= most


def test_a_pure_ack_is_one_packet() -> None:
    assert sent(long_segment(0, set()), 1, (V4_A, V4_B)) == [long_segment(0, set())]


def test_nothing_is_copied() -> None:
    payload = memoryview(bytes(200_000))
    segment = dataclasses.replace(long_segment(0, set()), payload=(payload,), length=200_000)
    for _, views in packets(HeaderWriter(V6_A, V6_B, 80, 5), segment, 1448):
        (view,) = views
        assert isinstance(view, memoryview)
        assert view.obj is payload.obj


@pytest.mark.parametrize("segment_size", [1, 536, 1448, MAX_PAYLOAD, MAX_PAYLOAD + 1])
def test_a_full_one_is_whole_segments_and_as_many_as_fit(segment_size: int) -> None:
    size = super_segment_size(segment_size)
    assert size % segment_size == 0
    assert size <= max(MAX_PAYLOAD, segment_size) < size + segment_size
