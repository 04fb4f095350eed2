"""The host's plumbing on the real kernel: packets go the right way out and in."""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from omtcp.net import big_tcp
from omtcp.net.plumbing import Plumbing
from omtcp.net.tun import Tun
from omtcp.wire.header import HeaderWriter
from omtcp.wire.packet import TcpPacket, parse_packet
from omtcp.wire.tcp import ACK, SYN, Segment

from .hosts import (
    CLIENT,
    LAN,
    PATHS,
    PROXIES,
    SERVED,
    Hosts,
    read_from,
    receive,
    run,
    udp_socket,
)

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def strict_hosts(hosts: Hosts) -> Hosts:
    """A server that filters by reverse path, strictly, as many distributions have it."""
    for name in ("all", "default", "up0", "up1", "lan"):
        hosts.server.write_sysctl(f"net/ipv4/conf/{name}/rp_filter", "1")
    return hosts


def writer(family: int) -> HeaderWriter:
    return HeaderWriter(
        ip_address(SERVED[family]).packed, ip_address(CLIENT[family]).packed, 8080, 40000
    )


def data(payload: bytes) -> Segment:
    return Segment(
        8080, 40000, 1, 1, ACK, 500, timestamps=(1, 1), payload=(payload,), length=len(payload)
    )


def plumb(hosts: Hosts, family: int, directory: Path) -> Plumbing:
    return Plumbing(SERVED[family], PATHS[family], directory=directory)


@FAMILIES
@pytest.mark.parametrize("path", [0, 1])
def test_a_packet_leaves_by_its_own_uplink(
    strict_hosts: Hosts, tmp_path: Path, family: int, path: int
) -> None:
    with (
        strict_hosts.watch("r0") as r0,
        strict_hosts.watch("r1") as r1,
        strict_hosts.server.inside(),
        plumb(strict_hosts, family, tmp_path) as plumbing,
    ):
        syn = Segment(8080, 40000, 7, 0, SYN, 500, mss=1460)
        packet = writer(family).packet(syn)
        assert plumbing.tuns[path].write_packet(packet)
        mine, other = ((r0, r1), (r1, r0))[path]
        ports = packet[40:44] if family == 6 else packet[20:24]
        got = receive(mine, ports)
        assert got is not None
        parsed = parse_packet(got, checksum_valid=False)
        assert isinstance(parsed, TcpPacket)
        assert parsed.segment == syn
        assert receive(other, ports, timeout=0.1) is None


@FAMILIES
@pytest.mark.parametrize("path", [0, 1])
def test_a_packet_that_arrives_on_an_uplink_is_read_from_its_device(
    strict_hosts: Hosts, tmp_path: Path, family: int, path: int
) -> None:
    with strict_hosts.server.inside(), plumb(strict_hosts, family, tmp_path) as plumbing:
        strict_hosts.udp_from_world(f"r{path}", SERVED[family], b"hello, omtcp")
        got = read_from(plumbing.tuns[path], b"hello, omtcp")
        assert got is not None
        packet, checksum_known = got
        assert ip_address(packet[16:20] if family == 4 else packet[24:40]) == ip_address(
            SERVED[family]
        )
        assert checksum_known


@FAMILIES
def test_the_host_itself_reaches_the_address(
    strict_hosts: Hosts, tmp_path: Path, family: int
) -> None:
    with (
        strict_hosts.server.inside(),
        plumb(strict_hosts, family, tmp_path) as plumbing,
        udp_socket(family) as local,
    ):
        local.connect((SERVED[family], 4000))
        local.send(b"from the host")
        got = read_from(plumbing.tuns[0], b"from the host")
        assert got is not None
        answer = _reversed(got[0])
        local.settimeout(3)
        for tun in plumbing.tuns:  # an answer over any path is for the host itself
            tun.write_packet(answer)
            assert local.recv(100) == b"from the host"


