"""Hypothesis strategies and ready-made values for the tests of the wire layer."""

import dataclasses
from typing import Any

from hypothesis import strategies as st

from omtcp.wire.tcp import SYN, Segment

V4_A, V4_B = bytes((192, 0, 2, 1)), bytes((198, 51, 100, 7))
V6_A = bytes.fromhex("20010db8000000000000000000000001")
V6_B = bytes.fromhex("20010db8ffff00000000000000000207")

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
ecn = st.integers(0, 3)

_v4 = st.binary(min_size=4, max_size=4)
_v6 = st.binary(min_size=16, max_size=16)
address_pairs = st.tuples(_v4, _v4) | st.tuples(_v6, _v6)


@st.composite
def segments(draw: st.DrawFn, max_payload: int = 64) -> Segment:
    """Segments that the wire can carry: SYN options only on a SYN, as much SACK as fits."""
    flags = draw(u8)
    syn_options: dict[str, Any] = {}
    if flags & SYN:
        syn_options = {
            "mss": draw(st.none() | u16),
            "window_scale": draw(st.none() | st.integers(0, 14)),
            "sack_permitted": draw(st.booleans()),
        }
    payload = tuple(draw(st.lists(st.binary(min_size=1, max_size=max_payload), max_size=3)))
    segment = Segment(
        source_port=draw(u16),
        destination_port=draw(u16),
        seq=draw(u32),
        ack=draw(u32),
        flags=flags,
        window=draw(u16),
        timestamps=draw(st.none() | st.tuples(u32, u32)),
        user_timeout=draw(st.none() | u16),
        payload=payload,
        length=sum(map(len, payload)),
        ecn=draw(ecn),
        **syn_options,
    )
    blocks = sack_room(segment) // 8
    segment.sack = tuple(draw(st.lists(st.tuples(u32, u32), max_size=blocks)))
    return segment


def sack_room(segment: Segment) -> int:
    """Octets for SACK blocks beside the other options, worked out from the RFCs' sizes."""
    used = 0
    if segment.mss is not None:
        used += 4
    if segment.window_scale is not None:
        used += 4
    if segment.user_timeout is not None:
        used += 4
    if segment.timestamps is not None:
        used += 12  # SACK-permitted hides in its padding
    elif segment.sack_permitted:
        used += 4
    return max(0, 40 - used - 4)


def flat(segment: Segment) -> Segment:
    """The same segment with its payload in one `bytes`, so that `==` compares contents."""
    whole = b"".join(segment.payload)
    return dataclasses.replace(segment, payload=(whole,) if whole else ())
