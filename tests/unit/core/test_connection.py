"""What a connection must get right between two packets; dialogues are in tests/script."""

from __future__ import annotations

import pytest

from omtcp.core.config import Config
from omtcp.core.events import Closed, Established
from omtcp.core.state import State
from omtcp.errors import LocalError, PeerTimeoutError
from omtcp.wire.tcp import ACK, RST, SYN

from .talking import IRS, ISS, MS, SECOND, Talk, numbers, syn, wire


def test_both_ends_opening_at_once_end_up_connected() -> None:
    """RFC 9293 section 3.5, figure 8: the SYN-ACKs cross, and must not draw more of them."""
    talk = Talk()
    (first,) = talk.connect()
    assert first.segment.flags == SYN
    (second,) = talk.take(syn())
    assert second.segment.flags == SYN | ACK
    assert talk.state() is State.SYN_RECEIVED
    sent = talk.take(wire(0, 1, SYN))
    assert talk.state() is State.ESTABLISHED
    assert [numbers(transmit) for transmit in sent] == [(1, 0, 1)]
    assert talk.events() == [Established()]


def test_a_crossing_syn_ack_of_something_else_is_refused() -> None:
    talk = Talk()
    talk.connect()
    talk.take(syn())
    (answer,) = talk.take(wire(0, 99, SYN))
    assert answer.segment.flags == RST
    assert talk.state() is State.SYN_RECEIVED


def test_a_syn_that_is_repeated_does_not_prolong_the_handshake() -> None:
    """Else a handful of them would keep a place in the backlog for years."""
    talk = Talk(Config(syn_retries=2))
    talk.listen()
    for _ in range(50):
        (answer,) = talk.take(syn())
        assert answer.segment.flags == SYN | ACK
    again = talk.wait(7 * SECOND)
    assert [transmit.segment.flags for transmit in again] == [SYN | ACK] * 2
    assert talk.state() is State.CLOSED
    (closed,) = talk.events()
    assert isinstance(closed, Closed)
    assert isinstance(closed.error, PeerTimeoutError)


def test_data_that_is_lost_waits_for_a_window_that_was_taken_back() -> None:
    """RFC 9293 section 3.8.6: robust against a shrinking window; only probes go meanwhile."""
    talk = Talk()
    talk.accept()
    talk.write(bytes(4000))
    talk.take(wire(1, 1, window=0))
    sent = talk.wait(5 * SECOND)
    assert sent
    assert {numbers(transmit)[:2] for transmit in sent} <= {(0, 1), (1, 1)}
    sent = talk.take(wire(1, 1, window=512))
    assert numbers(sent[0])[0] == 1
    assert sum(numbers(transmit)[1] for transmit in sent) >= 1460


@pytest.mark.parametrize("ack", [-70_000, 1 << 30, 5000])
def test_an_ack_far_from_what_was_sent_draws_a_challenge_and_no_more(ack: int) -> None:
    """RFC 5961 section 5.2."""
    talk = Talk()
    talk.accept(window=100)
    talk.write(bytes(1000))
    answers = talk.take(wire(1, ack, data=b"injected"))
    assert [numbers(transmit) for transmit in answers] == [(1001, 0, 1)]
    assert talk.connection.read() == b""


def test_an_old_ack_still_brings_its_data() -> None:
    talk = Talk()
    talk.accept()
    talk.write(bytes(1000))
    talk.take(wire(1, 1001))
    talk.take(wire(1, 1, data=b"late"))
    assert talk.connection.read() == b"late"


def test_writing_after_close_is_the_callers_mistake() -> None:
    talk = Talk()
    talk.accept()
    talk.close()
    with pytest.raises(LocalError, match="write after close"):
        talk.connection.write(b"more")


def test_sequence_numbers_start_where_they_were_told() -> None:
    talk = Talk()
    (first,) = talk.connect()
    assert first.segment.seq == ISS
    (ack,) = talk.take(wire(0, 1, SYN))
    assert ack.segment.ack == (IRS + 1) % (1 << 32)
    assert talk.wait(100 * MS) == []


@pytest.mark.parametrize("days", [0, 13, 25, 40, 60])
def test_timestamps_follow_the_syns_however_long_the_host_is_up(days: int) -> None:
    """The clock may start anywhere; a peer compares TSvals modulo 2^32 (RFC 7323 section 5.2)."""
    talk = Talk()
    talk.now += days * 86_400 * SECOND
    talk.listen()
    opening = syn()
    opening.timestamps = (5, 0)
    (syn_ack,) = talk.take(opening)
    talk.now += 20 * MS
    talk.take(wire(1, 1, timestamps=(25, 0)))
    (data,) = talk.write(bytes(100))
    assert syn_ack.segment.timestamps is not None
    assert data.segment.timestamps is not None
    assert (data.segment.timestamps[0] - syn_ack.segment.timestamps[0]) % (1 << 32) == 20


def test_no_memory_is_kept_of_timestamps_that_are_acknowledged() -> None:
    talk = Talk()
    talk.listen()
    opening = syn()
    opening.timestamps = (5, 0)
    talk.take(opening)
    talk.take(wire(1, 1, timestamps=(25, 0)))
    sizes = []
    for count in range(1, 200):
        talk.write(bytes(100))
        talk.now += 10 * MS
        talk.take(wire(1, 1 + 100 * count, timestamps=(25 + 10 * count, 0)))
        sizes.append(len(talk.connection._timestamps))
    assert max(sizes) < 50


def test_who_was_polled_dry_has_changed_only_once_something_came_up() -> None:
    talk = Talk()
    talk.accept()
    connection = talk.connection
    assert talk.sent() == []
    assert not connection.changed
    connection.write(b"data")
    assert connection.changed
    assert talk.sent()
    assert not connection.changed
    connection.abort()
    assert connection.changed  # a RST waits
