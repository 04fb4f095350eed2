"""Who a segment belongs to, and what an endpoint keeps of those it has never heard of."""

from __future__ import annotations

import gc
from dataclasses import replace
from random import Random

import pytest

from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.state import State
from omtcp.errors import LocalError
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, FIN, RST, SYN, Segment

HERE, THERE = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
NOW = 5_000_000_000
SECOND = 1_000_000_000


def endpoint(**options: int) -> Endpoint:
    made = Endpoint(
        Config(**options),  # type: ignore[arg-type]  # all of them are ints here
        HERE,
        [1500, 1500],
        secret=b"0123456789abcdef",
        random=Random(1).random,
    )
    made.listen(80)
    return made


def segment(port: int, flags: int, *, seq: int = 7, ack: int = 0, to: int = 80) -> Segment:
    return Segment(port, to, seq, ack, flags, 1000, mss=1460 if flags & SYN else None)


def pump(end: Endpoint, now: int = NOW) -> list[Segment]:
    """Everything that is to be sent, and the deadlines noted."""
    sent = []
    for connection in end.poll_ready():
        while (transmit := connection.poll_transmit(now)) is not None:
            sent.append(transmit.segment)
        end.settle(now, connection)
    return sent


def state(connection: Connection) -> State:
    """Where it stands, fresh at each call."""
    return connection.state


def shake(end: Endpoint, port: int) -> Connection:
    """A whole passive handshake."""
    end.handle_segment(NOW, THERE, segment(port, SYN))
    (answer,) = pump(end)
    end.handle_segment(NOW, THERE, segment(port, ACK, seq=8, ack=seq_add(answer.seq, 1)))
    pump(end)
    connection = end.poll_accept()
    assert connection is not None
    return connection


def test_a_handshake_makes_one_connection() -> None:
    end = endpoint()
    connection = shake(end, 1000)
    assert connection.state is State.ESTABLISHED
    assert connection.flow.remote_port == 1000
    assert end.poll_accept() is None


def test_the_backlog_bounds_who_is_half_open_and_frees_itself() -> None:
    end = endpoint(syn_backlog=3, syn_retries=0)
    for port in range(1000, 1010):
        end.handle_segment(NOW, THERE, segment(port, SYN))
        pump(end)
    assert len(end.connections) == 3
    later = NOW + 2 * SECOND
    end.handle_timeout(later)
    pump(end, later)
    assert not end.connections
    shake(end, 2000)


def test_a_flood_does_not_keep_out_who_answers_soon() -> None:
    """The oldest that has not answered makes room (RFC 4987 section 3.3)."""
    end = endpoint(syn_backlog=3)
    for port in range(1000, 1010):
        end.handle_segment(NOW, THERE, segment(port, SYN))
        pump(end)
    connection = shake(end, 2000)
    assert state(connection) is State.ESTABLISHED
    assert {flow[2] for flow in end.connections} == {1008, 1009, 2000}


def test_who_resets_gives_its_place_in_the_backlog_back() -> None:
    end = endpoint(syn_backlog=1)
    for port in range(1000, 1010):
        end.handle_segment(NOW, THERE, segment(port, SYN))
        assert pump(end), "no answer to the SYN"
        end.handle_segment(NOW, THERE, segment(port, RST, seq=8))
        pump(end)
    assert not end.connections


def test_who_is_aborted_half_open_gives_its_place_back() -> None:
    end = endpoint(syn_backlog=1)
    for port in range(1000, 1010):
        end.handle_segment(NOW, THERE, segment(port, SYN))
        (connection,) = end.connections.values()
        connection.abort()
        assert [answer.flags for answer in pump(end)][-1] == RST | ACK
    assert not end.connections


def test_opening_at_once_is_not_an_accepted_connection_and_costs_no_backlog() -> None:
    end = endpoint(syn_backlog=1)
    connection = end.connect(NOW, THERE, 443)
    (ours,) = pump(end)
    theirs = segment(443, SYN, to=ours.source_port)
    end.handle_segment(NOW, THERE, theirs)
    pump(end)
    assert state(connection) is State.SYN_RECEIVED
    crossing = replace(theirs, flags=SYN | ACK, ack=seq_add(ours.seq, 1))
    end.handle_segment(NOW, THERE, crossing)
    pump(end)
    assert state(connection) is State.ESTABLISHED
    assert end.poll_accept() is None
    end.handle_segment(NOW, THERE, segment(1000, SYN))
    end.handle_segment(NOW, THERE, segment(1001, SYN))
    assert len(end.connections) == 2, "one connected, one half open"


@pytest.mark.parametrize(
    ("flags", "length", "answer"),
    [
        (ACK, 0, (RST, 500, 0)),
        (ACK | FIN, 0, (RST, 500, 0)),
        (SYN, 0, (RST | ACK, 0, 8)),
        (FIN, 3, (RST | ACK, 0, 11)),
        (0, 0, (RST | ACK, 0, 7)),
    ],
)
def test_strays_are_reset(flags: int, length: int, answer: tuple[int, int, int]) -> None:
    """RFC 9293 section 3.10.7.1."""
    end = endpoint()
    stray = segment(1000, flags, ack=500, to=81)
    stray.payload, stray.length = (bytes(length),) if length else (), length
    end.handle_segment(NOW, THERE, stray)
    reply = end.poll_reply()
    assert reply is not None
    assert (reply.segment.flags, reply.segment.seq, reply.segment.ack) == answer
    assert reply.flow.remote == THERE
    assert reply.segment.destination_port == 1000


