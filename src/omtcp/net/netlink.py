"""Links, addresses, rules and routes of the host: the one user of pyroute2, behind typed functions.

Values carry plain text and numbers, as they are also written to the journal. Every failure is a
SetupError of one line; what is to be removed and is not there is no failure.
"""

import asyncio
import errno
import ipaddress
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from socket import AF_INET, AF_INET6
from typing import Any, Self, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from omtcp.errors import SetupError
from omtcp.net.address import Address
from omtcp.net.big_tcp import USUAL, longest_packet

_T = TypeVar("_T")

MAIN_TABLE = 254
LOCAL_TABLE = 255
LAST_METRIC = 2**32 - 1

_FAMILY = {4: AF_INET, 6: AF_INET6}
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_IFF_POINTOPOINT = 0x10
_IFF_NOARP = 0x80
_IFF_LOWER_UP = 0x10000
_RTM_F_FIB_MATCH = 0x2000
_RTNH_F_ONLINK = 4
_RTN_UNICAST = 1
_RTN_LOCAL = 2
_RTN_OWNED = {_RTN_LOCAL: "address", 3: "broadcast address", 4: "anycast address"}
_NOT_THERE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})
_UNSELECTIVE = frozenset({"FRA_TABLE", "FRA_PRIORITY", "FRA_PROTOCOL"})
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An interface as it is now; `neighbourless` ones need no gateway (tunnels, PPP)."""

    index: int
    name: str
    mtu: int
    up: bool
    carrier: bool
    loopback: bool
    neighbourless: bool
    longest: int = USUAL
    """Octets of the longest IPv4 packet that it takes in one piece, see `big_tcp`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy rule; with `table` 0 it drops. `incoming` is a device, `destination` an address."""

    family: int
    priority: int
    table: int
    incoming: str | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route by interface name; `gateway` None means on the link, `device` None unreachable."""

    family: int
    table: int
    destination: str
    device: str | None
    gateway: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourProxy:
    """Answering for `address` when a neighbour on `device` asks who has it (ARP or NDP)."""

    family: int
    address: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRule:
    """What matters of a rule that is not ours; `plain` means that it matches every packet."""

    priority: int
    table: int
    plain: bool


