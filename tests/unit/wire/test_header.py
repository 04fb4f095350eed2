import dataclasses
from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import LocalError
from omtcp.wire.checksum import internet_checksum, partial_checksum
from omtcp.wire.header import CHECKSUM_OFFSET, MAX_PAYLOAD, MOST_PAYLOAD, HeaderWriter
from omtcp.wire.ip import MOST_UNCUT
from omtcp.wire.packet import TcpPacket, parse_packet
from omtcp.wire.tcp import ACK, FIN, SYN, Segment

from .strategies import V4_A, V4_B, V6_A, V6_B, address_pairs, flat, segments

PAIRS = [(V4_A, V4_B), (V6_A, V6_B)]
Addresses = tuple[bytes, bytes]


def writer(pair: Addresses, segment: Segment) -> HeaderWriter:
    return HeaderWriter(*pair, segment.source_port, segment.destination_port)


def data_segment(length: int = 10, **changes: Any) -> Segment:
    segment = Segment(
        80, 50000, 1000, 2000, ACK, 300,
        timestamps=(7, 8), payload=(bytes(length),), length=length,
    )  # fmt: skip
    return dataclasses.replace(segment, **changes)


def tcp_of(packet: bytes) -> Any:
    """dpkt's view of the TCP header of `packet`."""
    ip = dpkt.ip.IP(packet) if packet[0] >> 4 == 4 else dpkt.ip6.IP6(packet)
    return ip.data


@given(address_pairs, segments())
def test_round_trip(pair: Addresses, segment: Segment) -> None:
    packet = writer(pair, segment).packet(segment)
    again = parse_packet(packet, checksum_valid=False)
    assert isinstance(again, TcpPacket)
    assert (again.source, again.destination) == pair
    assert flat(again.segment) == flat(segment)


@given(address_pairs, segments())
def test_dpkt_reads_what_we_write(pair: Addresses, segment: Segment) -> None:
    packet = writer(pair, segment).packet(segment)
    tcp = tcp_of(packet)
    assert (tcp.sport, tcp.dport) == (segment.source_port, segment.destination_port)
    assert (tcp.seq, tcp.ack, tcp.win) == (segment.seq, segment.ack, segment.window)
    assert (tcp.flags, tcp.urp, tcp.off * 4) == (segment.flags, 0, 20 + len(tcp.opts))
    assert bytes(tcp.data) == b"".join(segment.payload)


@given(address_pairs, segments())
def test_dpkt_computes_the_same_checksums(pair: Addresses, segment: Segment) -> None:
    packet = writer(pair, segment).packet(segment)
    v4 = len(pair[0]) == 4
    again = dpkt.ip.IP(packet) if v4 else dpkt.ip6.IP6(packet)
    again.data.sum = 0
    if v4:
        again.sum = 0
    assert bytes(again) == packet


@given(address_pairs, segments())
def test_the_device_completes_the_checksum(pair: Addresses, segment: Segment) -> None:
    """`header` and payload, summed from `ip_header_length` on, make what `packet` makes."""
    out = writer(pair, segment)
    header = out.header(segment)
    whole = bytearray(header + b"".join(segment.payload))
    start = out.ip_header_length
    field = slice(start + CHECKSUM_OFFSET, start + CHECKSUM_OFFSET + 2)
    expected = partial_checksum(*pair, 6, len(whole) - start)
    assert int.from_bytes(whole[field], "big") == expected
    whole[field] = internet_checksum(whole[start:]).to_bytes(2, "big")
    assert whole == out.packet(segment)


@given(st.sampled_from(PAIRS), st.lists(segments(), min_size=2, max_size=6))
def test_a_writer_remembers_nothing_wrong(pair: Addresses, several: list[Segment]) -> None:
    """What it keeps from one segment to the next does not show in the packets."""
    reused = HeaderWriter(*pair, 80, 50000)
    for segment in several:
        fresh = HeaderWriter(*pair, 80, 50000)
        assert reused.header(segment) == fresh.header(segment)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("stamps", [None, (7, 8)])
