"""Which changes a served address needs, worked out from what the host looks like.

The way of a packet to the served address: it arrives on an uplink, the uplink's rule sends it to
the table of that path, and the table's route to that path's TUN device. The way back: the packet
appears on a TUN device, the device's rule sends it to the same table, and its default route to the
gateway. As both ways use the same table, even strict reverse path filtering (RFC 3704) on the
uplinks sees a symmetric route, whichever uplink a packet arrives on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from omtcp.errors import SetupError
from omtcp.net import sysctl
from omtcp.net.address import Address
from omtcp.net.changes import ROUTER_MODE_KEY, Change, RouterMode, Setting
from omtcp.net.netlink import (
    LOCAL_TABLE,
    MAIN_TABLE,
    ForeignRule,
    NeighbourProxy,
    Netlink,
    Route,
    Rule,
)
from omtcp.net.pathspec import Uplink

TABLES = range(41000, 42000)
"""Where we look for free routing tables; distributions number theirs below 1000 or above 2^16."""

USUAL_PRIORITY = 1000
_MAIN_PRIORITY = 32766


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDevice:
    """One path as the plan sees it: its TUN device, its uplink and its routing table."""

    tun: str
    uplink: Uplink
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Priorities:
    """Where our rules stand: `own` and `own + 1` come first, `guard` just before the main table."""

    own: int
    guard: int | None


def choose_priorities(rules: Sequence[ForeignRule]) -> Priorities:
    """Before every rule but the local table's, so that no other rule takes our packets.

    The guard must come after the local table is asked, else it would drop what is for the host
    itself; where the local table is asked late there is no place for it.
    """
    local = [rule.priority for rule in rules if rule.table == LOCAL_TABLE]
    others = [
        rule.priority
        for rule in rules
        if rule.table != LOCAL_TABLE and rule.table not in TABLES  # the latter are instances' own
    ]
    main = [rule.priority for rule in rules if rule.table == MAIN_TABLE and rule.plain]
    own = min([USUAL_PRIORITY, *(priority - 2 for priority in others)])
    guard = min(main, default=_MAIN_PRIORITY) - 1
    if not local or min(local) > guard or guard < 1:
        return Priorities(own=max(own, 1), guard=None)
    return Priorities(own=max(own, 1), guard=guard)


def choose_tables(
    netlink: Netlink, family: int, rules: Sequence[ForeignRule], taken: Sequence[Change], count: int
) -> list[int]:
    """`count` tables that no rule names, no other instance uses and no route is in."""
    named = {rule.table for rule in rules}
    named |= {change.table for change in taken if isinstance(change, Rule | Route)}
    free: list[int] = []
    for table in TABLES:
        if len(free) == count:
            break
        if table not in named and netlink.table_is_empty(family, table):
            free.append(table)
    if len(free) < count:
        raise SetupError(f"no free routing table from {TABLES.start} to {TABLES.stop - 1}")
    return free


def plan_changes(
    address: Address, paths: Sequence[PathDevice], priorities: Priorities, kept: Sequence[Change]
) -> list[Change]:
    """All changes, in the order in which to make them.

    `kept` is what others rely on, and we where we serve the address already: it is made.
    """
    if not paths:
        return []
    family = address.version
    devices = list(dict.fromkeys(path.uplink.device for path in paths))
    plan: list[Change] = []
    for path in paths:
        plan += _routes(address, path)
    plan += _rules(address, paths, priorities)
    forwarded = plan_forwarding(family, devices, kept)
    if priorities.guard is not None:
        plan += [
            Rule(family=family, priority=priorities.guard, table=0, incoming=device)
            for device in devices
            if sysctl.interface(family, device, _forwarding_name(family)) in forwarded
        ]
    return [*plan, *dict.fromkeys(forwarded.values())]


def plan_forwarding(
    family: int, devices: Sequence[str], kept: Sequence[Change]
) -> dict[str, Change]:
    """What makes the host forward packets that arrive on `devices`, by key."""
    keys = [sysctl.interface(family, device, _forwarding_name(family)) for device in devices]
    if family == 6 and not has_forwarding_per_interface():
        return _plan_router_mode(devices, kept)
    if family == 6 and sysctl.read(ROUTER_MODE_KEY) == "1":
        return {}
    changes = {key: _shared_setting(key, "1", kept) for key in keys}
    return {key: change for key, change in changes.items() if change is not None}


def plan_proxies(
    netlink: Netlink, address: Address, uplinks: Sequence[Uplink], kept: Sequence[Change]
) -> list[Change]:
    """Answering for an address out of an uplink's own network, where neighbours ask for it.

    Nobody else would; an address from elsewhere is routed to us and needs none of this.
    """
    plan: list[Change] = []
    for device in dict.fromkeys(uplink.device for uplink in uplinks):
        link = netlink.link(device)
        if link is None or link.neighbourless or not netlink.reaches_directly(address, link):
            continue
        proxy = NeighbourProxy(family=address.version, address=str(address), device=device)
        if proxy not in kept and netlink.has_proxy(proxy):
            continue
        if address.version == 6:
            plan += _proxy_settings(device, kept)
        plan.append(proxy)
    return plan


def _proxy_settings(device: str, kept: Sequence[Change]) -> list[Change]:
    """IPv6 answers for others only where it forwards, and has to be told to."""
    settings = [_shared_setting(sysctl.interface(6, device, "proxy_ndp"), "1", kept)]
    forwarding = _shared_setting(sysctl.interface(6, device, "forwarding"), "1", kept)
    if forwarding is not None:
        settings += [_listening(device, kept), forwarding]
    return [setting for setting in settings if setting is not None]


def _listening(device: str, kept: Sequence[Change]) -> Setting | None:
    """What keeps `device` listening to routers while it forwards, if it does listen.

    With accept_ra 1 an interface stops listening when it forwards; 2 means "even so".
    """
    setting = _shared_setting(sysctl.interface(6, device, "accept_ra"), "2", kept)
    return setting if setting is not None and setting.old == "1" else None


def has_forwarding_per_interface() -> bool:
    """Whether this kernel can forward IPv6 from chosen interfaces only (Linux 6.17)."""
    return sysctl.read(sysctl.interface(6, "default", "force_forwarding")) is not None


def _forwarding_name(family: int) -> str:
    return "forwarding" if family == 4 or not has_forwarding_per_interface() else "force_forwarding"


def _shared_setting(key: str, new: str, kept: Sequence[Change]) -> Setting | None:
    """The change of `key` to `new`; None when it is so without us or another instance."""
    for change in kept:
        if isinstance(change, Setting) and (change.key, change.new) == (key, new):
            return change
    old = sysctl.read(key)
    if old is None or old == new:
        return None
    return Setting(key=key, old=old, new=new)


def _plan_router_mode(devices: Sequence[str], kept: Sequence[Change]) -> dict[str, Change]:
    """Forwarding everywhere, with every interface that listened to routers still doing so."""
    changes: dict[str, Change] = {}
    shared = next((change for change in kept if isinstance(change, RouterMode)), None)
    if shared is None and sysctl.read(ROUTER_MODE_KEY) == "1":
        return {}
    for device in sysctl.interfaces(6):
        setting = _listening(device, kept)
        forwards = sysctl.read(sysctl.interface(6, device, "forwarding"))
        if setting is not None and (setting in kept or forwards == "0"):
            changes[setting.key] = setting
    names = ["default", *sysctl.interfaces(6)]
    keys = [sysctl.interface(6, name, "forwarding") for name in names]
    mode = shared or RouterMode(old=tuple((key, sysctl.read(key) or "0") for key in keys))
    return changes | {sysctl.interface(6, device, "forwarding"): mode for device in devices}


def _routes(address: Address, path: PathDevice) -> list[Change]:
    family = address.version
    gateway = None if path.uplink.gateway is None else str(path.uplink.gateway)
    everywhere = "0.0.0.0/0" if family == 4 else "::/0"
    served = f"{address}/{address.max_prefixlen}"
    return [
        Route(family=family, table=path.table, destination=served, device=path.tun),
        Route(
            family=family,
            table=path.table,
            destination=everywhere,
            device=path.uplink.device,
            gateway=gateway,
        ),
        # Without it a path whose uplink lost its routes would leave by another one unnoticed.
        Route(family=family, table=path.table, destination=everywhere, device=None),
    ]


def _rules(address: Address, paths: Sequence[PathDevice], priorities: Priorities) -> list[Change]:
    family, own = address.version, priorities.own
    outwards = [
        Rule(family=family, priority=own, table=path.table, incoming=path.tun) for path in paths
    ]
    first_on_device = {path.uplink.device: path for path in reversed(paths)}
    inwards = [
        Rule(
            family=family,
            priority=own,
            table=path.table,
            incoming=device,
            destination=str(address),
        )
        for device, path in reversed(first_on_device.items())
    ]
    # The host itself, and networks that reach the address through it.
    anywhere = Rule(family=family, priority=own + 1, table=paths[0].table, destination=str(address))
    return [*outwards, *inwards, anywhere]