@pytest.mark.parametrize(("family", "length"), [(4, 64_000), (6, 64_000), (4, 256_000)])
def test_a_super_segment_arrives_as_segments(
    hosts: Hosts, tmp_path: Path, family: int, length: int
) -> None:
    with hosts.server.inside():
        run("ethtool", "-K", "up1", "tso", "off", "gso", "off", "tx", "off")
        big_tcp.main("up1", "262144")
    payload = bytes(range(256)) * (length // 256)
    with (
        hosts.watch("r1") as r1,
        hosts.server.inside(),
        plumb(hosts, family, tmp_path) as plumbing,
    ):
        assert plumbing.tuns[1].most >= length
        out = writer(family)
        header = out.header(data(payload))
        view = memoryview(payload)
        pieces = [view[start : start + 4096] for start in range(0, len(payload), 4096)]
        assert plumbing.tuns[1].write(header, pieces, 1400, out.ip_header_length)
        got = bytearray()
        while len(got) < len(payload):
            packet = receive(r1, header[-8:])
            assert packet is not None
            assert len(packet) <= 1500
            parsed = parse_packet(packet, checksum_valid=False)
            assert isinstance(parsed, TcpPacket)
            assert parsed.segment.seq == 1 + len(got)
            got += b"".join(parsed.segment.payload)
        assert got == payload


@FAMILIES
def test_a_super_segment_is_read_as_one(hosts: Hosts, tmp_path: Path, family: int) -> None:
    """An upload, as the uplink's receive offload hands it on."""
    hosts.world.write_sysctl(f"net/ipv{family}/conf/all/forwarding", "1")
    payload = os.urandom(60_000)
    client = ip_address({4: "203.0.113.77", 6: "2001:db8:9::77"}[family])
    upload = HeaderWriter(client.packed, ip_address(SERVED[family]).packed, 40000, 8080)
    with (
        hosts.world.inside(),
        Tun.open("client") as tun,
        hosts.server.inside(),
        plumb(hosts, family, tmp_path) as plumbing,
    ):
        hosts.world.ip("link set client up")
        assert tun.write(upload.header(data(payload)), [payload], 1400, upload.ip_header_length)
        got = read_from(plumbing.tuns[0], payload[-100:])
        assert got is not None
        packet, checksum_known = got
        assert packet.endswith(payload)
        assert checksum_known


@FAMILIES
def test_the_uplinks_forward_for_nobody_else(hosts: Hosts, tmp_path: Path, family: int) -> None:
    with (
        hosts.watch("l0") as lan,
        hosts.server.inside(),
        plumb(hosts, family, tmp_path) as plumbing,
    ):
        lladdr = run("ip", "-n", hosts.world.name, "-br", "link", "show", "l0").split()[2]
        hosts.server.ip(f"neigh replace {LAN[family]} lladdr {lladdr} dev lan")
        hosts.udp_from_world("r0", LAN[family], b"not for you")
        hosts.udp_from_world("r0", SERVED[family], b"for you")
        assert read_from(plumbing.tuns[0], b"for you") is not None
        assert receive(lan, b"not for you", timeout=0.1) is None


@FAMILIES
def test_a_host_that_forwards_goes_on_forwarding(hosts: Hosts, tmp_path: Path, family: int) -> None:
    hosts.server.write_sysctl(f"net/ipv{family}/conf/all/forwarding", "1")
    with hosts.watch("l0") as lan, hosts.server.inside(), plumb(hosts, family, tmp_path):
        lladdr = run("ip", "-n", hosts.world.name, "-br", "link", "show", "l0").split()[2]
        hosts.server.ip(f"neigh replace {LAN[family]} lladdr {lladdr} dev lan")
        hosts.udp_from_world("r0", LAN[family], b"for a machine behind us")
        assert receive(lan, b"for a machine behind us") is not None


@pytest.mark.parametrize(
    ("address", "path"), [("10.2.0.80", 1), ("10.1.0.80", 0), ("fd02::80", 1), ("fd01::80", 0)]
)
def test_an_address_out_of_an_uplinks_network(
    hosts: Hosts, tmp_path: Path, address: str, path: int
) -> None:
    """No router sends it to us: neighbours ask for it, and we answer on that link."""
    family = ip_address(address).version
    before = hosts.server.snapshot()
    with (
        hosts.server.inside(),
        Plumbing(address, PATHS[family], directory=tmp_path) as plumbing,
    ):
        with hosts.world.inside(), udp_socket(family) as neighbour:
            neighbour.sendto(b"who are you", (address, 4000))
        got = read_from(plumbing.tuns[path], b"who are you")
        assert got is not None
        during = hosts.server.snapshot()
        assert during[PROXIES].count(address) == 1
        plumbing.repair()
        assert hosts.server.snapshot() == during
    assert hosts.server.snapshot() == before


@pytest.mark.parametrize("address", ["10.2.0.80", "fd02::80"])
def test_a_proxy_that_the_operator_made_stays(hosts: Hosts, tmp_path: Path, address: str) -> None:
    hosts.server.ip(f"neigh add proxy {address} dev up1")
    before = hosts.server.snapshot()
    assert address in before[PROXIES]
    family = ip_address(address).version
    with hosts.server.inside(), Plumbing(address, PATHS[family], directory=tmp_path):
        pass
    assert hosts.server.snapshot() == before


def _reversed(packet: bytes) -> bytes:
    """A UDP packet with the ends swapped, which leaves its checksum what it was."""
    start, length, header = (12, 4, 20) if packet[0] >> 4 == 4 else (8, 16, 40)
    a, b = packet[start : start + length], packet[start + length : start + 2 * length]
    udp = packet[header:]
    swapped = bytearray(packet[:start] + b + a + udp[2:4] + udp[0:2] + udp[4:6] + b"\0\0" + udp[8:])
    pseudo = a + b + bytes([0, 17]) + len(udp).to_bytes(2, "big")
    total = int.from_bytes(pseudo, "big") + int.from_bytes(
        swapped[header:] + bytes(len(udp) % 2), "big"
    )
    swapped[header + 6 : header + 8] = (0xFFFF - (total % 0xFFFF)).to_bytes(2, "big")
    return bytes(swapped)
