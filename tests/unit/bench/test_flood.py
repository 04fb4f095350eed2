"""The flood's packets are what they say, and it keeps to its rate."""

from random import Random
from time import monotonic_ns

from omtcp.bench.flood import Job, flood, packets
from omtcp.wire.packet import TcpPacket, parse_packet
from omtcp.wire.tcp import SYN

JOB = Job(host="192.0.2.1", port=8080, rate=2000, start_ns=0, duration_ns=0)


class Counter:
    """Stands in for the raw socket."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        assert address == ("192.0.2.1", 0)
        self.sent.append(data)
        return len(data)


def test_each_packet_is_a_valid_syn_from_an_address_of_its_own() -> None:
    sources = set()
    for raw in packets(JOB, 100, Random(1)):
        packet = parse_packet(memoryview(raw), checksum_valid=False)  # which checks the checksum
        assert isinstance(packet, TcpPacket)
        assert packet.segment.flags == SYN
        assert packet.segment.sack_permitted
        assert packet.segment.destination_port == 8080
        assert packet.source[:2] == bytes((198, 18))
        sources.add(packet.source)
    assert len(sources) == 100


def test_no_more_is_sent_than_the_rate_allows() -> None:
    duration = 100_000_000
    job = Job(host="192.0.2.1", port=8080, rate=2000, start_ns=monotonic_ns(), duration_ns=duration)
    counter = Counter()
    sent = flood(job, counter)
    assert sent == len(counter.sent)
    assert 0 < sent <= 2000 * duration // 1_000_000_000
