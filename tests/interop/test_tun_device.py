"""TUN devices of the real kernel."""

import os
import socket
from collections.abc import Iterator

import pytest

from omtcp.errors import PathError, SetupError
from omtcp.net import big_tcp
from omtcp.net.netlink import Netlink
from omtcp.net.tun import PACKET_SIZE, Tun

from .hosts import Namespace, run

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

PACKET = bytes.fromhex("4500001c000040004011 0000 c6336450 cb007109 1f90 0fa0 0008 0000")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    namespace = Namespace("tun")
    with namespace.inside():
        yield namespace
    namespace.remove()


def links() -> list[str]:
    return [line.split()[1].rstrip(":") for line in run("ip", "-o", "link").splitlines()]


def test_devices_are_numbered_and_go_when_closed(namespace: Namespace) -> None:
    before = links()
    with Tun.open(mtu=1400) as first, Tun.open() as second:
        assert (first.name, second.name) == ("omtcp0", "omtcp1")
        assert (first.mtu, second.mtu) == (1400, 1500)
        assert "mtu 1400 " in run("ip", "link", "show", "omtcp0")
        assert set(links()) - set(before) == {"omtcp0", "omtcp1"}
    assert links() == before


def test_a_name_in_use(namespace: Namespace) -> None:
    with Tun.open("taken"), pytest.raises(SetupError, match=r"^the TUN device taken is in use$"):
        Tun.open("taken")


@pytest.mark.parametrize(("name", "mtu"), [("lo", 1500), ("toolarge", 70_000), ("a/b", 1500)])
def test_what_the_kernel_refuses(namespace: Namespace, name: str, mtu: int) -> None:
    before = links()
    with pytest.raises(SetupError, match=f"^cannot make the TUN device {name}: "):
        Tun.open(name, mtu=mtu)
    assert links() == before


def test_more_queues(namespace: Namespace) -> None:
    with Tun.open(multi_queue=True) as first, Tun.open(first.name, multi_queue=True) as second:
        assert first.name == second.name
        assert first.fileno() != second.fileno()
        run("ip", "link", "set", first.name, "up")
        assert first.write_packet(PACKET)
        assert second.write_packet(PACKET)


def test_a_device_that_is_down_is_a_silent_path(namespace: Namespace) -> None:
    with Tun.open() as tun:
        assert not tun.write_packet(PACKET)
        run("ip", "link", "set", tun.name, "up")
        assert tun.write_packet(PACKET)


def test_a_device_that_somebody_deleted(namespace: Namespace) -> None:
    with Tun.open() as tun:
        run("ip", "link", "set", tun.name, "up")
        run("ip", "link", "del", tun.name)
        with pytest.raises(PathError, match=r"^device omtcp0 is gone$"):
            tun.write_packet(PACKET)
        with pytest.raises(PathError, match=r"^device omtcp0 is gone$"):
            tun.read_into(bytearray(PACKET_SIZE))


def test_how_long_a_packet_a_device_takes(namespace: Namespace) -> None:
    namespace.ip("link add here type veth peer name there")
    index = socket.if_nametoindex("here")
    assert big_tcp.longest_packet(index) == big_tcp.USUAL
    big_tcp.main("here", "200000")
    assert big_tcp.longest_packet(index) == 200_000
    with Netlink() as netlink:
        link = netlink.link("here")
    assert link is not None
    assert link.longest == 200_000


@pytest.mark.parametrize(
    ("device", "size", "complaint"),
    [
        ("here", "9000000", "here: Invalid argument"),
        ("here", "much", "here: invalid literal"),
        ("none", "200000", "none: no interface"),
    ],
)
def test_how_long_it_cannot_be(
    namespace: Namespace, device: str, size: str, complaint: str
) -> None:
    namespace.ip("link add here type veth peer name there")
    with pytest.raises(SystemExit, match=complaint):
        big_tcp.main(device, size)
    with pytest.raises(SetupError, match="No such device"):
        big_tcp.longest_packet(99)


def test_nothing_to_read(namespace: Namespace) -> None:
    with Tun.open() as tun:
        assert tun.read_into(bytearray(PACKET_SIZE)) is None


def test_a_malformed_packet_is_a_bug_of_ours(namespace: Namespace) -> None:
    with Tun.open() as tun:
        run("ip", "link", "set", tun.name, "up")
        with pytest.raises(OSError, match="Invalid argument"):
            tun.write_packet(b"\xf0" + bytes(40))
