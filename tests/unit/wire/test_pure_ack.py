"""Pure ACKs: the fold and the parser must agree on what a packet is and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import WireError
from omtcp.wire.header import HeaderWriter
from omtcp.wire.packet import TcpPacket, parse_packet
from omtcp.wire.pure_ack import AckFold
from omtcp.wire.tcp import ACK, ECE, FIN, PSH, RST, SYN, URG, Segment

from .strategies import V4_A, V4_B, V6_A, V6_B, address_pairs, u16, u32

PAIRS = [(V4_A, V4_B), (V6_A, V6_B)]
stamps = st.none() | st.tuples(u32, u32)


def packet(pair: tuple[bytes, bytes], segment: Segment) -> bytes:
    writer = HeaderWriter(*pair, segment.source_port, segment.destination_port)
    return writer.packet(segment)


def ack_of(number: int, *, port: int = 5000, seq: int = 7) -> Segment:
    return Segment(port, 80, seq, number % 2**32, ACK, 1000, timestamps=(number % 99, 4))


def fold(*packets: bytes) -> list[TcpPacket]:
    fold = AckFold()
    for each in packets:
        assert fold.take(each, checksum_valid=False)
    drained = fold.drain()
    assert fold.drain() == []
    return drained


@given(address_pairs, u16, u16, u32, u32, u16, stamps)
def test_says_what_the_parser_says(
    pair: tuple[bytes, bytes],
    source: int,
    destination: int,
    seq: int,
    ack: int,
    window: int,
    stamps: tuple[int, int] | None,
) -> None:
    octets = packet(pair, Segment(source, destination, seq, ack, ACK, window, timestamps=stamps))
    assert fold(octets) == [parse_packet(octets, checksum_valid=False)]


@pytest.mark.parametrize("pair", PAIRS, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    "segment",
    [
        Segment(1, 2, 3, 4, ACK, 5, timestamps=(6, 7), payload=(b"x",), length=1),
        Segment(1, 2, 3, 4, ACK, 5, payload=(bytes(12),), length=12),
        Segment(1, 2, 3, 4, ACK, 5, sack=((8, 9),)),
        Segment(1, 2, 3, 4, ACK, 5, user_timeout=3),
        *(
            Segment(1, 2, 3, 4, flags, 5, timestamps=(6, 7))
            for flags in (0, FIN | ACK, RST | ACK, SYN | ACK, PSH | ACK, URG | ACK, ECE | ACK)
        ),
    ],
)
def test_takes_nothing_that_says_more(pair: tuple[bytes, bytes], segment: Segment) -> None:
    fold = AckFold()
    assert not fold.take(packet(pair, segment), checksum_valid=True)
    assert fold.drain() == []


@given(st.sampled_from(PAIRS), stamps, st.data())
def test_whatever_it_takes_is_what_the_parser_makes_of_it(
    pair: tuple[bytes, bytes], stamps: tuple[int, int] | None, data: st.DataObject
) -> None:
    """One octet changed: the fold refuses, or agrees with the parser, which may refuse as well."""
    octets = bytearray(packet(pair, Segment(1, 2, 3, 4, ACK, 5, timestamps=stamps)))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    valid = data.draw(st.booleans())
    fold = AckFold()
    if fold.take(octets, checksum_valid=valid):
        (taken,) = fold.drain()
        parsed = parse_packet(octets, checksum_valid=valid)
        assert isinstance(parsed, TcpPacket)
        parsed.segment.ecn = 0  # of the ACK's own packet: means nothing without data
        assert taken == parsed


@pytest.mark.parametrize("pair", PAIRS, ids=["IPv4", "IPv6"])
def test_a_damaged_packet_is_left_to_the_parser(pair: tuple[bytes, bytes]) -> None:
    octets = bytearray(packet(pair, ack_of(1)))
    octets[-1] ^= 1
    assert not AckFold().take(octets, checksum_valid=False)
    with pytest.raises(WireError):
        parse_packet(octets, checksum_valid=False)


def test_is_not_confused_by_lengths() -> None:
    octets = packet(PAIRS[0], ack_of(1))
    for length in range(len(octets)):
        assert not AckFold().take(octets[:length], checksum_valid=True)
    assert not AckFold().take(octets + b"\0", checksum_valid=True)


def test_the_last_of_a_run_says_all() -> None:
    octets = [packet(PAIRS[0], ack_of(number)) for number in (2**32 - 10, 2**32 - 1, 5)]
    assert fold(*octets) == [parse_packet(octets[-1], checksum_valid=False)]


def test_a_repeated_ack_is_a_message_of_its_own() -> None:
    """Duplicates are counted by whoever has no SACK (RFC 5681 section 2)."""
    octets = [packet(PAIRS[0], ack_of(number)) for number in (10, 20, 20, 20, 15, 30)]
    acks = [each.segment.ack for each in fold(*octets)]
    assert acks == [20, 20, 20, 30]


def test_an_ack_from_elsewhere_in_the_peers_stream_stays_apart() -> None:
    octets = [packet(PAIRS[0], ack_of(number, seq=number)) for number in (10, 20)]
    assert [each.segment.ack for each in fold(*octets)] == [10, 20]


def test_flows_do_not_disturb_each_other() -> None:
    octets = [
        packet(pair, ack_of(number, port=port))
        for number in (10, 20, 30)
        for port in (1, 2)
        for pair in PAIRS
    ]
    taken = fold(*octets)
    assert [(len(each.source), each.segment.source_port, each.segment.ack) for each in taken] == [
        (4, 1, 30),
        (16, 1, 30),
        (4, 2, 30),
        (16, 2, 30),
    ]


@pytest.mark.parametrize("pair", PAIRS, ids=["IPv4", "IPv6"])
class TestBeforeAnother:
    """What is to be fed before a packet of the same flow that is no pure ACK."""

    @pytest.mark.parametrize("flags", [ACK | PSH, ACK | FIN])
    def test_what_says_it_again_makes_an_ack_superfluous(
        self, pair: tuple[bytes, bytes], flags: int
    ) -> None:
        fold = AckFold()
        for number in (10, 10):  # the first of them may be a duplicate that somebody counts
            assert fold.take(packet(pair, ack_of(number)), checksum_valid=True)
        follows = Segment(5000, 80, 7, 10, flags, 1000, payload=(b"x",), length=1)
        assert [each.segment.ack for each in fold.before(packet(pair, follows))] == [10]
        assert fold.drain() == []

    @pytest.mark.parametrize(
        ("seq", "ack", "flags"), [(8, 10, ACK), (7, 9, ACK), (7, 10, RST | ACK), (7, 10, RST)]
    )
    def test_what_says_something_else_does_not(
        self, pair: tuple[bytes, bytes], seq: int, ack: int, flags: int
    ) -> None:
        fold = AckFold()
        kept = packet(pair, ack_of(10))
        assert fold.take(kept, checksum_valid=True)
        follows = Segment(5000, 80, seq, ack, flags, 1000, payload=(b"x",), length=1)
        assert fold.before(packet(pair, follows)) == [parse_packet(kept, checksum_valid=True)]
        assert fold.drain() == []

    def test_other_flows_wait(self, pair: tuple[bytes, bytes]) -> None:
        fold = AckFold()
        assert fold.before(packet(pair, ack_of(10))) == []
        assert fold.take(packet(pair, ack_of(10)), checksum_valid=True)
        assert fold.before(packet(pair, ack_of(10, port=5001))) == []
        assert fold.before(bytes(60)) == fold.before(b"") == []
        assert len(fold.drain()) == 1
