"""What `--path DEV[@GATEWAY][,cost=N]` means on this host: an interface, and the next hop on it."""

from collections.abc import Sequence

from omtcp.errors import SetupError
from omtcp.net import sysctl
from omtcp.net.address import Address
from omtcp.net.big_tcp import USUAL
from omtcp.net.netlink import Link, Netlink
from omtcp.net.pathspec import PathSpec, Uplink

LEAST_MTU = {4: 576, 6: 1280}
"""RFC 791: what every host must take; RFC 8200 section 5: what every link must carry."""


def resolve(netlink: Netlink, specs: Sequence[PathSpec], family: int) -> tuple[Uplink, ...]:
    """Look every path up on this host; SetupError names the first that cannot be used.

    A link without carrier is accepted as long as another has one: a cable that is unplugged must
    not keep the service from starting.
    """
    if not specs:
        raise SetupError("no path given")
    uplinks = tuple(_resolve_one(netlink, spec, family) for spec in specs)
    seen: set[tuple[str, Address | None]] = set()
    for uplink in uplinks:
        if (uplink.device, uplink.gateway) in seen:
            raise SetupError(f"path {uplink} is given twice")
        seen.add((uplink.device, uplink.gateway))
    if not any(uplink.carrier for uplink in uplinks):
        names = ", ".join(dict.fromkeys(uplink.device for uplink in uplinks))
        raise SetupError(f"no carrier on {names}")
    return uplinks


def resolve_another(
    netlink: Netlink, spec: PathSpec, family: int, present: Sequence[Uplink]
) -> Uplink:
    """Look up a path that joins those that are `present`; SetupError if it cannot be used."""
    uplink = _resolve_one(netlink, spec, family)
    if any((uplink.device, uplink.gateway) == (other.device, other.gateway) for other in present):
        raise SetupError(f"path {uplink} is there already")
    return uplink


def _resolve_one(netlink: Netlink, spec: PathSpec, family: int) -> Uplink:
    link = netlink.link(spec.device)
    if link is None:
        raise SetupError(f"path {spec}: no such device")
    _check_link(spec, link, family)
    gateway = spec.gateway
    if gateway is None:
        gateway = _find_gateway(netlink, spec, link, family)
    else:
        _check_gateway(netlink, spec, link, gateway, family)
    return Uplink(
        device=link.name,
        index=link.index,
        mtu=min(link.mtu, 65535),
        carrier=link.carrier,
        gateway=gateway,
        longest=link.longest if family == 4 else USUAL,
    )


def _check_link(spec: PathSpec, link: Link, family: int) -> None:
    if link.loopback:
        raise SetupError(f"path {spec}: {link.name} is the loopback device")
    if not link.up:
        raise SetupError(f"path {spec}: device {link.name} is down")
    if link.mtu < LEAST_MTU[family]:
        raise SetupError(f"path {spec}: MTU {link.mtu} is too small for IPv{family}")
    if family == 6 and sysctl.read(sysctl.interface(6, link.name, "disable_ipv6")) != "0":
        raise SetupError(f"path {spec}: IPv6 is off on device {link.name}")


def _find_gateway(netlink: Netlink, spec: PathSpec, link: Link, family: int) -> Address | None:
    gateway = netlink.default_gateway(link, family)
    if gateway is None and not link.neighbourless:
        raise SetupError(
            f"path {spec}: no IPv{family} default route over {link.name} to take the gateway from;"
            f" say {link.name}@GATEWAY"
        )
    return gateway


def _check_gateway(
    netlink: Netlink, spec: PathSpec, link: Link, gateway: Address, family: int
) -> None:
    if gateway.version != family:
        raise SetupError(
            f"path {spec}: an IPv{gateway.version} gateway cannot carry an IPv{family} address"
        )
    if gateway.is_unspecified or gateway.is_multicast or gateway.is_loopback:
        raise SetupError(f"path {spec}: {gateway} is not the address of a gateway")
    owner = netlink.owner(gateway)
    if owner is not None:
        raise SetupError(f"path {spec}: {gateway} is this host's own {owner}")
    if link.neighbourless or gateway.is_link_local:
        return
    if not netlink.reaches_directly(gateway, link):
        raise SetupError(f"path {spec}: gateway {gateway} is not on the link of {link.name}")
