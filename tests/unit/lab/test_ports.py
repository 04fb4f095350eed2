"""What enters a link: all but multicast, what a middlebox keeps, and each connection its own."""

from collections.abc import Callable, Sequence
from random import Random

import dpkt
import pytest

from omtcp.lab.plan import Plan, Rival
from omtcp.lab.ports import FILTERS, Inlet
from omtcp.link import LinkConfig, Pipe
from omtcp.link.link import DropReason

UNICAST = b"\x02\0\0\0\2\0" + bytes(6)


def frame(port: int = 443, flags: int = dpkt.tcp.TH_ACK, ecn: int = 0, six: bool = False) -> bytes:
    segment = bytes(dpkt.tcp.TCP(sport=80, dport=port, flags=flags, data=bytes(100)))
    if six:
        packet = dpkt.ip6.IP6(src=bytes(16), dst=bytes(16), nxt=6, plen=len(segment), data=segment)
        return UNICAST + b"\x86\xdd" + bytes(packet)
    ip = dpkt.ip.IP(src=bytes(4), dst=bytes(4), p=6, tos=ecn, len=20 + len(segment), data=segment)
    return UNICAST + b"\x08\x00" + bytes(ip)


def source(frames: Sequence[bytes]) -> Callable[[int], bytes]:
    left = list(frames)

    def receive(_: int) -> bytes:
        if not left:
            raise BlockingIOError
        return left.pop(0)

    return receive


def pipe(**config: int) -> Pipe[bytes]:
    return Pipe(LinkConfig(**config), Random(1))  # type: ignore[arg-type]


def test_multicast_stays_outside() -> None:
    link = pipe()
    discovery = b"\x33\x33" + frame()[2:]
    Inlet(receive=source([frame(), discovery, frame()]), pipes=[link]).read(0)
    assert link.counters.offered_packets == 2


@pytest.mark.parametrize(("what", "passed"), [("none", 3), ("data", 1), ("all", 0)])
def test_what_a_middlebox_keeps(what: str, passed: int) -> None:
    link = pipe()
    frames = [frame(flags=dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK), frame(), frame()]
    Inlet(receive=source(frames), pipes=[link], swallows=FILTERS[what]).read(0)
    assert link.counters.offered_packets == passed
    assert link.counters.dropped.get(DropReason.SWALLOWED, 0) == 3 - passed


@pytest.mark.parametrize("six", [False, True])
def test_each_connection_has_a_link_of_its_own(six: bool) -> None:
    links = [pipe(), pipe()]
    inlet = Inlet(receive=source([frame(port, six=six) for port in (5, 6, 5, 5, 7)]), pipes=links)
    inlet.read(0)
    assert [len(link) for link in links] == [4, 1]  # the third one shares the first's


def test_capable_packets_are_marked_where_links_mark() -> None:
    link = pipe(rate_bps=1_000_000, mark_bytes=0)
    Inlet(receive=source([frame(ecn=2), frame(ecn=0)]), pipes=[link]).read(0)
    assert link.counters.marked == 1


def test_the_links_of_a_plan() -> None:
    own = LinkConfig(delay_ns=7)
    rival = {"device": "r", "mac": b"", "addresses": (), "flows": 2}
    plan = Plan(
        uplinks=("up0",), macs=(b"",), client="c", client_mac=b"", forward=(LinkConfig(),),
        back=LinkConfig(), back_on=0, swallow=("none",), bottleneck=LinkConfig(delay_ns=5),
        behind=(0,), script=(), seed=1,
        rivals=(
            Rival(link=own, uplink=None, **rival),  # type: ignore[arg-type]
            Rival(link=None, uplink=0, **rival),  # type: ignore[arg-type]
        ),
    )  # fmt: skip
    links = plan.links()
    assert list(links) == ["0", "bottleneck", "return", "competitor 0.0", "competitor 0.1"]
    assert links["competitor 0.1"] == own
