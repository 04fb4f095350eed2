"""What two ends agree on in their SYNs."""

from __future__ import annotations

from dataclasses import dataclass

from omtcp.core.config import Config
from omtcp.wire.tcp import Segment

DEFAULT_MSS = {4: 536, 6: 1220}
"""When the peer's SYN carries no MSS option (RFC 9293 section 3.7.1)."""
MINIMUM_MSS = 64
"""An offer below it is an attack on our packet rate, not a link."""
_TIMESTAMPS_LENGTH = 12


def scale_for(window: int) -> int:
    """The shift that lets a 16-bit field announce `window` bytes (RFC 7323 section 2.2)."""
    shift = 0
    while window >> shift > 0xFFFF and shift < 14:
        shift += 1
    return shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The outcome of both SYNs, from our side."""

    mss: int
    """What the peer accepts per segment, its options included (RFC 6691)."""
    send_shift: int
    """Of the windows we receive."""
    receive_shift: int
    """Of the windows we announce."""
    scaling: bool
    sack: bool
    timestamps: bool

    @classmethod
    def from_syn(cls, segment: Segment, config: Config, version: int) -> Agreement:
        """What follows from the peer's SYN or SYN-ACK and our own options."""
        scaling = segment.window_scale is not None
        mss = segment.mss if segment.mss is not None else DEFAULT_MSS[version]
        return cls(
            mss=max(mss, MINIMUM_MSS),
            send_shift=min(segment.window_scale or 0, 14),
            receive_shift=scale_for(config.receive_buffer_max) if scaling else 0,
            scaling=scaling,
            sack=config.sack and segment.sack_permitted,
            timestamps=config.timestamps and segment.timestamps is not None,
        )

    def segment_size(self, path_mss: int) -> int:
        """Payload bytes per segment on a path whose MTU admits `path_mss` without options."""
        size = min(self.mss, path_mss)
        return max(size - _TIMESTAMPS_LENGTH * self.timestamps, 1)
