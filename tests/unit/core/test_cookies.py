"""What a cookie remembers, for whom, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.cookies import MSS_TABLE, TICK_NS, Answer, Cookies
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, SYN, Segment

NOW = 5_000 * TICK_NS
FLOW = bytes(range(12))
MODULUS = 1 << 32

numbers = st.integers(0, MODULUS - 1)
syns = st.builds(
    Segment,
    st.just(1000),
    st.just(80),
    numbers,
    st.just(0),
    st.just(SYN),
    st.just(1000),
    mss=st.none() | st.integers(0, 0xFFFF),
    window_scale=st.none() | st.integers(0, 14),
    sack_permitted=st.booleans(),
    timestamps=st.none() | st.tuples(numbers, st.just(0)),
)


def baker(version: int = 4) -> Cookies:
    return Cookies(b"0123456789abcdef", version)


def syn(**options: int) -> Segment:
    return Segment(1000, 80, 7, 0, SYN, 1000, **options)  # type: ignore[arg-type]  # ints only


def answer_to(cookie: Answer, asked: Segment) -> Segment:
    """The ACK of a peer, which echoes what it was sent."""
    stamps = None
    if cookie.stamp is not None and asked.timestamps is not None:
        stamps = (seq_add(asked.timestamps[0], 30), cookie.stamp)
    return Segment(
        1000, 80, seq_add(asked.seq, 1), seq_add(cookie.iss, 1), ACK, 500, timestamps=stamps
    )


@given(syns, st.integers(0, TICK_NS), st.binary(min_size=12, max_size=36))
def test_what_is_remembered(asked: Segment, age: int, flow: bytes) -> None:
    cookies = baker()
    cookie = cookies.bake(NOW, flow, asked)
    known = cookies.taste(NOW + age, flow, answer_to(cookie, asked))
    assert known is not None
    assert (known.seq, known.flags, known.mss) == (asked.seq, SYN, cookie.mss)
    assert cookie.mss <= max(536 if asked.mss is None else asked.mss, MSS_TABLE[0])
    if asked.timestamps is None:
        assert (known.window_scale, known.sack_permitted, known.timestamps) == (None, False, None)
    else:
        assert known.window_scale == asked.window_scale
        assert known.sack_permitted == asked.sack_permitted
        assert known.timestamps == (seq_add(asked.timestamps[0], 30), 0)


@pytest.mark.parametrize(
    ("version", "offered", "remembered"),
    [
        (4, None, 536),
        (6, None, 1220),
        (4, 1460, 1460),
        (4, 1459, 1440),
        (4, 9000, 8940),
        (4, 1, 64),
    ],
)
def test_the_mss_is_the_next_in_the_table(
    version: int, offered: int | None, remembered: int
) -> None:
    asked = Segment(1000, 80, 7, 0, SYN, 1000, mss=offered)
    assert baker(version).bake(NOW, FLOW, asked).mss == remembered


def test_it_expires() -> None:
    cookies = baker()
    cookie = cookies.bake(NOW, FLOW, syn())
    ack = answer_to(cookie, syn())
    assert cookies.taste(NOW + 2 * TICK_NS - 1, FLOW, ack) is not None
    cookies.bake(NOW + 2 * TICK_NS, FLOW, syn())
    assert cookies.taste(NOW + 2 * TICK_NS, FLOW, ack) is None
    assert cookies.taste(NOW + 32 * TICK_NS, FLOW, ack) is None, "the time comes round again"


def test_while_none_is_under_way_none_is_believed() -> None:
    issued = baker()
    ack = answer_to(issued.bake(NOW, FLOW, syn()), syn())
    assert baker().taste(NOW, FLOW, ack) is None


@given(st.integers(0, 31), st.integers(0, 31))
def test_no_bit_of_the_numbers_can_be_changed(ours: int, theirs: int) -> None:
    cookies = baker()
    ack = answer_to(cookies.bake(NOW, FLOW, syn()), syn())
    forged = Segment(1000, 80, ack.seq, seq_add((ack.ack - 1) ^ 1 << ours, 1), ACK, 500)
    assert cookies.taste(NOW, FLOW, forged) is None
    forged = Segment(1000, 80, seq_add((ack.seq - 1) ^ 1 << theirs, 1), ack.ack, ACK, 500)
    assert cookies.taste(NOW, FLOW, forged) is None


def test_it_is_good_for_its_flow_and_its_secret_only() -> None:
    cookies = baker()
    ack = answer_to(cookies.bake(NOW, FLOW, syn()), syn())
    assert cookies.taste(NOW, FLOW[::-1], ack) is None
    other = Cookies(b"another secret..", 4)
    other.bake(NOW, FLOW, syn())
    assert other.taste(NOW, FLOW, ack) is None


def test_guesses_fail() -> None:
    """One in 2^23 succeeds."""
    cookies = baker()
    cookies.bake(NOW, FLOW, syn())
    for guess in range(0, MODULUS, MODULUS // 5000):
        assert cookies.taste(NOW, FLOW, Segment(1000, 80, 8, guess, ACK, 500)) is None
    assert cookies.accepted == 0


@given(syns.filter(lambda asked: asked.timestamps is not None), st.integers(0, 1 << 45))
def test_timestamps_that_follow_are_no_older(asked: Segment, now: int) -> None:
    """Nor is the cookie's far behind: a receiver takes what is 2^31 older for newer."""
    cookies = baker()
    cookie = cookies.bake(now, FLOW, asked)
    assert cookie.stamp is not None
    clock = cookies.stamp_base(FLOW) + now // 1_000_000
    assert 0 <= (clock - cookie.stamp) % MODULUS < 32
