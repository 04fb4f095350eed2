"""The packet that a sender reads most: an ACK that carries nothing but its numbers.

A download draws one for every two segments. It always looks the same, so one comparison with its
picture replaces the parser. And of a run of them from one flow the last says all: the others might
as well have been lost on the way, as ACKs often are. So a batch of packets, folded, costs the
layers above one segment per flow. A short visit has more of them than anything else: one ends the
handshake and a request follows it, one acknowledges the response and a FIN follows that.
"""

from struct import Struct
from typing import Any, NamedTuple

from omtcp.wire.buffer import Buffer
from omtcp.wire.ip import PROTOCOL_TCP
from omtcp.wire.packet import TcpPacket
from omtcp.wire.seq import SEQ_MASK
from omtcp.wire.tcp import ACK, RST, SYN, Segment

_HALF = 1 << 31
_WORD = 0xFFFF

# Hexadecimal, a dot for a digit that varies. TCP: ports, sequence and ACK number, offset with
# flags, window, checksum, urgent pointer; and the timestamps after their mark.
_TCP = "........ ........ ........ 5010.... ........"
_STAMPED = "........ ........ ........ 8010.... ........ 0101080a ........ ........"
# IPv4 without options, unfragmented and not to be; IPv6 without extension headers.
_IPV4 = "45..{:04x} ....4000 ..06.... ........ ........"
_IPV6 = "6....... {:04x}06.." + 8 * " ........"


class _Picture(NamedTuple):
    """How a pure ACK of one length looks, as numbers that span the packet, and where things are."""

    mask: int
    value: int
    fields: Struct
    """Addresses and ports, sequence number, ACK number, window, and timestamps if there are any."""
    address: int
    """Octets of an address."""
    ip_shift: int
    """Bits behind the IP header, if that has a checksum; else all of them."""
    sum_mask: int
    """Covers the addresses and all that follows them."""
    sum_more: int
    """The rest of the pseudo-header."""


def _picture(ip: str, tcp: str) -> tuple[int, _Picture]:
    version = 4 if ip is _IPV4 else 6
    tcp_size = len(tcp.replace(" ", "")) // 2
    text = (ip.format(tcp_size + (20 if version == 4 else 0)) + tcp).replace(" ", "")
    address = 4 if version == 4 else 16
    before = 12 if version == 4 else 8
    stamps = "4xII" if tcp is _STAMPED else ""
    picture = _Picture(
        mask=int("".join("0" if digit == "." else "f" for digit in text), 16),
        value=int(text.replace(".", "0"), 16),
        fields=Struct(f"!{before}x{2 * address + 4}sIIxxH4x{stamps}"),
        address=address,
        ip_shift=8 * tcp_size if version == 4 else 4 * len(text),
        sum_mask=(1 << 8 * (2 * address + tcp_size)) - 1,
        sum_more=PROTOCOL_TCP + tcp_size,
    )
    return len(text) // 2, picture


_PICTURES = dict(_picture(ip, tcp) for ip in (_IPV4, _IPV6) for tcp in (_TCP, _STAMPED))
"""By the packet's length, which is another for each."""

_PLAIN_V4 = 0x45
"""First octet of an IPv4 header without options."""
_V4_BEGINNING, _V4_LEAST = Struct("!12x12sIIxB"), 40
_V6_BEGINNING, _V6_LEAST = Struct("!8x36sIIxB"), 60
"""The fields of a `_Picture` up to the ACK number, and the flags, of any packet with TCP in it."""


class AckFold:
    """The pure ACKs of a batch of packets, one for each run of them from a flow."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[bytes, list[tuple[_Picture, tuple[Any, ...]]]] = {}
        """By flow; of each run the last."""

    def take(self, packet: Buffer, *, checksum_valid: bool) -> bool:
        """Keep what `packet` says if it is a pure ACK; False, and nothing kept, if it is not.

        The packet's memory may be used again afterwards. A damaged packet is not taken: whoever
        parses it finds out what is wrong. `checksum_valid` is as for `parse_packet`.
        """
        picture = _PICTURES.get(len(packet))
        if picture is None:
            return False
        number = int.from_bytes(packet, "big")
        if number & picture.mask != picture.value or (number >> picture.ip_shift) % _WORD:
            return False
        if not checksum_valid and ((number & picture.sum_mask) + picture.sum_more) % _WORD:
            return False
        fields = picture.fields.unpack_from(packet)
        runs = self._kept.get(fields[0])
        if runs is None:
            self._kept[fields[0]] = [(picture, fields)]
            return True
        before = runs[-1][1]
        if fields[1] == before[1] and 0 < (fields[2] - before[2]) & SEQ_MASK < _HALF:
            runs[-1] = (picture, fields)
        else:
            runs.append((picture, fields))
        return True

    def before(self, packet: Buffer) -> list[TcpPacket]:
        """What was kept of the flow of `packet`, which was not taken; it is kept no more.

        The last of it is left out if `packet` says it again, as data or a FIN does that begins
        where the ACK stands and acknowledges as much or more.
        """
        if not self._kept or len(packet) < _V4_LEAST:
            return []
        if packet[0] == _PLAIN_V4:
            flow, seq, ack, flags = _V4_BEGINNING.unpack_from(packet)
        elif packet[0] >> 4 == 6 and len(packet) >= _V6_LEAST:
            flow, seq, ack, flags = _V6_BEGINNING.unpack_from(packet)
        else:
            return []
        runs = self._kept.pop(flow, None)
        if runs is None:
            return []
        last = runs[-1][1]
        again = flags & (SYN | ACK | RST) == ACK
        if again and seq == last[1] and (ack - last[2]) & SEQ_MASK < _HALF:
            del runs[-1]
        return [_packet(picture.address, *fields) for picture, fields in runs]

    def drain(self) -> list[TcpPacket]:
        """What was kept, flow by flow, in order of their first; nothing is kept any more."""
        if not self._kept:
            return []
        kept, self._kept = self._kept, {}
        return [
            _packet(picture.address, *fields) for runs in kept.values() for picture, fields in runs
        ]


def _packet(address: int, flow: bytes, seq: int, ack: int, window: int, *stamps: int) -> TcpPacket:
    ports = int.from_bytes(flow[2 * address :], "big")
    segment = Segment(ports >> 16, ports & _WORD, seq, ack, ACK, window)
    if stamps:
        segment.timestamps = (stamps[0], stamps[1])
    return TcpPacket(flow[:address], flow[address : 2 * address], segment)
