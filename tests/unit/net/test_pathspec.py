from contextlib import suppress
from ipaddress import ip_address
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import SetupError
from omtcp.net import sysctl
from omtcp.net.address import Address
from omtcp.net.netlink import Link, Netlink
from omtcp.net.pathspec import PathSpec, Uplink, parse_address
from omtcp.net.resolve import resolve


def link(name: str, **changes: object) -> Link:
    fields = {
        "index": 7,
        "mtu": 1500,
        "up": True,
        "carrier": True,
        "loopback": False,
        "neighbourless": False,
    }
    return Link(name=name, **{**fields, **changes})  # type: ignore[arg-type]  # a test's table


class Host:
    """As much of a host as `resolve` asks about."""

    def __init__(self, *links: Link) -> None:
        self.links = {link.name: link for link in links}
        self.owned: dict[str, str] = {}
        self.neighbours = {"10.1.0.1", "10.2.0.1", "fd01::1"}
        self.defaults: dict[tuple[str, int], str] = {}

    def link(self, name: str) -> Link | None:
        return self.links.get(name)

    def owner(self, address: Address) -> str | None:
        return self.owned.get(str(address))

    def reaches_directly(self, address: Address, link: Link) -> bool:
        return str(address) in self.neighbours

    def default_gateway(self, link: Link, family: int) -> Address | None:
        gateway = self.defaults.get((link.name, family))
        return None if gateway is None else ip_address(gateway)


def look_up(host: Host, *paths: str, family: int = 4) -> tuple[Uplink, ...]:
    return resolve(cast(Netlink, host), [PathSpec.parse(path) for path in paths], family)


@pytest.fixture(autouse=True)
def ipv6_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysctl, "read", lambda key: "1" if "no6" in key else "0")


@pytest.mark.parametrize(
    ("text", "device", "gateway"),
    [
        ("eth0", "eth0", None),
        ("eth0.100@10.0.0.1", "eth0.100", "10.0.0.1"),
        ("wan@2001:db8::1", "wan", "2001:db8::1"),
        ("wan@fe80::1", "wan", "fe80::1"),
    ],
)
def test_parse(text: str, device: str, gateway: str | None) -> None:
    spec = PathSpec.parse(text)
    assert spec.device == device
    assert spec.gateway == (None if gateway is None else ip_address(gateway))
    assert str(spec) == text


@pytest.mark.parametrize(
    "text", ["", "@10.0.0.1", "eth0@", "eth0@gateway", "eth0@10.0.0.1@", "a/b", "x" * 16, "a\nb"]
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(SetupError) as refusal:
        PathSpec.parse(text)
    assert repr(text) in str(refusal.value)


@given(st.text())
def test_parse_never_fails_otherwise(text: str) -> None:
    with suppress(SetupError):
        spec = PathSpec.parse(text)
        assert PathSpec.parse(str(spec)) == spec


@pytest.mark.parametrize("text", ["198.51.100.80", "2001:db8::80", "10.0.0.1", "fd00::1"])
def test_addresses_that_can_be_served(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("example.org", "is not an IPv4 or IPv6 address"),
        ("", "is not an IPv4 or IPv6 address"),
        ("10.0.0.0/24", "is not an IPv4 or IPv6 address"),
        ("224.0.0.1", "it is a multicast address"),
        ("ff02::1", "it is a multicast address"),
        ("127.0.0.2", "it is a loopback address"),
        ("::1", "it is a loopback address"),
        ("0.0.0.0", "it is an unspecified address"),
        ("::", "it is an unspecified address"),
        ("169.254.1.1", "it is a link-local address"),
        ("fe80::1", "it is a link-local address"),
        ("2001:db8::1%eth0", "it has a zone"),
        ("::ffff:10.0.0.1", "it is an IPv4-mapped address"),
        ("255.255.255.255", "it is a broadcast address"),
    ],
)
def test_addresses_that_cannot_be_served(text: str, why: str) -> None:
    with pytest.raises(SetupError, match=why):
        parse_address(text)


