import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.net.watch import _interface_name


def attribute(kind: int, value: bytes) -> bytes:
    packed = struct.pack("=HH", 4 + len(value), kind) + value
    return packed + bytes(-len(packed) % 4)


@pytest.mark.parametrize("name", ["eth0", "e", "eth0.100", "fifteen-letters"])
def test_the_name_among_other_attributes(name: str) -> None:
    attributes = attribute(1, b"123456") + attribute(3, name.encode() + b"\0") + attribute(4, b"x")
    assert _interface_name(memoryview(attributes)) == name


@given(st.binary(max_size=60))
def test_noise_has_no_name_or_some(data: bytes) -> None:
    """It ends, and raises nothing."""
    assert isinstance(_interface_name(memoryview(data)), str)


def test_no_name() -> None:
    assert _interface_name(memoryview(attribute(1, b"123456"))) == ""
