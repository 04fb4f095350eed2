"""From plans to segments: sequence numbers, flags, windows and options of one connection.

Inside the core a byte has an offset that never wraps; only here, and where segments are taken
apart again, does it become a 32-bit sequence number.
"""

from __future__ import annotations

from omtcp.core.config import Config
from omtcp.core.handshake import Agreement, scale_for
from omtcp.core.receive import Receiver
from omtcp.core.sender import Sender
from omtcp.core.timestamps import OrderedTimestamps
from omtcp.core.transmission import PING, Plan
from omtcp.wire.seq import SEQ_MODULUS, seq_add, unwrap
from omtcp.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment


class Composer:
    """Makes the segments of a connection, and translates the numbers of those that arrive."""

    __slots__ = (
        "_ports",
        "_receiver",
        "_timestamps",
        "agreement",
        "irs",
        "iss",
    )

    def __init__(
        self,
        ports: tuple[int, int],
        iss: int,
        receiver: Receiver,
        timestamps: OrderedTimestamps,
    ) -> None:
        """`ports` are ours and the peer's."""
        self._ports = ports
        self._receiver = receiver
        self._timestamps = timestamps
        self.iss = iss
        self.irs = 0
        self.agreement: Agreement | None = None

    def synchronize(self, segment: Segment, config: Config, version: int) -> None:
        """The peer's SYN came."""
        self.irs = segment.seq
        self.agreement = agreement = Agreement.from_syn(segment, config, version)
        if segment.timestamps and agreement.timestamps:
            self._timestamps.recent = segment.timestamps[0]
        self._receiver.window_shift = agreement.receive_shift

    # Numbers that arrive

    def received_offset(self, seq: int) -> int:
        """Where in the peer's stream `seq` lies; its first data byte is 0, its SYN -1."""
        return unwrap((seq - self.irs - 1) % SEQ_MODULUS, self._receiver.rcv_nxt)

    def sent_offset(self, number: int, near: int) -> int:
        """Where in our stream an acknowledgment number or a SACK edge lies."""
        return unwrap((number - self.iss - 1) % SEQ_MODULUS, near)

    # Segments that leave

    def syn(self, now: int, config: Config, path_size: int) -> Segment:
        """Our SYN, or SYN-ACK when the peer's SYN is known."""
        agreement = self.agreement
        segment = self._segment(-1, SYN if agreement is None else SYN | ACK)
        segment.window = min(self._receiver.window, 0xFFFF)
        segment.mss = path_size
        if agreement is None or agreement.scaling:
            segment.window_scale = scale_for(config.receive_buffer_max)
        segment.sack_permitted = config.sack if agreement is None else agreement.sack
        if config.timestamps if agreement is None else agreement.timestamps:
            self._timestamps.begin(now)
            segment.timestamps = (self._timestamps.again(-1), self._timestamps.recent)
        return segment

    def data(self, now: int, plan: Plan, sender: Sender) -> Segment:
        """What the sender planned: new data, a retransmission, or a ping."""
        start, end = plan.start, plan.end
        if plan.kind == PING:
            return self.old_byte(start, sender)
        buffer = sender.buffer
        data_end = min(end, buffer.end)
        flags = ACK if end == data_end else ACK | FIN
        if data_end == buffer.end:
            flags |= PSH
        segment = self._segment(start, flags)
        if start < data_end:
            segment.payload = buffer.slices(start, data_end)
            segment.length = data_end - start
        agreement = self.agreement
        if agreement is not None and agreement.timestamps:
            stamps = self._timestamps
            if plan.kind:
                value = stamps.again(start)
            else:
                value = stamps.first(now, start, coarse=sender.transmission.redundancy is not None)
            segment.timestamps = (value, stamps.recent)
        return segment

    def old_byte(self, offset: int, sender: Sender) -> Segment:
        """One byte that the peer already has: a ping, a window probe, a keep-alive."""
        segment = self._segment(offset, ACK)
        held = sender.buffer.holds(offset)
        segment.payload = sender.buffer.slices(offset, offset + 1) if held else (b"\0",)
        segment.length = 1
        if self.agreement is not None and self.agreement.timestamps:
            segment.timestamps = (self._timestamps.again(offset), self._timestamps.recent)
        return segment

    def acknowledgment(self, now: int, nxt: int) -> Segment:
        """A pure ACK, with what SACK has to say."""
        segment = self._segment(nxt, ACK)
        agreement = self.agreement
        if agreement is None:
            return segment
        if agreement.timestamps:
            segment.timestamps = (self._timestamps.first(now, nxt), self._timestamps.recent)
        if agreement.sack:
            origin = self.irs + 1
            segment.sack = tuple(
                (seq_add(origin, start), seq_add(origin, end))
                for start, end in self._receiver.sack_blocks(3 if agreement.timestamps else 4)
            )
        return segment

    def reset(self, nxt: int) -> Segment:
        """An abort (RFC 9293 section 3.10.5)."""
        return self._segment(nxt, RST | ACK)

    def refusal(self, segment: Segment) -> Segment:
        """The answer to an ACK of something never sent (RFC 9293 section 3.10.7.3)."""
        refusal = self._segment(0, RST)
        refusal.seq = segment.ack
        return refusal

    def _segment(self, offset: int, flags: int) -> Segment:
        agreement, receiver = self.agreement, self._receiver
        local, remote = self._ports
        if agreement is None:
            return Segment(local, remote, seq_add(self.iss, 1 + offset), 0, flags, 0)
        return Segment(
            local,
            remote,
            seq_add(self.iss, 1 + offset),
            seq_add(self.irs, 1 + receiver.rcv_nxt) if flags & ACK else 0,
            flags,
            min(receiver.window >> agreement.receive_shift, 0xFFFF),
        )
