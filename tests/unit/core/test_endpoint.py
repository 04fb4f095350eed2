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
from omtcp.core.strangers import REPLIES_MOST
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


def knock(port: int = 2000, **options: object) -> Segment:
    """A SYN as Linux sends it, unless told otherwise."""
    usual = {"mss": 1460, "window_scale": 7, "sack_permitted": True, "timestamps": (77, 0)}
    return replace(segment(port, SYN), **{**usual, **options})  # type: ignore[arg-type]  # fields


def crowd(**options: int) -> Endpoint:
    """An endpoint that remembers no more than one handshake, and that is taken."""
    end = endpoint(syn_backlog=1, **options)
    end.handle_segment(NOW, THERE, knock(1000))
    pump(end)
    assert end.crowded
    return end


def cookie_for(end: Endpoint, syn: Segment, path: int = 0) -> Segment:
    end.handle_segment(NOW, THERE, syn, path)
    assert pump(end) == []
    reply = end.poll_reply()
    assert reply is not None
    assert reply.path == path
    assert len(end.connections) == 1, "it is not remembered"
    return reply.segment


def bring_back(cookie: Segment, port: int = 2000) -> Segment:
    stamps = None if cookie.timestamps is None else (78, cookie.timestamps[0])
    ack = seq_add(cookie.seq, 1)
    return Segment(port, 80, 8, ack, ACK, 500, timestamps=stamps)


class TestCookies:
    def test_all_that_matters_survives(self) -> None:
        end = crowd()
        cookie = cookie_for(end, knock(), 1)
        assert (cookie.flags, cookie.ack, cookie.mss) == (SYN | ACK, 8, 1460)
        assert cookie.sack_permitted
        assert cookie.window_scale == 7
        assert cookie.timestamps is not None
        assert cookie.timestamps[1] == 77
        end.handle_segment(NOW + SECOND, THERE, bring_back(cookie), 1)
        connection = end.poll_accept()
        assert connection is not None
        assert state(connection) is State.ESTABLISHED
        assert connection.sender is not None
        assert connection.sender.window.right == 500 << 7
        assert [flow.mss for flow in connection.sender.subflows] == [1448]
        assert connection.sender.best.index == 1
        assert connection.sender.plain is None
        connection.write(b"data")
        end.touch(connection)
        data, *_ = pump(end, NOW + SECOND)
        assert (data.seq, data.ack) == (seq_add(cookie.seq, 1), 8)
        assert data.timestamps is not None
        assert 1000 <= (data.timestamps[0] - cookie.timestamps[0]) % (1 << 32) < 1032

    def test_the_first_data_may_bring_it_back(self) -> None:
        end = crowd()
        ack = bring_back(cookie_for(end, knock()))
        ack.payload, ack.length = (b"GET",), 3
        end.handle_segment(NOW, THERE, ack)
        connection = end.poll_accept()
        assert connection is not None
        assert connection.read() == b"GET"

    def test_without_timestamps_one_path_is_left(self) -> None:
        end = crowd()
        cookie = cookie_for(end, knock(timestamps=None))
        assert not cookie.sack_permitted
        assert (cookie.window_scale, cookie.timestamps) == (None, None)
        end.handle_segment(NOW, THERE, bring_back(cookie))
        connection = end.poll_accept()
        assert connection is not None
        assert connection.sender is not None
        assert connection.sender.plain is not None
        assert len(connection.sender.subflows) == 1

    def test_timestamps_can_be_declined(self) -> None:
        end = crowd(timestamps=False)
        cookie = cookie_for(end, knock())
        assert (cookie.window_scale, cookie.timestamps) == (None, None)

    def test_who_makes_one_up_is_refused(self) -> None:
        end = crowd()
        ack = bring_back(cookie_for(end, knock()))
        ack.ack = seq_add(ack.ack, 1)
        end.handle_segment(NOW, THERE, ack)
        reply = end.poll_reply()
        assert reply is not None
        assert reply.segment.flags == RST
        assert end.poll_accept() is None

    def test_it_does_not_bring_back_what_is_reset(self) -> None:
        end = crowd()
        ack = bring_back(cookie_for(end, knock()))
        ack.flags = ACK | RST
        end.handle_segment(NOW, THERE, ack)
        assert end.poll_accept() is None
        assert len(end.connections) == 1

    def test_once_there_is_room_again_handshakes_are_remembered(self) -> None:
        end = crowd()
        cookie = cookie_for(end, knock())
        end.handle_segment(NOW, THERE, segment(1000, RST, seq=8))
        pump(end)
        assert not end.crowded
        end.handle_segment(NOW, THERE, bring_back(cookie))
        assert end.poll_accept() is not None, "what is on its way is still good"
        pump(end)
        shake(end, 3000)

    def test_no_path_no_answer(self) -> None:
        end = crowd()
        ack = bring_back(cookie_for(end, knock()))
        end.drain_path(NOW, 0, force=True)
        end.drain_path(NOW, 1, force=True)
        end.handle_segment(NOW, THERE, knock(2001))
        end.handle_segment(NOW, THERE, ack)
        assert end.poll_reply() is None
        assert end.poll_accept() is None

    def test_replies_are_bounded(self) -> None:
        end = crowd()
        for port in range(2000, 2000 + 2 * REPLIES_MOST):
            end.handle_segment(NOW, THERE, knock(port))
        count = 0
        while end.poll_reply() is not None:
            count += 1
        assert count == REPLIES_MOST
