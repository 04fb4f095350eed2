"""What an endpoint tells about itself when asked: values, taken at one moment."""

from dataclasses import dataclass

NO_PRIMARY = -1
"""Where the primary is a path that is no more, and there is no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStats:
    """One path of one connection, sizes in bytes.

    `state` is up, probing, suspect, defective or drained.
    """

    name: str
    state: str
    cwnd: int
    srtt_ns: int
    """Smoothed round-trip time; 0 before the first sample."""
    in_flight: int
    bytes_sent: int
    """Payload bytes this path has carried, retransmissions included."""
    bytes_retransmitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReport:
    """One path and what all connections have of it. Sizes are bytes of payload."""

    at_ns: int
    """When this was so."""
    index: int
    name: str
    """As DEV or DEV@GATEWAY."""
    device: str
    gateway: str | None
    state: str
    """What the operator and the host make of it: up, down (its link) or drained."""
    link_up: bool
    cost: int
    connections: int
    """Those that may send data over it now."""
    suspect: int
    """Those for which it is silent."""
    primary_of: int
    in_flight: int
    """Under way and not acknowledged; once a drained path has none it may be unplugged."""
    bytes_sent: int
    """Since it was added, by connections that ended too, retransmissions included."""
    bytes_retransmitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStats:
    """One connection; `paths` are those it has, in the order in which they were given."""

    peer: str
    """Address and port, as `192.0.2.1:4711` or `[2001:db8::1]:4711`."""
    primary: int
    """Which of `paths` is the primary, or NO_PRIMARY."""
    paths: tuple[PathStats, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkStats:
    """What one path has carried, by connections that ended too; bytes of payload."""

    name: str
    bytes_sent: int
    bytes_retransmitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats:
    """All connections that an endpoint holds, and the paths that there are."""

    connections: tuple[ConnectionStats, ...]
    uplinks: tuple[UplinkStats, ...] = ()
