from typing import cast

import dpkt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omtcp.errors import LocalError
from omtcp.wire import checksum

from .strategies import V4_A, V4_B, V6_A, V6_B, address_pairs, u16

RFC_1071 = bytes.fromhex("0001 f203 f4f5 f6f7")
words = st.lists(u16, min_size=2, max_size=40)
buffers = st.binary(max_size=200) | st.binary(max_size=8).map(lambda data: data * 100)


def loop_sum(data: bytes) -> int:
    """The end-around-carry loop of RFC 1071 section 4.1, as it is printed there."""
    total = 0
    for at in range(0, len(data) - 1, 2):
        total += data[at] << 8 | data[at + 1]
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def dpkt_checksum(data: bytes) -> int:
    return cast("int", dpkt.in_cksum(data))


def test_example_of_rfc_1071() -> None:
    assert checksum.fold(checksum.word_sum(RFC_1071)) == 0xDDF2
    assert checksum.internet_checksum(RFC_1071) == 0x220D


def test_a_well_known_ipv4_header() -> None:
    header = bytes.fromhex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7")
    assert checksum.internet_checksum(header) == 0xB861


@given(buffers)
@example(b"")
@example(b"\0" * 8)
@example(b"\xff" * 8)
@example(b"\xff\xfe\x00\x01")
@example(b"\xff")
def test_equals_the_loop_and_dpkt(data: bytes) -> None:
    assert checksum.fold(checksum.word_sum(data)) == loop_sum(data)
    assert checksum.internet_checksum(data) == dpkt_checksum(data)


@given(buffers, st.integers(0, 2**128))
def test_a_sum_to_start_from_is_as_good_as_its_words(data: bytes, initial: int) -> None:
    spelt = initial.to_bytes(18, "big")
    assert checksum.internet_checksum(data, initial) == dpkt_checksum(spelt + data)


@given(buffers)
def test_all_buffer_types_sum_alike(data: bytes) -> None:
    expected = checksum.word_sum(data)
    assert checksum.word_sum(bytearray(data)) == expected
    assert checksum.word_sum(memoryview(b"x" + data)[1:]) == expected


@given(words)
def test_what_was_summed_is_valid_and_a_changed_word_is_not(fields: list[int]) -> None:
    fields[0] = 0
    data = b"".join(word.to_bytes(2, "big") for word in fields)
    whole = checksum.internet_checksum(data).to_bytes(2, "big") + data[2:]
    assert checksum.is_valid(whole)
    damaged = whole[:-1] + bytes([whole[-1] ^ 0x5A])
    assert not checksum.is_valid(damaged)


def test_zeros_are_not_valid() -> None:
    # They sum to plus zero, and a correct checksum makes minus zero.
    assert not checksum.is_valid(bytes(20))
    assert checksum.is_valid(bytes(20), 0xFFFF)


@pytest.mark.parametrize(
    ("old_checksum", "old", "new", "expected"),
    [
        (0xDD2F, 0x5555, 0x3285, 0x0000),  # RFC 1624 section 4, equation 3
        (0x0000, 0x3285, 0x5555, 0xDD2F),
        (0x1234, 0x4006, 0x4006, 0x1234),
    ],
)
def test_examples_of_rfc_1624(old_checksum: int, old: int, new: int, expected: int) -> None:
    assert checksum.update(old_checksum, old, new) == expected


@given(words, u16)
def test_incremental_update_equals_summing_again(fields: list[int], new: int) -> None:
    fields[0] = 0x4500  # as in every header, so that neither version is all zeros
    before = b"".join(word.to_bytes(2, "big") for word in fields)
    after = before[:-2] + new.to_bytes(2, "big")
    assert checksum.update(
        checksum.internet_checksum(before), fields[-1], new
    ) == checksum.internet_checksum(after)


def test_pseudo_header_as_rfc_9293_draws_it() -> None:
    drawn = V4_A + V4_B + bytes((0, 6)) + (1480).to_bytes(2, "big")
    assert checksum.fold(checksum.pseudo_header_sum(V4_A, V4_B, 6, 1480)) == loop_sum(drawn)


def test_pseudo_header_as_rfc_8200_draws_it() -> None:
    drawn = V6_A + V6_B + (70000).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    assert checksum.fold(checksum.pseudo_header_sum(V6_A, V6_B, 58, 70000)) == loop_sum(drawn)


@given(address_pairs, st.binary(min_size=20, max_size=100))
def test_completing_a_partial_checksum(pair: tuple[bytes, bytes], data: bytes) -> None:
    """What the kernel does with an offloaded segment gives what we would have computed."""
    source, destination = pair
    partial = checksum.partial_checksum(source, destination, 6, len(data))
    with_partial = data[:16] + partial.to_bytes(2, "big") + data[18:]
    completed = 0xFFFF - loop_sum(with_partial)
    zeroed = data[:16] + bytes(2) + data[18:]
    pseudo = checksum.pseudo_header_sum(source, destination, 6, len(data))
    assert completed == checksum.internet_checksum(zeroed, pseudo)


@pytest.mark.parametrize(("source", "destination"), [(V4_A, V6_B), (b"abc", b"abc"), (b"", b"")])
def test_addresses_that_are_no_pair(source: bytes, destination: bytes) -> None:
    with pytest.raises(LocalError):
        checksum.pseudo_header_sum(source, destination, 6, 20)
