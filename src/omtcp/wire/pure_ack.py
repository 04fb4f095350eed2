"""The packet that a sender reads most: an ACK that carries nothing but its numbers.

A download draws one for every two segments. It always looks the same, so one comparison with its
picture replaces the parser. And of a run of them from one flow the last says all: the others might
as well have been lost on the way, as ACKs often are. So a batch of packets, folded, costs the
layers above one segment per flow.
"""

from struct import Struct
from typing import Any, NamedTuple

from omtcp.wire.buffer import Buffer
from omtcp.wire.ip import PROTOCOL_TCP
from omtcp.wire.packet import TcpPacket
from omtcp.wire.seq import SEQ_MASK
from omtcp.wire.tcp import ACK, Segment

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


class AckFold:
    """The pure ACKs of a batch of packets, one for each run of them from a flow."""

    __slots__ = ("_kept", "_places")

    def __init__(self) -> None:
        self._kept: list[tuple[_Picture, tuple[Any, ...]]] = []
        self._places: dict[bytes, int] = {}
        """Flow -> index of its latest in `_kept`."""

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
        flow = fields[0]
        place = self._places.get(flow)
        if place is not None:
            before = self._kept[place][1]
            if fields[1] == before[1] and 0 < (fields[2] - before[2]) & SEQ_MASK < _HALF:
                self._kept[place] = (picture, fields)
                return True
        self._places[flow] = len(self._kept)
        self._kept.append((picture, fields))
        return True

    def drain(self) -> list[TcpPacket]:
        """What was kept, in the order in which each flow's runs began; nothing is kept any more."""
        if not self._kept:
            return []
        kept, self._kept = self._kept, []
        self._places.clear()
        return [_packet(picture.address, *fields) for picture, fields in kept]


def _packet(address: int, flow: bytes, seq: int, ack: int, window: int, *stamps: int) -> TcpPacket:
    ports = int.from_bytes(flow[2 * address :], "big")
    segment = Segment(ports >> 16, ports & _WORD, seq, ack, ACK, window)
    if stamps:
        segment.timestamps = (stamps[0], stamps[1])
    return TcpPacket(flow[:address], flow[address : 2 * address], segment)
