"""What the network does to a super-segment: cutting it, as the segmentation offload would."""

from collections.abc import Iterator
from dataclasses import replace

from omtcp.wire.tcp import CWR, FIN, PSH, Segment

Buffer = bytes | bytearray | memoryview

_BASE = {4: 40, 6: 60}


def wire_size(segment: Segment, version: int = 4) -> int:
    """Bytes of the IP packet that carries `segment`."""
    options = 0
    if segment.timestamps is not None:
        options += 12
    if segment.sack:
        options += 4 + 8 * len(segment.sack)
    if segment.mss is not None:
        options += 12
    return _BASE[version] + options + segment.length


def cut(segment: Segment, segment_size: int) -> Iterator[Segment]:
    """The packets' segments: at most `segment_size` payload bytes each, FIN and PSH on the last."""
    if segment.length <= segment_size:
        yield segment
        return
    data = memoryview(b"".join(segment.payload))
    for start in range(0, segment.length, segment_size):
        piece = data[start : start + segment_size]
        last = start + len(piece) == segment.length
        flags = segment.flags if last else segment.flags & ~(FIN | PSH)
        if start:
            flags &= ~CWR  # RFC 3168 section 6.1.2: CWR goes with the first
        yield replace(
            segment,
            seq=(segment.seq + start) % (1 << 32),
            flags=flags,
            payload=(piece,),
            length=len(piece),
        )
