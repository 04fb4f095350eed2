"""Ethernet frames as the emulator must see them: marks, addresses, and what a segment carries."""

import struct
from dataclasses import dataclass

_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TCP = 6
_CE = 3
_SYN = 0x02
_ETHERNET = 14


def ecn_of(frame: bytes) -> int:
    """The ECN codepoint of an Ethernet frame, 0 if it carries neither IPv4 nor IPv6."""
    if frame[12:14] == _IPV4:
        return frame[15] & 3
    if frame[12:14] == _IPV6:
        return frame[15] >> 4 & 3
    return 0


def mark_frame(frame: bytes) -> bytes:
    """The frame with congestion experienced set (RFC 3168), the IPv4 checksum adjusted."""
    marked = bytearray(frame)
    if frame[12:14] == _IPV6:
        marked[15] |= _CE << 4
        return bytes(marked)
    old = frame[15]
    marked[15] = old | _CE
    # RFC 1624: HC' = ~(~HC + ~m + m'), the word's upper byte unchanged
    (checksum,) = struct.unpack_from("!H", frame, 24)
    total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + marked[15]
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", marked, 24, ~total & 0xFFFF)
    return bytes(marked)


def source_of(frame: bytes) -> bytes:
    """The IP address that a frame comes from; empty if it carries no IP."""
    return _addresses(frame)[0]


def destination_of(frame: bytes) -> bytes:
    """The IP address that a frame goes to; empty if it carries no IP."""
    return _addresses(frame)[1]


def port_to(frame: bytes) -> bytes:
    """The TCP port that a frame goes to, taken for granted that it is TCP without IP options."""
    return frame[36:38] if frame[12:14] == _IPV4 else frame[56:58]


def _addresses(frame: bytes) -> tuple[bytes, bytes]:
    if frame[12:14] == _IPV4:
        return frame[26:30], frame[30:34]
    if frame[12:14] == _IPV6:
        return frame[22:38], frame[38:54]
    return b"", b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpView:
    """What a TCP segment shows on its way: its ends (address and port) and its numbers.

    payload: bytes of data. Addresses and ports are as they stand in the packet.
    """

    source: bytes
    destination: bytes
    sequence: int
    acknowledgment: int
    syn: bool
    payload: int


def tcp_of(frame: bytes) -> TcpView | None:
    """The frame's TCP segment, None if it has none. Fragments and extension headers have none."""
    if frame[12:14] == _IPV4:
        protocol, start = frame[23], _ETHERNET + (frame[14] & 15) * 4
        end = _ETHERNET + int.from_bytes(frame[16:18], "big")
    elif frame[12:14] == _IPV6:
        protocol, start = frame[20], _ETHERNET + 40
        end = start + int.from_bytes(frame[18:20], "big")
    else:
        return None
    if protocol != _TCP or len(frame) < start + 20:
        return None
    ports, sequence, acknowledgment, offset, flags = struct.unpack_from("!4sIIBB", frame, start)
    source, destination = _addresses(frame)
    return TcpView(
        source=source + ports[:2],
        destination=destination + ports[2:],
        sequence=sequence,
        acknowledgment=acknowledgment,
        syn=bool(flags & _SYN),
        payload=max(end - start - (offset >> 4) * 4, 0),
    )


def is_data(frame: bytes) -> bool:
    """Whether a middlebox that lets only handshakes pass would hold this frame up."""
    segment = tcp_of(frame)
    return segment is not None and not segment.syn
