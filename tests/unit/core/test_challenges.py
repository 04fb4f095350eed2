"""What makes no sense is answered, but not as often as it is said."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from omtcp.core.challenges import MOST, WINDOW_NS
from omtcp.core.config import Config
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.state import State
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, FIN, RST, SYN, Segment

HERE, THERE = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
NOW = 5_000_000_000


class Talk:
    """A connection to a peer who has its wits about it no longer."""

    def __init__(self) -> None:
        self.now = NOW
        self.end = Endpoint(
            Config(), HERE, [1500], secret=b"0123456789abcdef", random=Random(1).random
        )
        self.end.listen(80)
        (answer,) = self.hear(SYN, seq=7)
        self.iss = answer.seq
        self.hear(ACK, seq=8, ack=1)
        connection = self.end.poll_accept()
        assert connection is not None
        self.connection: Connection = connection

    def hear(self, flags: int, *, seq: int, ack: int = 0, payload: bytes = b"") -> list[Segment]:
        """What is answered; `ack` is counted from our first number."""
        iss = getattr(self, "iss", 0) or self.first
        segment = Segment(1000, 80, seq, seq_add(iss, ack) if flags & ACK else 0, flags, 1000)
        if payload:
            segment.payload, segment.length = (payload,), len(payload)
        self.end.handle_segment(self.now, THERE, segment)
        sent = []
        for connection in self.end.poll_ready():
            while (transmit := connection.poll_transmit(self.now)) is not None:
                sent.append(transmit.segment)
            self.end.settle(self.now, connection)
        if sent and sent[0].flags & SYN:
            self.first = sent[0].seq
        return sent

    first = 0


NONSENSE: dict[str, Callable[[Talk], list[Segment]]] = {
    "a RST inside the window": lambda talk: talk.hear(RST, seq=108),
    "a SYN": lambda talk: talk.hear(SYN, seq=5000),
    "an ACK of what was never sent": lambda talk: talk.hear(ACK, seq=8, ack=70_000),
    "an ACK beyond the window": lambda talk: talk.hear(ACK, seq=8 + (1 << 30), ack=1),
    "an ACK from the past": lambda talk: talk.hear(ACK, seq=7, ack=1),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_the_first_few_are_answered(what: str) -> None:
    talk = Talk()
    answered = [NONSENSE[what](talk) for _ in range(3 * MOST)]
    assert [len(sent) for sent in answered] == [1] * MOST + [0] * 2 * MOST
    assert {sent[0].flags for sent in answered[:MOST]} == {ACK}
    assert {sent[0].ack for sent in answered[:MOST]} == {8}
    talk.now += WINDOW_NS
    assert len(NONSENSE[what](talk)) == 1
    assert talk.connection.state is State.ESTABLISHED


def test_all_kinds_count_together() -> None:
    talk = Talk()
    answered = sum(len(ask(talk)) for _ in range(MOST) for ask in NONSENSE.values())
    assert answered == MOST


def test_data_that_comes_twice_is_always_answered() -> None:
    """The peer repeats it for want of an ACK; a ping is of that kind."""
    talk = Talk()
    talk.hear(ACK, seq=8, ack=1, payload=b"x")
    answered = [talk.hear(ACK, seq=8, ack=1, payload=b"x") for _ in range(3 * MOST)]
    assert all(len(sent) == 1 for sent in answered)


def test_a_fin_that_comes_twice_is_always_answered() -> None:
    talk = Talk()
    talk.hear(ACK | FIN, seq=8, ack=1)
    answered = [talk.hear(ACK | FIN, seq=8, ack=1) for _ in range(3 * MOST)]
    assert all(len(sent) == 1 for sent in answered)


def test_what_makes_sense_is_heard_all_the_while() -> None:
    talk = Talk()
    for _ in range(3 * MOST):
        NONSENSE["a SYN"](talk)
    talk.hear(ACK, seq=8, ack=1, payload=b"still here")
    assert talk.connection.read() == b"still here"
