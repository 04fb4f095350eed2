"""Paths as the operator names them, `DEV[@GATEWAY][,cost=N]`, and as a host has them."""

import ipaddress
from dataclasses import dataclass, replace
from typing import Self

from omtcp.errors import SetupError
from omtcp.net.address import Address
from omtcp.net.big_tcp import USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSpec:
    """A path as the operator named it."""

    device: str
    gateway: Address | None = None
    cost: int | None = None
    """Cheaper paths are used first; None where nothing was said."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `DEV` or `DEV@GATEWAY`, maybe with `,cost=N`; SetupError on anything else."""
        named, comma, cost = text.rpartition(",cost=")
        if not comma:
            return cls._parse_name(text)
        if not (cost.isascii() and cost.isdigit() and len(cost) < 10):
            raise SetupError(f"path {text!r}: the cost is a whole number, 0 or more")
        return replace(cls._parse_name(named), cost=int(cost))

    @classmethod
    def _parse_name(cls, text: str) -> Self:
        device, at, gateway = text.partition("@")
        if not device or "/" in device or len(device) > 15 or not device.isprintable():
            raise SetupError(f"path {text!r}: expected DEV[@GATEWAY][,cost=N]")
        if not at:
            return cls(device=device)
        try:
            return cls(device=device, gateway=ipaddress.ip_address(gateway))
        except ValueError:
            raise SetupError(f"path {text!r}: {gateway!r} is not an IP address") from None

    def __str__(self) -> str:
        return self.device if self.gateway is None else f"{self.device}@{self.gateway}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """A path as the host has it: `gateway` None means that the link needs no next hop."""

    device: str
    index: int
    mtu: int
    carrier: bool
    gateway: Address | None
    longest: int = USUAL
    """Octets of the longest packet of ours that the device takes in one piece."""

    def __str__(self) -> str:
        return self.device if self.gateway is None else f"{self.device}@{self.gateway}"


def parse_address(text: str) -> Address:
    """The address to serve from; SetupError unless one host could own it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise SetupError(f"{text!r} is not an IPv4 or IPv6 address") from None
    reason = _unfit(address)
    if reason is not None:
        raise SetupError(f"{address} cannot be served: {reason}")
    return address


def _unfit(address: Address) -> str | None:
    kinds = {
        "a multicast": address.is_multicast,
        "a loopback": address.is_loopback,
        "an unspecified": address.is_unspecified,
        "a link-local": address.is_link_local,
        "a broadcast": address == ipaddress.IPv4Address("255.255.255.255"),
        "an IPv4-mapped": getattr(address, "ipv4_mapped", None) is not None,
    }
    for kind, it_is in kinds.items():
        if it_is:
            return f"it is {kind} address"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return "it has a zone"
    return None
