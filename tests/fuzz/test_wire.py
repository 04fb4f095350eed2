"""Octets that no honest peer sends: a value, None or WireError, and nothing else, comes of them.

Checksums are taken out of the mutants' way, or nearly every one would end there.
"""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import WireError
from omtcp.wire.checksum import internet_checksum, pseudo_header_sum
from omtcp.wire.header import HeaderWriter
from omtcp.wire.icmp import IcmpKind, encode_icmp_error
from omtcp.wire.ip import encode_ip_header
from omtcp.wire.packet import IcmpPacket, TcpPacket, parse_packet
from omtcp.wire.tcp import ACK, SYN, Segment

V4 = (bytes((192, 0, 2, 1)), bytes((198, 51, 100, 7)))
V6 = (bytes.fromhex("20010db8") + bytes(12), bytes.fromhex("20010db9") + bytes(12))
STAMPS = (0x01020304, 0x05060708)
BLOCKS = ((10, 20), (30, 40), (50, 60), (70, 80))

SEGMENTS = [
    Segment(80, 50000, 1, 2, ACK, 3),
    Segment(80, 50000, 1, 2, ACK, 3, timestamps=STAMPS),
    Segment(80, 50000, 1, 2, ACK, 3, sack=BLOCKS),
    Segment(80, 50000, 1, 2, ACK, 3, timestamps=STAMPS, sack=BLOCKS[:3]),
    Segment(80, 50000, 1, 2, ACK, 3, timestamps=STAMPS, payload=(b"payload",), length=7),
    Segment(
        80, 50000, 1, 0, SYN, 3, mss=1460, window_scale=7, sack_permitted=True,
        timestamps=STAMPS, user_timeout=30,
    ),
]  # fmt: skip


def with_extensions(packet: bytes) -> bytes:
    """An IPv6 packet with hop-by-hop, routing and destination options in front of its payload."""
    body = bytes((43, 0)) + bytes(6) + bytes((60, 1)) + bytes(14) + bytes((6, 0)) + bytes(6)
    body += packet[40:]
    return encode_ip_header(*V6, 0, len(body)) + body


def honest_packets() -> list[bytes]:
    packets = []
    for pair in (V4, V6):
        writer = HeaderWriter(*pair, 80, 50000)
        tcp = [writer.packet(segment) for segment in SEGMENTS]
        packets += tcp
        packets += [encode_icmp_error(pair[1], kind, tcp[1], mtu=1400) for kind in IcmpKind]
        if pair is V6:
            packets.append(with_extensions(tcp[-1]))
            packets.append(encode_icmp_error(pair[1], IcmpKind.TOO_BIG, packets[-1]))
    return packets


HONEST = honest_packets()


def parse(packet: bytes) -> TcpPacket | IcmpPacket | None:
    """`parse_packet`, with a look at what came out. Any exception but WireError gets through."""
    try:
        parsed = parse_packet(packet, checksum_valid=True)
    except WireError:
        return None
    if isinstance(parsed, TcpPacket):
        check_segment(parsed.segment, len(packet))
    return parsed


def check_segment(segment: Segment, available: int) -> None:
    assert segment.length == sum(map(len, segment.payload)) <= available - 40
    assert len(segment.sack) <= 4
    assert all(0 <= edge < 2**32 for block in segment.sack for edge in block)
    assert segment.window_scale is None or 0 <= segment.window_scale <= 14


def with_checksums(packet: bytes) -> bytes:
    """Make the checksums that are verified even so, of IPv4 and ICMP headers, right again."""
    out = bytearray(packet)
    version = out[0] >> 4 if out else 0
    if version == 4 and len(out) >= 28:
        start = (out[0] & 0x0F) * 4
        end = int.from_bytes(out[2:4], "big")
        if out[9] == 1:
            repair(out, start + 2, start, end, 0)
        repair(out, 10, 0, start, 0)
    elif version == 6 and len(out) >= 48 and out[6] == 58:
        end = 40 + int.from_bytes(out[4:6], "big")
        pseudo = pseudo_header_sum(bytes(out[8:24]), bytes(out[24:40]), 58, end - 40)
        repair(out, 42, 40, end, pseudo)
    return bytes(out)


