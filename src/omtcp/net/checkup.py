"""Whether this host lets omtcp serve, tried and looked up before anybody depends on it.

What `Plumbing` needs is tried with the code that it uses: a TUN device of two queues, a policy rule
and a route, for the moment that it takes, and the directory of the journal. Nothing else is
changed, and the uplinks are only looked at.
"""

import os
import platform
import re
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from omtcp.errors import SetupError
from omtcp.net import sysctl
from omtcp.net.firewall import find_command, forwarding_obstacles
from omtcp.net.journal import DEFAULT_DIRECTORY, JournalDirectory
from omtcp.net.netlink import Netlink, Route, Rule
from omtcp.net.pathspec import PathSpec, Uplink, parse_address
from omtcp.net.plan import choose_priorities, choose_tables, has_forwarding_per_interface
from omtcp.net.plumbing import check_not_owned, device_settings
from omtcp.net.resolve import resolve
from omtcp.net.tun import Tun

LEAST_KERNEL = (4, 20)
"""Netlink's strict checking, which we ask for."""
TESTED_KERNEL = (6, 1)
"""What older ones do, nobody has tried."""
USUAL_DESCRIPTORS = 4096
DESCRIPTORS_PER_FILE = 2
"""A mapping has one, and one is there to ask about its pages (apps/contents.py)."""

_CAP_NET_ADMIN = 12
_NOWHERE = {4: "192.0.2.1/32", 6: "2001:db8::1/128"}
"""For a route that no packet takes: documentation addresses."""
_ACCEPT = "insert rules that accept iifname omtcp* and oifname omtcp* (docs/host-setup.md)"
_RP_FILTER = {"0": "off", "1": "strict", "2": "loose"}


class Level(StrEnum):
    """Whether it can serve: yes; yes, but; no."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, and what came of it; `hint` says what could be done; it may be empty."""

    name: str
    level: Level
    says: str
    hint: str = ""


def ok(name: str, says: str, hint: str = "") -> Finding:
    """All is well."""
    return Finding(name=name, level=Level.OK, says=says, hint=hint)


def warn(name: str, says: str, hint: str) -> Finding:
    """It serves, and the operator should know."""
    return Finding(name=name, level=Level.WARN, says=says, hint=hint)


def fail(name: str, says: str, hint: str) -> Finding:
    """It cannot serve."""
    return Finding(name=name, level=Level.FAIL, says=says, hint=hint)


Check = Callable[[], Iterator[Finding]]


def examine(directory: Path = DEFAULT_DIRECTORY) -> Iterator[Finding]:
    """What can be said without knowing what is to be served; `directory` is the journal's."""
    yield from check_kernel()
    yield from check_rights()
    yield from check_tun()
    yield from check_forwarding()
    yield from check_firewall()
    yield from check_journal(directory)
    yield from check_descriptors()


def check_kernel() -> Iterator[Finding]:
    """Its version."""
    release = platform.release()
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    says = f"{platform.system()} {release}"
    if platform.system() != "Linux" or version < LEAST_KERNEL:
        least = ".".join(map(str, LEAST_KERNEL))
        yield fail("kernel", says, f"omtcp needs Linux {least} or later")
    elif version < TESTED_KERNEL:
        tested = ".".join(map(str, TESTED_KERNEL))
        yield warn("kernel", says, f"omtcp is not tested on kernels before {tested}")
    else:
        yield ok("kernel", says)


def check_rights() -> Iterator[Finding]:
    """CAP_NET_ADMIN, whoever has it."""
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    if _capabilities() >> _CAP_NET_ADMIN & 1:
        yield ok("rights", f"{who}, with CAP_NET_ADMIN")
    else:
        hint = "run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN"
        yield fail("rights", f"{who}, without CAP_NET_ADMIN", hint)


