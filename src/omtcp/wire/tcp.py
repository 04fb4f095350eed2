"""TCP segments (RFC 9293 section 3.1) as values, and how they are read from packets.

Writing them is in `header`; options in their general form are in `options`.
"""

from dataclasses import dataclass
from enum import IntFlag
from struct import Struct

from omtcp.errors import WireError
from omtcp.wire.buffer import Buffer as Buffer  # part of this module's interface
from omtcp.wire.checksum import pseudo_header_sum, word_sum
from omtcp.wire.ip import PROTOCOL_TCP
from omtcp.wire.options import USUAL_SYN_LENGTH, parse_options, parse_usual_syn

TCP_HEADER = 20

# Plain ints, because `flags & SYN` on an IntFlag member costs ten times as much.
FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
URG = 0x20
ECE = 0x40
CWR = 0x80


class Flags(IntFlag):
    """The same bits with names, for `repr(Flags(segment.flags))` in traces and debuggers."""

    FIN = FIN
    SYN = SYN
    RST = RST
    PSH = PSH
    ACK = ACK
    URG = URG
    ECE = ECE
    CWR = CWR


@dataclass(slots=True)
class Segment:
    """One TCP segment, received or to be sent, without its addresses.

    An outgoing segment may be a super-segment: up to 64 KiB of payload in several buffers, which
    the device cuts into packets. `window` is the raw header field, before any scaling. `payload`
    holds references, never copies; `length` is the sum of its sizes.
    """

    source_port: int
    destination_port: int
    seq: int
    """32-bit sequence number of the first payload octet, or of the SYN."""
    ack: int
    flags: int
    window: int
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    """(left edge, right edge) per block, 32 bits each, in the order of the wire (RFC 2018)."""
    timestamps: tuple[int, int] | None = None
    """(TSval, TSecr) (RFC 7323 section 3)."""
    user_timeout: int | None = None
    """The raw 16-bit option: granularity bit and value (RFC 5482 section 3)."""
    payload: tuple[Buffer, ...] = ()
    length: int = 0
    """Payload octets."""
    ecn: int = 0
    """ECN codepoint of the IP header that carried or shall carry this segment (RFC 3168)."""


_FIXED = Struct("!HHIIBBHHH")
_MARK = Struct("!I")
_TIMESTAMPS = Struct("!III")
_BLOCK = Struct("!II")

TIMESTAMPS_MARK = 0x0101_080A
"""NOP, NOP, kind 8, length 10: how timestamps start in every segment but a SYN."""

_SACK_MARKS = {4 + 8 * blocks: 0x0101_0500 | 2 + 8 * blocks for blocks in range(1, 5)}
"""Octets that SACK takes when aligned -> NOP, NOP, kind 5, length: how it starts."""


def parse_segment(
    data: memoryview,
    source: bytes,
    destination: bytes,
    *,
    ecn: int = 0,
    checksum_valid: bool = False,
) -> Segment:
    """Parse the TCP segment that is the payload of an IP packet between these addresses.

    The segment's payload is a view into `data`. `checksum_valid` says that somebody else has
    verified the checksum, or that the packet never left the host and has none yet. Raises
    WireError.
    """
    size = len(data)
    if size < TCP_HEADER:
        raise WireError("TCP header truncated")
    (
        source_port,
        destination_port,
        seq,
        ack,
        offset,
        flags,
        window,
        _checksum,
        _urgent,
    ) = _FIXED.unpack_from(data)
    header = offset >> 2 & 0x3C
    if not TCP_HEADER <= header <= size:
        raise WireError(f"TCP header of {header} octets in a segment of {size}")
    if not checksum_valid:
        total = pseudo_header_sum(source, destination, PROTOCOL_TCP, size) + word_sum(data)
        if total % 0xFFFF:
            raise WireError("TCP checksum")
    segment = Segment(source_port, destination_port, seq, ack, flags, window)
    if header > TCP_HEADER and not _parse_usual_options(data, header, segment):
        parse_options(data[TCP_HEADER:header], segment)
    if size > header:
        segment.payload = (data[header:],)
        segment.length = size - header
    segment.ecn = ecn
    return segment


def _parse_usual_options(data: memoryview, header: int, segment: Segment) -> bool:
    """Read what segments usually have, laid out as all stacks do it; False if it is not so.

    That is timestamps, or SACK, or both, and in a SYN all but SACK.
    """
    at = TCP_HEADER
    if header == TCP_HEADER + USUAL_SYN_LENGTH and parse_usual_syn(data, at, segment):
        return True
    if header >= 32:
        mark, value, echo = _TIMESTAMPS.unpack_from(data, TCP_HEADER)
        if mark == TIMESTAMPS_MARK:
            segment.timestamps = (value, echo)
            if header == 32:
                return True
            at = 32
    if _SACK_MARKS.get(header - at) != _MARK.unpack_from(data, at)[0]:
        return False
    segment.sack = tuple(_BLOCK.iter_unpack(data[at + 4 : header]))
    return True
