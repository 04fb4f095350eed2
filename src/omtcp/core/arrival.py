"""What a segment that arrives means, before anything is done about it (RFC 9293 section 3.10.7).

Sequence number, reset, SYN and ACK bit are looked at in the order of that section, with what RFC
5961 has against blind attacks and RFC 7323 against old duplicates. What an acknowledgment or data
means is for others to find out, and which state follows is in `state`.
"""

from __future__ import annotations

from enum import Enum, auto

from omtcp.core.composer import Composer
from omtcp.core.receive import Receiver
from omtcp.core.state import State
from omtcp.core.timestamps import OrderedTimestamps
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, FIN, RST, SYN, Segment


class Meaning(Enum):
    """What is to be made of a segment."""

    NOTHING = auto()
    """It is ignored."""
    TRAFFIC = auto()
    """It belongs where it says: its acknowledgment is taken in, and then its data."""
    OUTSIDE = auto()
    """It lies outside the receive window or is old: the peer is told what would not."""
    SYN = auto()
    """The peer opens the connection."""
    SYN_AGAIN = auto()
    """The peer has not got our SYN-ACK."""
    SYN_ACK = auto()
    """The peer opens the connection, and has got our SYN."""
    RESET = auto()
    """The peer is rid of the connection."""
    IMPOSSIBLE = auto()
    """It acknowledges what was never sent, in a handshake: it is answered with a reset."""
    SUSPICIOUS = auto()
    """It may be a stranger's: the peer, if it was the peer, is asked to prove itself."""


def meaning(
    state: State,
    composer: Composer,
    receiver: Receiver,
    timestamps: OrderedTimestamps,
    start: int,
    segment: Segment,
) -> Meaning:
    """Of `segment`, which begins at offset `start` of the peer's stream, to a synchronized state.

    This is section 3.10.7.4. TS.Recent is updated on the way (RFC 7323 section 5.3).
    """
    flags = segment.flags
    left = receiver.rcv_nxt
    length = segment.length + (flags & FIN)
    acceptable = (start == left and not length) or _meets(
        start, length, left, left + receiver.window
    )
    if acceptable and segment.timestamps:
        agreement = composer.agreement
        if agreement and agreement.timestamps:
            fresh = timestamps.accept(segment.timestamps[0], start <= left)
            acceptable = fresh or bool(flags & RST)
    if not acceptable:
        if flags & RST:
            return Meaning.NOTHING
        if flags & SYN and state is State.SYN_RECEIVED:
            return _repeated_syn(state, composer, segment)
        return Meaning.OUTSIDE
    if flags & RST:  # RFC 5961 section 3.2
        return Meaning.RESET if start == left else Meaning.SUSPICIOUS
    if flags & SYN:
        return _repeated_syn(state, composer, segment)
    return Meaning.TRAFFIC if flags & ACK else Meaning.NOTHING


def _meets(start: int, length: int, left: int, right: int) -> bool:
    """Whether a segment has to do with the receive window [left, right)."""
    if length == 0:
        return left <= start < right
    return start < right and start + length > left


def _repeated_syn(state: State, composer: Composer, segment: Segment) -> Meaning:
    if state is not State.SYN_RECEIVED:
        return Meaning.SUSPICIOUS  # RFC 5961 section 4.2
    if not segment.flags & ACK:
        return Meaning.SYN_AGAIN
    if segment.seq == composer.irs and segment.ack == seq_add(composer.iss, 1):
        return Meaning.SYN_ACK  # both ends opened at once, RFC 9293 figure 8
    return Meaning.IMPOSSIBLE


def meaning_to_listener(segment: Segment) -> Meaning:
    """Of a segment in LISTEN; who else is to be refused the endpoint knows."""
    return Meaning.SYN if segment.flags & (SYN | ACK | RST) == SYN else Meaning.NOTHING


def meaning_to_opener(composer: Composer, segment: Segment) -> Meaning:
    """Of a segment in SYN-SENT (section 3.10.7.3)."""
    flags = segment.flags
    acceptable = flags & ACK and segment.ack == seq_add(composer.iss, 1)
    if flags & ACK and not acceptable:
        return Meaning.NOTHING if flags & RST else Meaning.IMPOSSIBLE
    if flags & RST:
        return Meaning.RESET if acceptable else Meaning.NOTHING
    if not flags & SYN:
        return Meaning.NOTHING
    return Meaning.SYN_ACK if acceptable else Meaning.SYN
