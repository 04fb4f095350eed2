"""From a long segment to packets: super-segments of up to 64 KiB, which the device cuts further.

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


def super_segment_size(segment_size: int) -> int:
    """Payload bytes of a full super-segment: whole segments, at least one."""
    return max(MAX_PAYLOAD // segment_size, 1) * segment_size


def packets(writer: HeaderWriter, segment: Segment, segment_size: int) -> Iterator[Packet]:
    """The packets of `segment`, cut where the device would cut as well; nothing is copied.

    FIN and PSH go with the last, CWR with the first (RFC 3168 section 6.1.2), and all have the
    options. A header's memory is used again for the next one.
    """
    size = super_segment_size(segment_size)
    length = segment.length
    if length <= size:
        yield writer.header(segment), segment.payload
        return
    piece = Segment(
        segment.source_port,
        segment.destination_port,
        segment.seq,
        segment.ack,
        segment.flags & ~(FIN | PSH),
        segment.window,
        sack=segment.sack,
        timestamps=segment.timestamps,
        user_timeout=segment.user_timeout,
        length=size,
        ecn=segment.ecn,
    )
    header = bytearray(writer.header(piece))
    seq_at = writer.ip_header_length + 4
    last = (length - 1) // size * size
    pieces = _cut(segment.payload, size)
    for start in range(0, last, size):
        if start:
            _SEQ.pack_into(header, seq_at, segment.seq + start & SEQ_MASK)
            header[seq_at + 9] &= ~CWR
        yield header, next(pieces)
    piece.flags = segment.flags & ~CWR
    piece.seq = segment.seq + last & SEQ_MASK
    piece.length = length - last
    yield writer.header(piece), next(pieces)


def _cut(payload: tuple[Buffer, ...], size: int) -> Iterator[tuple[Buffer, ...]]:
    """The octets in pieces of `size`, the last one shorter."""
    parts: list[Buffer] = []
    room = size
    for buffer in payload:
        view = memoryview(buffer)
        start = 0
        while len(view) - start >= room:
            parts.append(view[start : start + room])
            yield tuple(parts)
            parts.clear()
            start += room
            room = size
        if start < len(view):
            parts.append(view[start:])
            room -= len(view) - start
    if parts:
        yield tuple(parts)