def repair(packet: bytearray, field: int, start: int, end: int, initial: int) -> None:
    if field + 2 <= min(end, len(packet)):
        packet[field : field + 2] = bytes(2)
        checksum = internet_checksum(packet[start:end], initial)
        packet[field : field + 2] = checksum.to_bytes(2, "big")


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """An honest packet with some octets overwritten, cut out or put in."""
    packet = bytearray(draw(st.sampled_from(HONEST)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(packet) - 1)))
        change = draw(st.sampled_from(["overwrite", "cut", "insert"]))
        octets = draw(st.binary(min_size=1, max_size=4))
        keep = at if change == "insert" else at + len(octets)
        packet[at:keep] = b"" if change == "cut" else octets
    return bytes(packet)


@pytest.mark.parametrize("packet", HONEST)
def test_honest_packets_survive_repair(packet: bytes) -> None:
    """The mutants start from packets that parse, and the repair does no harm by itself."""
    assert with_checksums(packet) == packet
    assert parse(packet) is not None


@pytest.mark.parametrize("packet", HONEST)
def test_truncated_at_every_length(packet: bytes) -> None:
    for size in range(len(packet)):
        with pytest.raises(WireError):
            parse_packet(packet[:size], checksum_valid=True)


@pytest.mark.parametrize("packet", HONEST)
def test_truncated_at_every_length_by_an_honest_ip_header(packet: bytes) -> None:
    """The IP header states the cut length, so that it is the upper layers that must notice."""
    v4 = packet[0] >> 4 == 4
    for size in range(20 if v4 else 40, len(packet)):
        cut = bytearray(packet[:size])
        if v4:
            cut[2:4] = size.to_bytes(2, "big")
        else:
            cut[4:6] = (size - 40).to_bytes(2, "big")
        parse(with_checksums(bytes(cut)))


@pytest.mark.parametrize("packet", HONEST)
def test_every_octet_with_telling_values(packet: bytes) -> None:
    for at in range(len(packet)):
        for value in (0, 1, 0x7F, 0x80, 0xFF, packet[at] ^ 0x01, packet[at] ^ 0x10):
            parse(with_checksums(packet[:at] + bytes([value]) + packet[at + 1 :]))


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    parse(data)


@given(st.sampled_from([V4, V6]), st.sampled_from([1, 6, 58, 0, 43, 60]), st.binary(max_size=200))
def test_noise_in_an_honest_ip_packet(
    pair: tuple[bytes, bytes], protocol: int, data: bytes
) -> None:
    parse(with_checksums(encode_ip_header(*pair, protocol, len(data)) + data))


@given(st.sampled_from([V4, V6]), st.binary(max_size=40).filter(lambda data: len(data) % 4 == 0))
def test_noise_for_tcp_options(pair: tuple[bytes, bytes], options: bytes) -> None:
    base = HeaderWriter(*pair, 80, 50000).packet(SEGMENTS[0])
    start = 20 if len(pair[0]) == 4 else 40
    tcp = bytearray(base[start:]) + options
    tcp[12] = len(tcp) << 2
    parse(encode_ip_header(*pair, 6, len(tcp)) + bytes(tcp))


@given(st.sampled_from([V4, V6]), st.binary(max_size=120))
def test_noise_for_the_packet_that_an_error_quotes(pair: tuple[bytes, bytes], quote: bytes) -> None:
    v4 = len(pair[0]) == 4
    nibble = bytes([(0x45 if v4 else 0x60)]) + quote
    body = bytes((3 if v4 else 1, 0, 0, 0, 0, 0, 0, 0)) + nibble
    packet = encode_ip_header(*pair, 1 if v4 else 58, len(body)) + body
    parse(with_checksums(packet))


@given(mutants())
def test_mutants(packet: bytes) -> None:
    parse(packet)
    with suppress(WireError):
        parse_packet(packet, checksum_valid=False)
    parse(with_checksums(packet))
