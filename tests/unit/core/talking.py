"""One connection and a peer that a test plays by hand, with relative sequence numbers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from omtcp.core.config import Config
from omtcp.core.connection import Connection, Transmit
from omtcp.core.events import Event
from omtcp.core.flow import Flow
from omtcp.core.paths import Paths
from omtcp.core.state import State
from omtcp.trace.events import Event as TraceEvent
from omtcp.wire.seq import seq_add, seq_diff
from omtcp.wire.tcp import ACK, SYN, Segment

LOCAL, REMOTE = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
FLOW = Flow(LOCAL, 80, REMOTE, 40_000)
ISS, IRS = 0xFFFF_FF00, 0xFFFF_FFF0
"""Close to the wrap, so that every test crosses it."""
SECOND = 1_000_000_000
MS = 1_000_000


def wire(
    seq: int,
    ack: int | None = None,
    flags: int = 0,
    data: bytes = b"",
    *,
    window: int = 0xFFFF,
    sack: tuple[tuple[int, int], ...] = (),
    timestamps: tuple[int, int] | None = None,
    iss: int = ISS,
    irs: int = IRS,
) -> Segment:
    """What the peer sends; `seq` 0 is its SYN, `ack` and `sack` count from ours."""
    return Segment(
        FLOW.remote_port,
        FLOW.local_port,
        seq_add(irs, seq),
        0 if ack is None else seq_add(iss, ack),
        flags if ack is None else flags | ACK,
        window,
        sack=tuple((seq_add(iss, left), seq_add(iss, right)) for left, right in sack),
        timestamps=timestamps,
        payload=(data,) if data else (),
        length=len(data),
    )


def syn(*, sack: bool = True, scale: int | None = 7, mss: int | None = 1460) -> Segment:
    """The peer's SYN."""
    return replace(wire(0, flags=SYN), mss=mss, window_scale=scale, sack_permitted=sack)


class Talk:
    """A connection at time `now`, all that it sent, and all that it said."""

    def __init__(self, config: Config | None = None, *, paths: int = 1, seed: int = 1) -> None:
        self.now = 10 * SECOND
        self.trace: list[TraceEvent] = []
        self.connection = Connection(
            config or Config(),
            FLOW,
            Paths([1460] * paths),
            iss=ISS,
            random=Random(seed).random,
            sink=lambda now, connection, event: self.trace.append(event),
        )

    def listen(self) -> None:
        """Wait for a SYN."""
        self.connection.listen()

    def connect(self) -> list[Transmit]:
        """Send one."""
        self.connection.connect(self.now)
        return self.sent()

    def accept(self, segment: Segment | None = None, *, window: int = 512) -> None:
        """The whole passive handshake, the peer's window being `window` << 7."""
        self.listen()
        self.take(segment or syn())
        self.take(wire(1, 1, window=window))
        self.events()

    def state(self) -> State:
        """Where the connection stands, fresh at each call."""
        return self.connection.state

    def take(self, *segments: Segment) -> list[Transmit]:
        """Segments arrive; what is sent then."""
        for segment in segments:
            self.connection.handle_segment(self.now, segment)
        return self.sent()

    def sent(self) -> list[Transmit]:
        """Everything that is to be sent now."""
        transmits = []
        while (transmit := self.connection.poll_transmit(self.now)) is not None:
            transmits.append(transmit)
            assert len(transmits) < 10_000, "no end of segments"
        return transmits

    def write(self, data: bytes) -> list[Transmit]:
        """The application writes."""
        self.connection.write(data)
        return self.sent()

    def close(self) -> list[Transmit]:
        """The application closes."""
        self.connection.close()
        return self.sent()

    def events(self) -> list[Event]:
        """What the connection has to say."""
        events = []
        while (event := self.connection.poll_event()) is not None:
            events.append(event)
        return events

    def wait(self, duration: int) -> list[Transmit]:
        """Let time pass, handling each deadline in it; all that is sent."""
        end = self.now + duration
        transmits = []
        for _ in range(10_000):
            at = self.connection.poll_timeout(self.now)
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.connection.handle_timeout(self.now)
            transmits += self.sent()
        else:
            raise AssertionError("no end of deadlines")
        self.now = end
        return transmits


def numbers(transmit: Transmit) -> tuple[int, int, int]:
    """(seq, length, ack) of what was sent, relative to the two SYNs."""
    segment = transmit.segment
    ack = seq_diff(segment.ack, IRS) if segment.flags & ACK else 0
    return seq_diff(segment.seq, ISS), segment.length, ack
