"""Whole messages between two processes, and descriptors with them."""

from __future__ import annotations

import os
import select

import pytest

from omtcp.control.protocol import Request
from omtcp.workers.channel import BUFFER, ChannelClosedError, channels
from omtcp.workers.messages import Account, Answer, Ask, Failed, Logged, Message, Ready, Stop


def test_messages_come_whole_and_in_order() -> None:
    one, other = channels()
    sent: list[Message] = [
        Ready(),
        Ask(7, Request("drain", {"path": "eth0", "force": True}, identity=[1])),
        Answer(7, {"paths": []}),
        Logged(30, "omtcp.net", "x" * 100_000),
        Account(carried={0: (5, 1)}, active=3),
    ]
    assert all(one.send(message) for message in sent)
    got = []
    while (received := other.receive()) is not None:
        message, descriptors = received
        assert descriptors == []
        got.append(message)
    assert got == sent
    one.close()
    other.close()


def test_descriptors_come_along_and_are_not_inherited() -> None:
    one, other = channels()
    reading, writing = os.pipe()
    one.send(Stop(), [reading, writing])
    os.close(reading)
    os.close(writing)
    received = other.receive()
    assert received is not None
    there, back = received[1]
    os.write(back, b"x")
    assert os.read(there, 9) == b"x"
    assert not os.get_inheritable(there)
    os.close(there)
    os.close(back)
    one.close()
    other.close()


def test_the_end_is_noticed_after_what_was_said() -> None:
    one, other = channels()
    one.send(Failed("no room"))
    one.close()
    assert select.select([other], [], [], 0)[0]
    assert other.receive() == (Failed("no room"), [])
    with pytest.raises(ChannelClosedError):
        other.receive()
    assert not other.send(Ready())
    other.close()
    other.close()


def test_who_reads_nothing_keeps_nobody_waiting() -> None:
    one, other = channels()
    text = Logged(30, "omtcp", "x" * 50_000)
    count = 0
    while one.send(text):
        count += 1
        assert count < 2 * BUFFER // 50_000
    received = 0
    while other.receive() is not None:
        received += 1
    assert received == count
    one.close()
    other.close()