def test_resolve() -> None:
    host = Host(link("eth0", mtu=1500), link("eth1", index=8, mtu=9000))
    assert look_up(host, "eth0@10.1.0.1", "eth1@10.2.0.1") == (
        Uplink(device="eth0", index=7, mtu=1500, carrier=True, gateway=ip_address("10.1.0.1")),
        Uplink(device="eth1", index=8, mtu=9000, carrier=True, gateway=ip_address("10.2.0.1")),
    )


def test_gateway_from_the_default_route() -> None:
    host = Host(link("eth0"))
    host.defaults = {("eth0", 4): "10.1.0.1", ("eth0", 6): "fe80::1"}
    assert look_up(host, "eth0")[0].gateway == ip_address("10.1.0.1")
    assert look_up(host, "eth0", family=6)[0].gateway == ip_address("fe80::1")


def test_a_tunnel_needs_no_gateway() -> None:
    host = Host(link("wg0", neighbourless=True))
    assert look_up(host, "wg0")[0].gateway is None


def test_one_device_with_two_gateways_is_two_paths() -> None:
    host = Host(link("eth0"))
    assert len(look_up(host, "eth0@10.1.0.1", "eth0@10.2.0.1")) == 2


def test_a_link_local_gateway_is_on_every_link() -> None:
    assert look_up(Host(link("eth0")), "eth0@fe80::1", family=6)[0].gateway == ip_address("fe80::1")


def test_one_cable_may_be_unplugged() -> None:
    host = Host(link("eth0", carrier=False), link("eth1"))
    first, second = look_up(host, "eth0@10.1.0.1", "eth1@10.2.0.1")
    assert (first.carrier, second.carrier) == (False, True)


def test_the_largest_mtu_is_what_a_packet_can_be() -> None:
    assert look_up(Host(link("wg0", mtu=2**31 - 1, neighbourless=True)), "wg0")[0].mtu == 65535


@pytest.mark.parametrize(
    ("paths", "family", "why"),
    [
        ([], 4, "no path given"),
        (["nowhere"], 4, "path nowhere: no such device"),
        (["lo"], 4, "path lo: lo is the loopback device"),
        (["down@10.1.0.1"], 4, "path down@10.1.0.1: device down is down"),
        (["eth0"], 4, "path eth0: no IPv4 default route over eth0 .* say eth0@GATEWAY"),
        (["eth0@10.9.9.9"], 4, "path eth0@10.9.9.9: gateway 10.9.9.9 is not on the link of eth0"),
        (["eth0@10.1.0.1"], 6, "an IPv4 gateway cannot carry an IPv6 address"),
        (["eth0@fd01::1"], 4, "an IPv6 gateway cannot carry an IPv4 address"),
        (["eth0@0.0.0.0"], 4, "0.0.0.0 is not the address of a gateway"),
        (["eth0@127.0.0.1"], 4, "127.0.0.1 is not the address of a gateway"),
        (["eth0@10.1.0.2"], 4, "10.1.0.2 is this host's own address"),
        (["eth0@10.1.0.1", "eth0@10.1.0.1"], 4, "path eth0@10.1.0.1 is given twice"),
        (["narrow@fe80::1"], 6, "MTU 1279 is too small for IPv6"),
        (["no6@fe80::1"], 6, "IPv6 is off on device no6"),
        (["unplugged@10.1.0.1", "unplugged@10.2.0.1"], 4, "no carrier on unplugged$"),
    ],
)
def test_resolve_refuses(paths: list[str], family: int, why: str) -> None:
    host = Host(
        link("eth0"),
        link("lo", loopback=True),
        link("down", up=False),
        link("narrow", mtu=1279),
        link("no6"),
        link("unplugged", carrier=False),
    )
    host.owned = {"10.1.0.2": "address"}
    with pytest.raises(SetupError, match=why) as refusal:
        look_up(host, *paths, family=family)
    assert "\n" not in str(refusal.value)


def test_the_default_route_and_its_gateway_are_one_path() -> None:
    host = Host(link("eth0"))
    host.defaults = {("eth0", 4): "10.1.0.1"}
    with pytest.raises(SetupError, match=r"path eth0@10\.1\.0\.1 is given twice"):
        look_up(host, "eth0", "eth0@10.1.0.1")
