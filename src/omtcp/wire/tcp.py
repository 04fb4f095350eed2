"""TCP segments (RFC 9293 section 3.1) as values."""

from dataclasses import dataclass
from enum import IntFlag
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

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
