"""The front door: which packets are ours, and what comes out. Its parts have tests of their own."""

from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import WireError
from omtcp.wire.header import HeaderWriter
from omtcp.wire.icmp import IcmpKind, encode_icmp_error
from omtcp.wire.ip import encode_ip_header
from omtcp.wire.packet import IcmpPacket, TcpPacket, parse_packet
from omtcp.wire.tcp import ACK, Segment

from .strategies import V4_A, V4_B, V6_A, V6_B, address_pairs, ecn, u8, u16, u32

SEGMENT = Segment(80, 50000, 1, 2, ACK, 3, timestamps=(4, 5), ecn=1)


def tcp_packet(source: bytes, destination: bytes) -> bytes:
    return HeaderWriter(source, destination, 80, 50000).packet(SEGMENT)


def dpkt_packet(pair: tuple[bytes, bytes], codepoint: int, tcp: Any) -> bytes:
    source, destination = pair
    if len(source) == 4:
        return bytes(dpkt.ip.IP(src=source, dst=destination, p=6, tos=codepoint, data=tcp))
    packet = dpkt.ip6.IP6(
        src=source, dst=destination, nxt=6, plen=len(tcp), fc=codepoint, data=tcp
    )  # fmt: skip
    packet.extension_hdrs = {}
    return bytes(packet)


@given(address_pairs, ecn, u16, u16, u32, u32, u8, st.binary(max_size=50), st.booleans())
def test_we_read_what_dpkt_writes(
    pair: tuple[bytes, bytes],
    codepoint: int,
    source_port: int,
    destination_port: int,
    seq: int,
    ack: int,
    flags: int,
    payload: bytes,
    options: bool,
) -> None:
    opts = bytes.fromhex("0101080a 00000001 00000002 0101050a 00000003 00000004")
    tcp = dpkt.tcp.TCP(
        sport=source_port, dport=destination_port, seq=seq, ack=ack, flags=flags, win=77,
        off=11 if options else 5, opts=opts if options else b"", data=payload,
    )  # fmt: skip
    parsed = parse_packet(dpkt_packet(pair, codepoint, tcp), checksum_valid=False)
    expected = Segment(source_port, destination_port, seq, ack, flags, 77, ecn=codepoint)
    if options:
        expected.timestamps, expected.sack = (1, 2), ((3, 4),)
    if payload:
        expected.payload, expected.length = (memoryview(payload),), len(payload)
    assert parsed == TcpPacket(*pair, expected)


@pytest.mark.parametrize(("source", "destination"), [(V4_A, V4_B), (V6_A, V6_B)])
def test_tcp(source: bytes, destination: bytes) -> None:
    packet = tcp_packet(source, destination)
    expected = TcpPacket(source, destination, SEGMENT)
    for buffer in (packet, bytearray(packet), memoryview(packet)):
        assert parse_packet(buffer, checksum_valid=False) == expected


@pytest.mark.parametrize(("source", "destination"), [(V4_A, V4_B), (V6_A, V6_B)])
def test_tcp_whose_checksum_the_device_vouches_for(source: bytes, destination: bytes) -> None:
    header = HeaderWriter(source, destination, 80, 50000).header(SEGMENT)
    assert parse_packet(header, checksum_valid=True) == TcpPacket(source, destination, SEGMENT)
    with pytest.raises(WireError, match="TCP checksum"):
        parse_packet(header, checksum_valid=False)


@pytest.mark.parametrize(
    ("source", "destination", "router"), [(V4_A, V4_B, V4_B), (V6_A, V6_B, V6_B)]
)
def test_icmp(source: bytes, destination: bytes, router: bytes) -> None:
    error = encode_icmp_error(router, IcmpKind.TOO_BIG, tcp_packet(source, destination), mtu=1400)
    parsed = parse_packet(error, checksum_valid=True)
    assert isinstance(parsed, IcmpPacket)
    assert (parsed.source, parsed.destination) == (router, source)
    assert (parsed.message.mtu, parsed.message.seq) == (1400, 1)


@pytest.mark.parametrize("protocol", [1, 17, 47, 58, 59])
@pytest.mark.parametrize(("source", "destination"), [(V4_A, V4_B), (V6_A, V6_B)])
def test_what_is_not_ours(source: bytes, destination: bytes, protocol: int) -> None:
    if protocol == (1 if len(source) == 4 else 58):
        echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=1, seq=1, data=b"ping"))
        echo6 = dpkt.icmp6.ICMP6(type=128, data=b"\0\1\0\1ping")
        body = bytes(echo)
        if protocol == 58:
            ip6 = dpkt.ip6.IP6(src=source, dst=destination, nxt=58, plen=len(echo6), data=echo6)
            ip6.extension_hdrs = {}
            body = bytes(ip6)[40:]
    else:
        body = b"any octets at all"
    packet = encode_ip_header(source, destination, protocol, len(body)) + body
    assert parse_packet(packet, checksum_valid=False) is None