def test_size_and_ecn_of_successive_segments(
    pair: Addresses, stamps: tuple[int, int] | None
) -> None:
    reused = HeaderWriter(*pair, 80, 50000)
    for length, ecn in [(0, 0), (0, 2), (1, 2), (1, 0), (1, 0), (0, 0)]:
        segment = data_segment(length, ecn=ecn, timestamps=stamps)
        again = parse_packet(reused.packet(segment), checksum_valid=False)
        assert isinstance(again, TcpPacket)
        assert flat(again.segment) == flat(segment)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_super_segment_is_not_copied_or_even_looked_at(pair: Addresses) -> None:
    segment = data_segment(payload=(), length=MAX_PAYLOAD)
    header = HeaderWriter(*pair, 80, 50000).header(segment)
    assert len(header) == (20 if len(pair[0]) == 4 else 40) + 32
    total = int.from_bytes(header[2:4], "big") if len(pair[0]) == 4 else None
    assert total in (None, len(header) + MAX_PAYLOAD)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_largest_payload_fits_with_all_options(pair: Addresses) -> None:
    blocks = tuple((at, at + 1) for at in range(4))
    segment = data_segment(payload=(), length=MAX_PAYLOAD, timestamps=None, sack=blocks)
    HeaderWriter(*pair, 80, 50000).header(segment)


@pytest.mark.parametrize("changes", [{}, {"timestamps": None}])
@pytest.mark.parametrize(
    ("pair", "length"), [((V6_A, V6_B), 0x10000 - 20), ((V4_A, V4_B), MOST_UNCUT - 39)]
)
def test_what_no_device_takes_is_refused(
    changes: dict[str, Any], pair: Addresses, length: int
) -> None:
    out = HeaderWriter(*pair, 80, 50000)
    with pytest.raises(LocalError):
        out.header(data_segment(payload=(), length=length, **changes))
    # and the refusal leaves the writer as it was
    segment = data_segment(10, **changes)
    assert out.header(segment) == HeaderWriter(*pair, 80, 50000).header(segment)


def test_the_longest_super_segment_has_the_sum_of_its_own_length() -> None:
    segment = data_segment(payload=(), length=MOST_PAYLOAD)
    header = HeaderWriter(V4_A, V4_B, 80, 50000).header(segment)
    assert header[2:4] == b"\0\0"
    expected = partial_checksum(V4_A, V4_B, 6, MOST_PAYLOAD + 32)
    assert int.from_bytes(header[36:38], "big") == expected


def test_known_data_packet() -> None:
    segment = Segment(
        0x1234, 0x5678, 0x01020304, 0x05060708, ACK | FIN, 0x0900,
        timestamps=(0x0A0B0C0D, 0x0E0F1011), payload=(b"hel", memoryview(b"lo")), length=5, ecn=2,
    )  # fmt: skip
    header = HeaderWriter(V4_A, V4_B, 0x1234, 0x5678, hop_limit=61).header(segment)
    assert header.hex(" ", 2) == (
        "4502 0039 0000 4000 3d06 5181 c000 0201 c633 6407"
        " 1234 5678 0102 0304 0506 0708 8011 0900 ec67 0000"
        " 0101 080a 0a0b 0c0d 0e0f 1011"
    )


def test_flow_label_and_hop_limit_of_ipv6() -> None:
    header = HeaderWriter(V6_A, V6_B, 1, 2, flow_label=0xABCDE, hop_limit=9).header(data_segment())
    assert header[:8].hex(" ", 4) == "600abcde 002a0609"


def test_ports_are_the_writers() -> None:
    tcp = tcp_of(HeaderWriter(V4_A, V4_B, 1, 2).packet(data_segment()))
    assert (tcp.sport, tcp.dport) == (1, 2)


@pytest.mark.parametrize("length", [9, 11])
def test_a_length_that_is_not_the_payloads(length: int) -> None:
    with pytest.raises(LocalError, match="length"):
        HeaderWriter(V4_A, V4_B, 1, 2).packet(data_segment(length, payload=(bytes(10),)))


def test_addresses_of_two_versions() -> None:
    with pytest.raises(LocalError):
        HeaderWriter(V4_A, V6_B, 1, 2)


def test_a_syn_carries_its_options() -> None:
    segment = Segment(
        1, 2, 3, 0, SYN, 64240, mss=1460, window_scale=8, sack_permitted=True, timestamps=(1, 0)
    )
    tcp = tcp_of(HeaderWriter(V4_A, V4_B, 1, 2).packet(segment))
    kinds = [kind for kind, _ in dpkt.tcp.parse_opts(tcp.opts)]
    assert kinds == [2, 4, 8, 1, 3]
