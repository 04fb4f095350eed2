"""From a long segment to packets: super-segments of 64 KiB or more, which the device cuts further.

The layers above deal in runs of any length, and pay per run. Of the headers of one run little but
the sequence number differs.
"""

from collections.abc import Iterator
from struct import Struct

from omtcp.wire.buffer import Buffer
from omtcp.wire.header import MAX_PAYLOAD, HeaderWriter
from omtcp.wire.seq import SEQ_MASK
from omtcp.wire.tcp import CWR, FIN, PSH, Segment

Packet = tuple[Buffer, tuple[Buffer, ...]]
"""IP and TCP header, and the payload in pieces."""

_SEQ = Struct("!I")
_SEQ_AT = 4
_FLAGS_AT = 13
"""Where in the TCP header they are."""


def super_segment_size(segment_size: int, most: int = MAX_PAYLOAD) -> int:
    """Payload bytes of a full super-segment: whole segments, at least one, `most` if they fit."""
    return max(most // segment_size, 1) * segment_size


def packets(
    writer: HeaderWriter, segment: Segment, segment_size: int, most: int = MAX_PAYLOAD
) -> Iterator[Packet]:
    """The packets of `segment`, cut where the device would cut as well; nothing is copied.

    Each carries `most` bytes at most. FIN and PSH go with the last, CWR with the first (RFC 3168
    section 6.1.2), and all have the options. Where the same header comes again, only its sequence
    number is another.
    """
    size = super_segment_size(segment_size, most)
    length = segment.length
    if length <= size:
        yield writer.header(segment), segment.payload
        return
    pieces = _cut(segment.payload, size)
    last = pieces.pop()
    header = bytearray(writer.header(segment, size))
    seq_at = writer.ip_header_length + _SEQ_AT
    flags_at = writer.ip_header_length + _FLAGS_AT
    header[flags_at] &= ~(FIN | PSH)
    seq = segment.seq
    if segment.flags & CWR:
        yield bytes(header), pieces.pop(0)
        seq = seq + size & SEQ_MASK
        header[flags_at] &= ~CWR
    for payload in pieces:
        _SEQ.pack_into(header, seq_at, seq)
        yield header, payload
        seq = seq + size & SEQ_MASK
    header = bytearray(writer.header(segment, (length - 1) % size + 1))
    _SEQ.pack_into(header, seq_at, seq)
    header[flags_at] &= ~CWR
    yield header, last


def _cut(payload: tuple[Buffer, ...], size: int) -> list[tuple[Buffer, ...]]:
    """The octets in pieces of `size`, the last one shorter."""
    if len(payload) == 1:
        view = memoryview(payload[0])
        return [(view[at : at + size],) for at in range(0, len(view), size)]
    pieces: list[tuple[Buffer, ...]] = []
    parts: list[Buffer] = []
    room = size
    for buffer in payload:
        view = memoryview(buffer)
        start = 0
        while len(view) - start >= room:
            parts.append(view[start : start + room])
            pieces.append(tuple(parts))
            parts.clear()
            start += room
            room = size
        if start < len(view):
            parts.append(view[start:])
            room -= len(view) - start
    if parts:
        pieces.append(tuple(parts))
    return pieces
