"""From segments to packets: one writer per (path of a) connection.

A data segment leaves as two buffers: the header made here and the payload as the application
gave it. The device completes the checksum, and cuts a super-segment into packets.
"""

from struct import Struct

from omtcp.errors import LocalError
from omtcp.wire.checksum import fold, internet_checksum, pseudo_header_sum
from omtcp.wire.ip import (
    IPV4_HEADER,
    IPV6_HEADER,
    MAX_LENGTH,
    MOST_UNCUT,
    PROTOCOL_TCP,
    encode_ip_header,
)
from omtcp.wire.options import MAX_OPTIONS, encode_options
from omtcp.wire.tcp import SYN, TCP_HEADER, TIMESTAMPS_MARK, Segment

CHECKSUM_OFFSET = 16
"""Of the checksum field in the TCP header."""

_HEADERS = IPV4_HEADER + TCP_HEADER + MAX_OPTIONS
MAX_PAYLOAD = MAX_LENGTH - _HEADERS
"""Payload octets of a super-segment that fit whatever the options and the IP version are."""
MOST_PAYLOAD = MOST_UNCUT - _HEADERS
"""The same where the way to the device takes the longest IPv4 packets that there are."""

_FIXED = Struct("!IIIHHHH")
_WITH_TIMESTAMPS = Struct("!IIIHHHHIII")


class HeaderWriter:
    """Writes the packets of one connection from `source` to `destination` (4 or 16 octets each).

    The writer's ports are written, not the segment's. LocalError if the addresses are not of one
    IP version.
    """

    __slots__ = (
        "_destination",
        "_flow_label",
        "_hop_limit",
        "_ip",
        "_ip_ecn",
        "_ip_length",
        "_partial",
        "_ports",
        "_pseudo",
        "_source",
        "ip_header_length",
    )

    def __init__(
        self,
        source: bytes,
        destination: bytes,
        source_port: int,
        destination_port: int,
        *,
        flow_label: int = 0,
        hop_limit: int = 64,
    ) -> None:
        self._source = source
        self._destination = destination
        self._flow_label = flow_label
        self._hop_limit = hop_limit
        self._ports = source_port << 16 | destination_port
        self._pseudo = pseudo_header_sum(source, destination, PROTOCOL_TCP, 0)
        self.ip_header_length = IPV4_HEADER if len(source) == 4 else IPV6_HEADER
        """Octets before the TCP header: where the device starts to sum."""
        self._ip = b""
        self._partial = 0
        self._ip_length = -1
        self._ip_ecn = 0

    def _renew(self, length: int, ecn: int) -> None:
        """Make the parts that only change with the size of the TCP segment, or its ECN."""
        self._ip = encode_ip_header(
            self._source,
            self._destination,
            PROTOCOL_TCP,
            length,
            hop_limit=self._hop_limit,
            ecn=ecn,
            flow_label=self._flow_label,
        )
        self._partial = fold(self._pseudo + length)
        self._ip_length = length
        self._ip_ecn = ecn

    def header(self, segment: Segment, size: int | None = None) -> bytes:
        """The IP and TCP header of `segment`; its payload follows it on the wire.

        With `size`, of a packet that carries so many octets of it.

        The IP header is complete. The TCP checksum field holds the pseudo-header's sum
        (`checksum.partial_checksum`) over as many octets, so the payload itself is not
        touched. LocalError if the packet would be longer than any may be: see MAX_PAYLOAD.
        """
        if size is None:
            size = segment.length
        stamps = segment.timestamps
        flags = segment.flags
        if stamps is None or flags & SYN or segment.sack or segment.user_timeout is not None:
            return self._header_with_options(segment, size)
        length = size + 32
        if length != self._ip_length or segment.ecn != self._ip_ecn:
            self._renew(length, segment.ecn)
        return self._ip + _WITH_TIMESTAMPS.pack(
            self._ports,
            segment.seq,
            segment.ack,
            0x8000 | flags,
            segment.window,
            self._partial,
            0,
            TIMESTAMPS_MARK,
            stamps[0],
            stamps[1],
        )

    def _header_with_options(self, segment: Segment, size: int) -> bytes:
        options = encode_options(segment, syn=bool(segment.flags & SYN))
        header = TCP_HEADER + len(options)
        length = size + header
        if length != self._ip_length or segment.ecn != self._ip_ecn:
            self._renew(length, segment.ecn)
        fixed = _FIXED.pack(
            self._ports,
            segment.seq,
            segment.ack,
            header << 10 | segment.flags,
            segment.window,
            self._partial,
            0,
        )
        return self._ip + fixed + options

    def packet(self, segment: Segment) -> bytes:
        """The whole packet, checksum and all, payload copied: for what no device completes.

        LocalError if `segment.length` is not the payload's.
        """
        packet = bytearray(self.header(segment))
        header_end = len(packet)
        packet += b"".join(segment.payload)
        if len(packet) != header_end + segment.length:
            raise LocalError("segment.length is not the length of its payload")
        start = self.ip_header_length
        at = start + CHECKSUM_OFFSET
        packet[at : at + 2] = internet_checksum(packet[start:]).to_bytes(2, "big")
        return bytes(packet)
