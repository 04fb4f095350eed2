"""What a segment means, by what is known of the connection."""

from __future__ import annotations

import pytest

from omtcp.core.arrival import Meaning, meaning, meaning_to_listener, meaning_to_opener
from omtcp.core.composer import Composer
from omtcp.core.config import Config
from omtcp.core.receive import Receiver
from omtcp.core.state import SYNCHRONIZED, State
from omtcp.core.timestamps import OrderedTimestamps
from omtcp.wire.tcp import ACK, FIN, RST, SYN, Segment

from .talking import FLOW, ISS, syn, wire

CONNECTED = SYNCHRONIZED - {State.SYN_RECEIVED}


class End:
    """One end that has got 100 bytes, and has room for some more."""

    def __init__(self, state: State = State.ESTABLISHED, *, timestamps: int | None = None) -> None:
        self.state = state
        self.receiver = Receiver(1000, 1000)
        self.timestamps = OrderedTimestamps(0)
        ports = (FLOW.local_port, FLOW.remote_port)
        self.composer = Composer(ports, ISS, self.receiver, self.timestamps)
        opening = syn()
        if timestamps is not None:
            opening.timestamps = (timestamps, 0)
        self.composer.synchronize(opening, Config(), FLOW.version)
        self.receiver.on_data(0, 0, (bytes(100),))
        self.receiver.read(100)

    def meaning(self, segment: Segment) -> Meaning:
        start = self.composer.received_offset(segment.seq)
        return meaning(self.state, self.composer, self.receiver, self.timestamps, start, segment)


RIGHT = 100 + End().receiver.window
"""The right edge of its window."""


def at(offset: int, size: int = 0, flags: int = ACK, stamp: int | None = None) -> Segment:
    """A segment at an offset of the peer's stream."""
    timestamps = None if stamp is None else (stamp, 0)
    return wire(1 + offset, 1, flags, bytes(size), timestamps=timestamps)


@pytest.mark.parametrize(
    ("offset", "size", "flags", "expected"),
    [
        (100, 0, ACK, Meaning.TRAFFIC),
        (100, 10, ACK, Meaning.TRAFFIC),
        (RIGHT - 1, 0, ACK, Meaning.TRAFFIC),
        (RIGHT, 0, ACK, Meaning.OUTSIDE),
        (RIGHT - 1, 10, ACK, Meaning.TRAFFIC),
        (RIGHT, 10, ACK, Meaning.OUTSIDE),
        (99, 0, ACK, Meaning.OUTSIDE),
        (90, 10, ACK, Meaning.OUTSIDE),
        (90, 11, ACK, Meaning.TRAFFIC),
        (99, 0, ACK | FIN, Meaning.OUTSIDE),
        (100, 0, ACK | FIN, Meaning.TRAFFIC),
    ],
)
def test_whether_it_meets_the_window(offset: int, size: int, flags: int, expected: Meaning) -> None:
    """RFC 9293 section 3.10.7.4, first check."""
    assert End().meaning(at(offset, size, flags)) is expected


def test_a_segment_without_an_ack_means_nothing() -> None:
    segment = at(100, 10)
    segment.flags &= ~ACK
    assert End().meaning(segment) is Meaning.NOTHING


class TestReset:
    """RFC 5961 section 3.2."""

    @pytest.mark.parametrize(
        ("offset", "expected"),
        [(100, Meaning.RESET), (101, Meaning.SUSPICIOUS), (99, Meaning.NOTHING)],
    )
    def test_only_the_next_number_is_believed(self, offset: int, expected: Meaning) -> None:
        assert End().meaning(at(offset, flags=RST)) is expected

    def test_an_old_timestamp_does_not_matter(self) -> None:
        """RFC 7323 section 5.2."""
        assert End(timestamps=1000).meaning(at(100, flags=RST, stamp=1)) is Meaning.RESET


class TestTimestamps:
    def test_an_old_one_lies_outside(self) -> None:
        end = End(timestamps=1000)
        assert end.meaning(at(100, 10, stamp=999)) is Meaning.OUTSIDE
        assert end.meaning(at(100, 10, stamp=1001)) is Meaning.TRAFFIC
        assert end.timestamps.recent == 1001

    def test_beyond_the_left_edge_it_is_not_kept(self) -> None:
        end = End(timestamps=1000)
        assert end.meaning(at(200, 10, stamp=1001)) is Meaning.TRAFFIC
        assert end.timestamps.recent == 1000

    def test_a_peer_that_did_not_agree_on_them_is_not_held_to_them(self) -> None:
        assert End().meaning(at(100, 10, stamp=1)) is Meaning.TRAFFIC


class TestRepeatedSyn:
    @pytest.mark.parametrize("state", [state for state in State if state in CONNECTED], ids=str)
    def test_to_a_connection_it_is_suspicious(self, state: State) -> None:
        """RFC 5961 section 4.2."""
        assert End(state).meaning(at(100, flags=SYN)) is Meaning.SUSPICIOUS

    def test_before_that_our_answer_was_lost(self) -> None:
        segment = wire(0, flags=SYN)
        assert End(State.SYN_RECEIVED).meaning(segment) is Meaning.SYN_AGAIN

    def test_or_crossed_with_it(self) -> None:
        """RFC 9293 figure 8."""
        end = End(State.SYN_RECEIVED)
        assert end.meaning(wire(0, 1, SYN)) is Meaning.SYN_ACK
        assert end.meaning(wire(0, 2, SYN)) is Meaning.IMPOSSIBLE


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (SYN, Meaning.SYN),
        (SYN | ACK, Meaning.NOTHING),
        (ACK, Meaning.NOTHING),
        (RST, Meaning.NOTHING),
        (SYN | RST, Meaning.NOTHING),
    ],
)
def test_to_a_listener(flags: int, expected: Meaning) -> None:
    assert meaning_to_listener(wire(0, flags=flags)) is expected


@pytest.mark.parametrize(
    ("ack", "flags", "expected"),
    [
        (1, SYN, Meaning.SYN_ACK),
        (None, SYN, Meaning.SYN),
        (2, SYN, Meaning.IMPOSSIBLE),
        (2, 0, Meaning.IMPOSSIBLE),
        (2, RST, Meaning.NOTHING),
        (1, RST, Meaning.RESET),
        (None, RST, Meaning.NOTHING),
        (1, 0, Meaning.NOTHING),
        (None, FIN, Meaning.NOTHING),
    ],
)
def test_to_an_opener(ack: int | None, flags: int, expected: Meaning) -> None:
    """RFC 9293 section 3.10.7.3."""
    assert meaning_to_opener(End(State.SYN_SENT).composer, wire(0, ack, flags)) is expected
