import struct
from collections.abc import Callable

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import LocalError, WireError
from omtcp.wire.checksum import internet_checksum, is_valid
from omtcp.wire.ip import (
    MAX_LENGTH,
    MOST_UNCUT,
    Datagram,
    encode_ip_header,
    parse_datagram,
    parse_quoted,
)

from .strategies import V4_A, V4_B, V6_A, V6_B, address_pairs, ecn, u8

BODY = b"a body of some octets"
NO_NEXT_HEADER = 59


def with_header_checksum(packet: bytes) -> bytes:
    size = (packet[0] & 0x0F) * 4
    header = packet[:10] + bytes(2) + packet[12:size]
    return header[:10] + internet_checksum(header).to_bytes(2, "big") + packet[12:]


def v4(body: bytes = BODY) -> bytes:
    return encode_ip_header(V4_A, V4_B, 6, len(body)) + body


def v6(next_header: int = 6, body: bytes = BODY) -> bytes:
    return encode_ip_header(V6_A, V6_B, next_header, len(body)) + body


def extension(next_header: int, octets: int = 8, fourth: int = 0) -> bytes:
    """A hop-by-hop, routing or destination options header; `fourth` is segments left."""
    return bytes((next_header, octets // 8 - 1, 0, fourth)) + bytes(octets - 4)


@given(address_pairs, u8, st.binary(max_size=100), ecn, u8, st.integers(0, 2**20 - 1))
def test_round_trip(
    pair: tuple[bytes, bytes],
    protocol: int,
    body: bytes,
    codepoint: int,
    hops: int,
    label: int,
) -> None:
    source, destination = pair
    if len(source) == 16 and protocol in (0, 43, 44, 60):
        protocol = 6
    header = encode_ip_header(
        source,
        destination,
        protocol,
        len(body),
        hop_limit=hops,
        ecn=codepoint,
        flow_label=label,
    )
    version = 4 if len(source) == 4 else 6
    parsed = parse_datagram(header + body)
    assert parsed == Datagram(
        version,
        source,
        destination,
        protocol,
        codepoint,
        hops,
        memoryview(body),
        label if version == 6 else 0,
    )


@given(address_pairs, st.binary(min_size=1, max_size=100), ecn, u8)
def test_dpkt_reads_what_we_write(
    pair: tuple[bytes, bytes], body: bytes, codepoint: int, hops: int
) -> None:
    source, destination = pair
    header = encode_ip_header(
        source, destination, 253, len(body), hop_limit=hops, ecn=codepoint, flow_label=0x98765
    )
    if len(source) == 16:
        parsed = dpkt.ip6.IP6(header + body)
        assert (parsed.v, parsed.nxt, parsed.hlim, parsed.plen) == (6, 253, hops, len(body))
        assert (parsed.fc, parsed.flow) == (codepoint, 0x98765)
    else:
        parsed = dpkt.ip.IP(header + body)
        assert (parsed.v, parsed.p, parsed.ttl, parsed.len) == (4, 253, hops, len(header + body))
        assert (parsed.tos, parsed.id) == (codepoint, 0)
        assert (parsed.df, parsed.mf, parsed.offset) == (1, 0, 0)
        assert dpkt.in_cksum(header) == 0
    assert (parsed.src, parsed.dst, bytes(parsed.data)) == (source, destination, body)


@given(address_pairs, st.binary(min_size=1, max_size=100), ecn, u8, st.binary(max_size=3))
def test_we_read_what_dpkt_writes(
    pair: tuple[bytes, bytes], body: bytes, codepoint: int, hops: int, padding: bytes
) -> None:
    source, destination = pair
    if len(source) == 16:
        packet = bytes(
            dpkt.ip6.IP6(
                src=source,
                dst=destination,
                nxt=253,
                hlim=hops,
                plen=len(body),
                data=body,
                fc=codepoint,
                flow=0x12345,
            )
        )
    else:
        packet = bytes(
            dpkt.ip.IP(
                src=source,
                dst=destination,
                p=253,
                ttl=hops,
                tos=codepoint,
                id=99,
                data=body,
                hl=6,
                opts=b"\x94\x04\0\0",
            )
        )
    parsed = parse_datagram(memoryview(packet + padding))
    assert (parsed.source, parsed.destination, parsed.protocol) == (source, destination, 253)
    assert (parsed.ecn, parsed.hop_limit, bytes(parsed.payload)) == (codepoint, hops, body)
    assert parsed.flow_label == (0x12345 if parsed.version == 6 else 0)


def test_the_payload_is_a_view_not_a_copy() -> None:
    packet = bytearray(v4())
    parsed = parse_datagram(packet)
    packet[20] = 0x21
    assert parsed.payload[0] == 0x21


def test_ipv4_options_are_skipped() -> None:
    packet = v4()
    longer = b"\x47" + packet[1:2] + struct.pack("!H", len(packet) + 8) + packet[4:20] + b"\1" * 8
    assert parse_datagram(with_header_checksum(longer + BODY)).payload == BODY


@pytest.mark.parametrize("kinds", [(0,), (60,), (43,), (0, 60, 43, 60), (60,) * 8])
def test_ipv6_extension_headers_are_skipped(kinds: tuple[int, ...]) -> None:
    body = BODY
    following = 6
    for count, kind in enumerate(reversed(kinds), start=1):
        body = extension(following, 8 * count) + body
        following = kind
    parsed = parse_datagram(v6(following, body))
    assert (parsed.protocol, bytes(parsed.payload)) == (6, BODY)


def test_ipv6_with_nothing_inside() -> None:
    parsed = parse_datagram(v6(0, extension(NO_NEXT_HEADER)))
    assert (parsed.protocol, bytes(parsed.payload)) == (NO_NEXT_HEADER, b"")


def patched(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes([value]) + packet[at + 1 :]


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        (b"", "empty"),
        (b"\x55" + bytes(60), "version 5"),
        (v4()[:19], "header truncated"),
        (v4()[:-1], "lengths"),
        (with_header_checksum(patched(v4(), 0, 0x44)), "lengths: header 16"),
        (with_header_checksum(patched(v4(b""), 0, 0x46)), "lengths: header 24"),
        (with_header_checksum(patched(v4(), 3, 19)), "lengths: header 20, total 19"),
        (with_header_checksum(patched(v4(), 6, 0x60)), "fragment"),
        (with_header_checksum(patched(v4(), 6, 0x20)), "fragment"),
        (with_header_checksum(patched(v4(), 7, 0x01)), "fragment"),
        (patched(v4(), 8, 63), "checksum"),
        (v6()[:39], "header truncated"),
        (v6()[:-1], "payload of 21 octets, there are 20"),
        (v6(44, extension(6) + BODY), "fragment"),
        (v6(60, extension(44) + extension(6) + BODY), "fragment"),
        (v6(60, extension(6)[:7]), "extension header truncated"),
        (v6(60, extension(6, 16)[:15]), "extension header truncated"),
        (v6(43, extension(6, 8, 1) + BODY), "routing header"),
        (v6(60, extension(60) * 8 + extension(6) + BODY), "too many"),
    ],
)
def test_refused(packet: bytes, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        parse_datagram(packet)


@pytest.mark.parametrize("packet", [v4(), v6(), v6(60, extension(6) + BODY)])
def test_truncation_at_every_length_is_noticed(packet: bytes) -> None:
    for size in range(len(packet)):
        with pytest.raises(WireError):
            parse_datagram(packet[:size])


@pytest.mark.parametrize(("maker", "version"), [(v4, 4), (v6, 6)])
def test_a_quoted_packet_may_be_cut_short(maker: Callable[[], bytes], version: int) -> None:
    packet = maker()
    quoted = parse_quoted(packet[: -len(BODY) + 8], version)
    assert (quoted.protocol, bytes(quoted.payload)) == (6, BODY[:8])


def test_a_quoted_header_is_taken_as_the_router_left_it() -> None:
    assert parse_quoted(patched(v4(), 8, 63), 4).hop_limit == 63
    visited = parse_quoted(v6(43, extension(6, 8, 1) + BODY), 6)
    assert visited.payload == BODY


@pytest.mark.parametrize(("packet", "version"), [(b"", 4), (v4(), 6), (v6(), 4)])
def test_a_quoted_packet_of_the_wrong_version(packet: bytes, version: int) -> None:
    with pytest.raises(WireError, match="another IP version"):
        parse_quoted(packet, version)


def test_the_largest_packets() -> None:
    assert len(encode_ip_header(V4_A, V4_B, 6, MAX_LENGTH - 20)) == 20
    assert len(encode_ip_header(V6_A, V6_B, 6, MAX_LENGTH)) == 40


@pytest.mark.parametrize("total", [MAX_LENGTH + 1, 200_000, MOST_UNCUT])
def test_beyond_64_kib_the_length_is_left_to_the_buffer(total: int) -> None:
    header = encode_ip_header(V4_A, V4_B, 6, total - 20)
    assert header[2:4] == b"\0\0"
    assert is_valid(header)
    whole = encode_ip_header(V4_A, V4_B, 6, 1000)
    assert header[4:10] + header[12:] == whole[4:10] + whole[12:]


@pytest.mark.parametrize(
    ("source", "destination", "length"),
    [
        (V4_A, V4_B, MOST_UNCUT - 19),
        (V6_A, V6_B, MAX_LENGTH + 1),
        (V4_A, V6_B, 20),
        (b"abcde", b"abcde", 20),
    ],
)
def test_headers_that_cannot_be(source: bytes, destination: bytes, length: int) -> None:
    with pytest.raises(LocalError):
        encode_ip_header(source, destination, 6, length)