def outside_event_loop(work: Callable[[], _T]) -> _T:
    """Call `work` where no event loop runs: pyroute2 brings its own, and loops do not nest."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1, "omtcp-netlink") as executor:
        return executor.submit(work).result()


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code == errno.EPERM:
            raise SetupError("setting up the network needs root or CAP_NET_ADMIN") from error
        raise SetupError(f"cannot {what}: {error.args[1]}") from error


class Netlink:
    """A conversation with the kernel; not to be used where an event loop runs."""

    def __init__(self) -> None:
        self._route: Any = IPRoute(strict_check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._route.close()

    def link(self, name: str) -> Link | None:
        """The interface called `name`, None if there is none."""
        try:
            message = self._route.link("get", ifname=name)[0]
        except NetlinkError as error:
            if error.code in (errno.ENODEV, errno.EINVAL, errno.ERANGE):
                return None
            raise SetupError(f"cannot look at device {name}: {error.args[1]}") from error
        flags = message["flags"]
        return Link(
            index=message["index"],
            name=name,
            mtu=message.get("mtu"),
            up=bool(flags & _IFF_UP),
            carrier=bool(flags & _IFF_LOWER_UP),
            loopback=bool(flags & _IFF_LOOPBACK),
            neighbourless=bool(flags & (_IFF_POINTOPOINT | _IFF_NOARP)),
            longest=longest_packet(message["index"]),
        )

    def is_up(self, name: str) -> bool:
        """Whether there is an interface called `name`, set up and with carrier or not."""
        link = self.link(name)
        return link is not None and link.up

    def set_link_up(self, name: str, *, queue_length: int) -> None:
        """Set the interface up, with room for `queue_length` packets in its queue."""
        with _refusals(f"set device {name} up"):
            index = self._route.link("get", ifname=name)[0]["index"]
            self._route.link("set", index=index, state="up", txqlen=queue_length)

    def owner(self, address: Address) -> str | None:
        """What `address` is to this host, such as "broadcast address"; None if nothing."""
        answer = self._lookup(address)
        return None if answer is None else _RTN_OWNED.get(answer["type"])

    def reaches_directly(self, address: Address, link: Link) -> bool:
        """Whether a neighbour with that address is looked for on the link itself."""
        answer = self._lookup(address, oif=link.index, flags=_RTM_F_FIB_MATCH)
        if answer is None or answer["type"] != _RTN_UNICAST:
            return False
        return answer.get("gateway") is None and answer.get("via") is None

    def default_gateway(self, link: Link, family: int) -> Address | None:
        """The gateway of the best default route over `link` in the main table."""
        with _refusals(f"list the routes over {link.name}"):
            # Not filtered by interface: that would hide the routes with several next hops.
            routes = list(self._route.get_routes(family=_FAMILY[family], table=MAIN_TABLE))
        best: tuple[int, str] | None = None
        for route in routes:
            if route["dst_len"] == 0 and route["type"] == _RTN_UNICAST:
                gateway = _gateway_over(route, link.index)
                metric = route.get("priority") or 0
                if gateway is not None and (best is None or metric < best[0]):
                    best = (metric, gateway)
        return None if best is None else ipaddress.ip_address(best[1])

    def rules(self, family: int) -> list[ForeignRule]:
        """The policy rules in the order the kernel asks them."""
        with _refusals("list the policy rules"):
            messages = list(self._route.get_rules(family=_FAMILY[family]))
        return [
            ForeignRule(
                priority=message.get("priority") or 0,
                table=message.get("table") or message["table"],
                plain=_is_plain(message),
            )
            for message in messages
        ]

    def table_is_empty(self, family: int, table: int) -> bool:
        """Whether no route is in `table`; the kernel looks, however many routes the host has."""
        with _refusals(f"list the routes of table {table}"):
            routes = self._route.get_routes(family=_FAMILY[family], table=table)
            return next(iter(routes), None) is None

    def add_rule(self, rule: Rule, *, again: bool = False) -> None:
        """Make `rule`; SetupError if there is one like it, unless it is made `again`."""
        with _refusals(f"add a policy rule for {rule.incoming or rule.destination}"):
            try:
                self._route.rule("add", **_rule_arguments(rule))
            except NetlinkError as error:
                if error.code != errno.EEXIST or not again:
                    raise

    def delete_rule(self, rule: Rule) -> None:
        """Remove `rule`, if it is there."""
        self._remove("remove a policy rule", self._route.rule, _rule_arguments(rule))

    def replace_route(self, route: Route) -> None:
        """Make `route`, or make it what it should be."""
        with _refusals(f"add a route over {route.device} in table {route.table}"):
            self._route.route("replace", **self._route_arguments(route))

    def delete_route(self, route: Route) -> None:
        """Remove `route`, if it and its device are there."""
        try:
            arguments = self._route_arguments(route)
        except NetlinkError:  # the device is gone, and its routes with it
            return
        self._remove("remove a route", self._route.route, arguments)

    def has_proxy(self, proxy: NeighbourProxy) -> bool:
        """Whether the host answers for that address on that link."""
        try:
            self._route.neigh("get", **self._proxy_arguments(proxy))
        except NetlinkError as error:
            if error.code not in _NOT_THERE:
                raise SetupError(f"cannot look up {proxy.address}: {error.args[1]}") from error
            return False
        return True

    def add_proxy(self, proxy: NeighbourProxy) -> None:
        """Make `proxy`; nothing happens where it is made already."""
        with _refusals(f"answer for {proxy.address} on {proxy.device}"):
            self._route.neigh("replace", **self._proxy_arguments(proxy))

    def delete_proxy(self, proxy: NeighbourProxy) -> None:
        """Remove `proxy`, if it and its device are there."""
        try:
            arguments = self._proxy_arguments(proxy)
        except NetlinkError:
            return
        self._remove(f"stop answering for {proxy.address}", self._route.neigh, arguments)

    def _proxy_arguments(self, proxy: NeighbourProxy) -> dict[str, Any]:
        return {
            "family": _FAMILY[proxy.family],
            "dst": proxy.address,
            "ifindex": self._route.link("get", ifname=proxy.device)[0]["index"],
            "flags": 8,  # NTF_PROXY
        }

    def _remove(self, what: str, call: Callable[..., Any], arguments: dict[str, Any]) -> None:
        with _refusals(what):
            try:
                call("del", **arguments)
            except NetlinkError as error:
                if error.code not in _NOT_THERE:
                    raise

    def _lookup(self, address: Address, **more: int) -> Any:
        try:
            answers = self._route.route(
                "get", family=_FAMILY[address.version], dst=str(address), **more
            )
        except NetlinkError as error:
            if error.code in _UNREACHABLE:
                return None
            raise SetupError(f"cannot look up {address}: {error.args[1]}") from error
        return answers[0]

    def _route_arguments(self, route: Route) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "family": _FAMILY[route.family],
            "dst": route.destination,
            "table": route.table,
            "proto": 4,  # RTPROT_STATIC
        }
        if route.device is None:
            return arguments | {"type": "unreachable", "priority": LAST_METRIC}
        arguments["oif"] = self._route.link("get", ifname=route.device)[0]["index"]
        if route.gateway is not None:
            arguments |= {"gateway": route.gateway, "flags": _RTNH_F_ONLINK}
        elif route.family == 4:
            arguments["scope"] = 253  # link
        return arguments


def _is_plain(message: Any) -> bool:
    attributes = dict(message["attrs"])
    suppressed = attributes.pop("FRA_SUPPRESS_PREFIXLEN", LAST_METRIC)
    return attributes.keys() <= _UNSELECTIVE and suppressed == LAST_METRIC


def _rule_arguments(rule: Rule) -> dict[str, Any]:
    arguments: dict[str, Any] = {"family": _FAMILY[rule.family], "priority": rule.priority}
    if rule.table:
        arguments["table"] = rule.table
    else:
        arguments["action"] = "blackhole"
    if rule.incoming is not None:
        arguments["iifname"] = rule.incoming
    if rule.destination is not None:
        arguments["dst"] = rule.destination
        arguments["dst_len"] = 32 if rule.family == 4 else 128
    return arguments


def _gateway_over(route: Any, index: int) -> str | None:
    """The gateway of `route` over the interface `index`; a multipath route has several."""
    hops = route.get("multipath")
    choices = [(hop["oif"], hop) for hop in hops] if hops else [(route.get("oif"), route)]
    for interface, hop in choices:
        gateway = hop.get("gateway")
        if interface == index and gateway is not None:
            return str(gateway)
    return None
