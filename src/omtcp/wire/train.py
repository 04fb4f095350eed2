"""Super-segments: what a run of the stream becomes when it is longer than a packet can be.

The layers above deal in runs of any length, and pay per run. A device takes 64 KiB at a time.
"""

from collections.abc import Iterator
from itertools import pairwise

from omtcp.wire.buffer import Buffer
from omtcp.wire.header import MAX_PAYLOAD
from omtcp.wire.seq import SEQ_MASK
from omtcp.wire.tcp import CWR, FIN, PSH, Segment


def super_segment_size(segment_size: int) -> int:
    """Payload bytes of a full super-segment: whole segments, at least one."""
    return max(MAX_PAYLOAD // segment_size, 1) * segment_size


def super_segments(segment: Segment, segment_size: int) -> Iterator[Segment]:
    """`segment` in pieces that fit a packet each, cut where the device would cut as well.

    FIN and PSH go with the last, CWR with the first (RFC 3168 section 6.1.2), and every piece
    repeats the options. Nothing is copied.
    """
    size = super_segment_size(segment_size)
    if segment.length <= size:
        yield segment
        return
    ends = [*range(0, segment.length, size), segment.length]
    flags = segment.flags & ~(FIN | PSH)
    for start, end in pairwise(ends):
        if end == segment.length:
            flags |= segment.flags & (FIN | PSH)
        yield Segment(
            segment.source_port,
            segment.destination_port,
            segment.seq + start & SEQ_MASK,
            segment.ack,
            flags,
            segment.window,
            sack=segment.sack,
            timestamps=segment.timestamps,
            user_timeout=segment.user_timeout,
            payload=_slice(segment.payload, start, end),
            length=end - start,
            ecn=segment.ecn,
        )
        flags &= ~CWR


def _slice(payload: tuple[Buffer, ...], start: int, end: int) -> tuple[Buffer, ...]:
    """Octets `start` to before `end` of what the buffers hold together."""
    parts = []
    for buffer in payload:
        size = len(buffer)
        if start < size and end > 0:
            parts.append(memoryview(buffer)[max(start, 0) : end])
        start -= size
        end -= size
    return tuple(parts)
