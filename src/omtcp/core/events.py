"""What a connection tells its owner; taken with `Connection.poll_event`."""

from dataclasses import dataclass

from omtcp.errors import OmtcpError


@dataclass(frozen=True, slots=True)
class Established:
    """The handshake is complete."""


@dataclass(frozen=True, slots=True)
class Readable:
    """`Connection.read` has something to return."""


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """The peer sent a FIN and everything before it has arrived."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The send buffer has fallen to the mark set with `Connection.notify_below`."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; nothing more comes. `error` is None after an orderly close."""

    error: OmtcpError | None


Event = Established | Readable | EndOfStream | Drained | Closed
