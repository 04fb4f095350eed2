"""What an endpoint tells about itself when asked: values, taken at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStats:
    """One path of one connection. `state` is up, probing, suspect or defective; sizes are bytes."""

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
class ConnectionStats:
    """One connection; `paths` are in the order of `--path`."""

    peer: str
    """Address and port, as `192.0.2.1:4711` or `[2001:db8::1]:4711`."""
    primary: int
    """Index of the primary path."""
    paths: tuple[PathStats, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats:
    """All connections that an endpoint holds."""

    connections: tuple[ConnectionStats, ...]