def _capabilities() -> int:
    """Those in effect, a bit for each."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def check_tun() -> Iterator[Finding]:
    """A device such as each path gets, and what else needs one to be tried."""
    try:
        tun = Tun.open(multi_queue=True)
    except SetupError as error:
        try:
            tun = Tun.open()
        except SetupError:
            yield fail("tun", str(error), "load the module tun; in a container, pass the device in")
            return
        yield warn("tun", f"one queue only: {error}", "without several queues, no --workers")
    else:
        yield ok("tun", "devices with checksum and segmentation offload (vnet header, TSO)")
    with tun:
        yield from _check_queues(tun)
        yield from _check_settings(tun)
        yield from _check_rules(tun)


def _check_queues(tun: Tun) -> Iterator[Finding]:
    try:
        Tun.open(tun.name, multi_queue=True).close()
    except SetupError as error:
        yield warn("tun queues", str(error), "without several queues, no --workers")
    else:
        yield ok("tun queues", "several per device")


def _check_settings(tun: Tun) -> Iterator[Finding]:
    """Those of the device must be set, where they are not as they have to be."""
    settings = device_settings(tun.name, 4)
    wrong = [key for key, value in settings if sysctl.read(key) not in (None, value)]
    closed = [key for key in wrong if not os.access(sysctl.ROOT / key, os.W_OK)]
    if closed:
        names = ", ".join(key.replace("/", ".") for key in closed)
        hint = "/proc/sys must be writable: in a container, mount it so, or run on the host"
        yield fail("settings", f"cannot be changed: {names}", hint)
    else:
        yield ok("settings", "those of a device can be changed")


def _check_rules(tun: Tun) -> Iterator[Finding]:
    families = [4, 6] if Path("/proc/net/if_inet6").exists() else [4]
    try:
        with Netlink() as netlink:
            for family in families:
                yield from _try_rule(netlink, family, tun)
    except SetupError as error:
        yield fail("rules", str(error), "the kernel needs CONFIG_IP_MULTIPLE_TABLES")
    else:
        versions = " and ".join(f"IPv{family}" for family in families)
        yield ok("rules", f"policy rules and routing tables for {versions}")


def _try_rule(netlink: Netlink, family: int, tun: Tun) -> Iterator[Finding]:
    rules = netlink.rules(family)
    priorities = choose_priorities(rules)
    (table,) = choose_tables(netlink, family, rules, (), 1)
    rule = Rule(family=family, priority=priorities.own, table=table, incoming=tun.name)
    route = Route(family=family, table=table, destination=_NOWHERE[family], device=None)
    try:
        netlink.add_rule(rule)
        netlink.replace_route(route)
    finally:
        netlink.delete_route(route)
        netlink.delete_rule(rule)
    if priorities.guard is None:
        hint = "have the local table asked first, or filter what the uplinks forward yourself"
        says = f"the order of the IPv{family} rules leaves no place for one that guards the uplinks"
        yield warn("rules", says, hint)


def check_forwarding() -> Iterator[Finding]:
    """How packets are let through this host now; omtcp changes it for the uplinks alone."""
    if sysctl.read("net/ipv4/ip_forward") == "1":
        yield ok("ip_forward", "1: this host forwards already")
    else:
        yield ok("ip_forward", "0: forwarding is switched on for the uplinks, and guarded")
    filters = sysctl.read(sysctl.interface(4, "all", "rp_filter")) or "0"
    says = f"{filters} ({_RP_FILTER.get(filters, 'unknown')}): both ways of a path use one table"
    yield ok("rp_filter", says)
    if not Path("/proc/net/if_inet6").exists():
        yield ok("ipv6", "off: only IPv4 addresses can be served")
    elif has_forwarding_per_interface():
        yield ok("ipv6", "forwarding can be switched on for the uplinks alone")
    else:
        says = "this kernel forwards IPv6 on all interfaces or none (Linux 6.17 does on some)"
        yield warn("ipv6", says, "before serving an IPv6 address, filter what others may forward")


def check_firewall() -> Iterator[Finding]:
    """Chains at the forward hook that drop what they do not know."""
    if find_command() is None:
        yield warn("firewall", "not looked at: there is no command nft", "install nftables")
        return
    obstacles = [*forwarding_obstacles(4), *forwarding_obstacles(6)]
    for obstacle in dict.fromkeys(obstacles):
        yield warn("firewall", obstacle, _ACCEPT)
    if not obstacles:
        yield ok("firewall", "no nftables chain drops forwarded packets by default")


def check_journal(directory: Path) -> Iterator[Finding]:
    """Whether changes can be written down, who serves, and what a crash left."""
    try:
        journals = JournalDirectory(directory)
        with journals.locked():
            survey = journals.survey()
    except (SetupError, OSError) as error:
        yield fail("journal", str(error), f"{directory} must be writable (RuntimeDirectory=omtcp)")
        return
    if survey.left:
        left = ", ".join(record.address for _, record in survey.left)
        yield warn("journal", f"a crash left changes: {left}", "the next start undoes them")
    elif survey.running:
        running = ", ".join(f"{each.address} by {each.pid}" for each in survey.running)
        yield ok("journal", f"{directory}; served now: {running}")
    else:
        yield ok("journal", f"{directory} is writable; nothing was left behind")


def check_descriptors() -> Iterator[Finding]:
    """Connections need none, files do."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = soft // DESCRIPTORS_PER_FILE
    if soft in (-1, resource.RLIM_INFINITY):
        yield ok("descriptors", "no limit")
    elif soft < USUAL_DESCRIPTORS:
        says = f"{soft}, for about {files} different large files at a time"
        yield warn(
            "descriptors", says, f"ulimit -n {USUAL_DESCRIPTORS}, or LimitNOFILE= of the unit"
        )
    else:
        yield ok("descriptors", f"{soft} (ulimit -n)")


def examine_site(address: str, paths: Sequence[str]) -> Iterator[Finding]:
    """Whether `address` can be served over `paths`, written as for `omtcp serve`."""
    try:
        with Netlink() as netlink:
            wanted = parse_address(address)
            check_not_owned(netlink, wanted)
            yield ok("address", f"{wanted} is not this host's own")
            specs = [PathSpec.parse(path) for path in paths]
            uplinks = resolve(netlink, specs, wanted.version) if specs else ()
    except SetupError as error:
        yield fail("site", str(error), "docs/host-setup.md, What you must provide")
        return
    for uplink in uplinks:
        yield from _check_uplink(uplink, wanted.version)


def _check_uplink(uplink: Uplink, family: int) -> Iterator[Finding]:
    says = f"{uplink}, MTU {uplink.mtu}"
    if not uplink.carrier:
        yield warn("path", f"{says}, no carrier", "plug it in; the other paths serve meanwhile")
        return
    forwarding = sysctl.interface(family, uplink.device, "forwarding")
    closed = sysctl.read(forwarding) == "0" and not os.access(sysctl.ROOT / forwarding, os.W_OK)
    if closed:
        yield fail("path", f"{says}, cannot forward", f"set {forwarding.replace('/', '.')} to 1")
    else:
        yield ok("path", says)
