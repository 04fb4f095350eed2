"""What a link is, as one frozen value."""

from dataclasses import dataclass

from omtcp.errors import LocalError
from omtcp.link.loss import Loss

BITS_NS = 8_000_000_000
"""Bits per byte times nanoseconds per second: bytes * BITS_NS / rate is a time."""


def bdp_bytes(rate_bps: int, rtt_ns: int, factor: float = 1.0) -> int:
    """The bandwidth-delay product in bytes, times `factor`, rounded up."""
    product = -(-rate_bps * rtt_ns // BITS_NS)
    return product if factor == 1.0 else round(product * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """One direction of a link.

    rate_bps: bits per second, None for infinitely fast (nothing ever queues).
    delay_ns: propagation, counted from the end of serialisation.
    jitter_ns: up to this much more delay, uniformly; packets never overtake one another.
    queue_bytes: room for waiting packets, drop-tail; None for no bound. What is left of the packet
        on the wire counts; a packet that finds the link idle is always taken.
    loss: packets that are serialised and then vanish; None for none.
    mark_bytes: queue length above which ECN-capable packets are marked (CE); None for never.
    mtu: larger packets are dropped; None for no limit. Same framing as the offered sizes.
    up: a link that is down drops everything.
    """

    rate_bps: int | None = None
    delay_ns: int = 0
    jitter_ns: int = 0
    queue_bytes: int | None = None
    loss: Loss | None = None
    mark_bytes: int | None = None
    mtu: int | None = None
    up: bool = True

    def __post_init__(self) -> None:
        if self.rate_bps is not None and self.rate_bps <= 0:
            raise LocalError(f"a link's rate must be positive, not {self.rate_bps}")
        for name in ("delay_ns", "jitter_ns", "queue_bytes", "mark_bytes", "mtu"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise LocalError(f"a link's {name} must not be negative, got {value}")