def test_a_stray_reset_is_not_answered() -> None:
    end = endpoint()
    end.handle_segment(NOW, THERE, segment(1000, RST, to=81))
    end.handle_segment(NOW, THERE, segment(1000, RST | ACK, to=80))
    assert end.poll_reply() is None


def test_replies_to_strays_are_bounded() -> None:
    end = endpoint()
    for port in range(1000, 3000):
        end.handle_segment(NOW, THERE, segment(port, ACK, to=81))
    count = 0
    while end.poll_reply() is not None:
        count += 1
    assert 0 < count < 1000


def test_two_listeners_on_a_port_are_one_too_many() -> None:
    end = endpoint()
    with pytest.raises(LocalError, match="port 80 is in use"):
        end.listen(80)
    end.unlisten(80)
    end.handle_segment(NOW, THERE, segment(1000, SYN))
    assert not end.connections
    end.listen(80)


def test_connections_keep_going_when_their_port_is_unlistened() -> None:
    end = endpoint()
    connection = shake(end, 1000)
    end.unlisten(80)
    mark = connection.flow
    peer = segment(1000, ACK, seq=8, ack=0)
    end.handle_segment(NOW, THERE, peer)
    assert end.poll_reply() is None
    assert (mark.local_port, mark.remote, mark.remote_port) in end.connections


def test_ephemeral_ports_are_taken_once() -> None:
    end = endpoint()
    ports = {end.connect(NOW, THERE, 443).flow.local_port for _ in range(100)}
    assert len(ports) == 100
    assert min(ports) >= 49_152


def test_no_deadline_is_left_behind_by_a_connection_that_is_gone() -> None:
    end = endpoint()
    connection = shake(end, 1000)
    connection.abort()
    end.touch(connection)
    pump(end)
    assert not end.connections
    assert end.poll_timeout() is None


def held_by(end: Endpoint) -> int:
    """How many connections of `end` are in memory."""
    held = [each for each in gc.get_objects() if isinstance(each, Connection)]
    return sum(each.config is end.config for each in held)


def test_no_memory_is_kept_of_connections_that_are_gone() -> None:
    """They had deadlines hours away: keep-alive."""
    end = endpoint()
    for port in range(1000, 1010):
        connection = shake(end, port)
        end.handle_timeout(NOW + SECOND)
        pump(end, NOW + SECOND)
        connection.abort()
        end.touch(connection)
        pump(end, NOW + SECOND)
        assert held_by(end)
        del connection
    gc.collect()
    assert held_by(end) == 0


def test_those_in_time_wait_are_bounded() -> None:
    end = endpoint(time_wait_most=3)
    for port in range(1000, 1010):
        connection = shake(end, port)
        connection.close()
        end.touch(connection)
        (fin,) = pump(end)
        ours = seq_add(fin.seq, 1)
        end.handle_segment(NOW, THERE, segment(port, FIN | ACK, seq=8, ack=ours))
        pump(end)
        assert state(connection) is State.TIME_WAIT
    assert {flow[2] for flow in end.connections} == {1007, 1008, 1009}
    pump(end, NOW)
    end.handle_timeout(NOW + 61 * SECOND)
    pump(end, NOW + 61 * SECOND)
    assert not end.connections


def test_who_was_ready_first_has_its_turn_first() -> None:
    end = endpoint()
    first, second, third = (shake(end, port) for port in (1000, 1001, 1002))
    for connection in (second, first, second, third):
        end.touch(connection)
    assert [end.next_ready(), end.next_ready()] == [second, first]
    end.touch(second)
    assert [end.next_ready(), end.next_ready(), end.next_ready()] == [third, second, None]


def test_one_in_time_wait_has_no_sender_and_answers_a_repeated_fin() -> None:
    end = endpoint()
    connection = shake(end, 1000)
    connection.write(b"data")
    connection.close()
    end.touch(connection)
    sent = pump(end)
    ours = seq_add(sent[-1].seq, sent[-1].length + 1)
    fin = segment(1000, FIN | ACK, seq=8, ack=ours)
    end.handle_segment(NOW, THERE, fin)
    pump(end)
    assert state(connection) is State.TIME_WAIT
    assert connection.sender is None
    late = NOW + 59 * SECOND
    end.handle_segment(late, THERE, fin)
    (answer,) = pump(end, late)
    assert (answer.flags, answer.seq, answer.ack) == (ACK, ours, 9)
    end.handle_segment(late, THERE, segment(1000, ACK, seq=9, ack=ours))
    assert pump(end, late) == []
    end.handle_timeout(late + 59 * SECOND)
    assert state(connection) is State.TIME_WAIT, "the wait begins anew with every FIN"


def test_an_early_reminder_of_a_quiet_connection_disturbs_nobody() -> None:
    end = endpoint()
    connection = shake(end, 1000)
    at = end.poll_timeout()
    assert at is not None
    connection.close()
    end.touch(connection)
    (fin,) = pump(end)
    end.handle_segment(NOW, THERE, segment(1000, FIN | ACK, seq=8, ack=seq_add(fin.seq, 1)))
    pump(end)
    assert at < NOW + 60 * SECOND
    assert end.poll_due(at) is None
    assert end.next_ready() is None
    assert end.poll_timeout() == NOW + 60 * SECOND
