"""The changes that are made to the host, as values that can be written down, made and undone."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from omtcp.net import sysctl
from omtcp.net.netlink import NeighbourProxy, Netlink, Route, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A kernel setting that goes from `old` to `new`; key as in net/sysctl.py."""

    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterMode:
    """IPv6 forwarding for the whole host, where the kernel has none per interface.

    The kernel copies the switch to every interface, so `old` remembers theirs, by key.
    """

    old: tuple[tuple[str, str], ...]


Change = Setting | RouterMode | Rule | Route | NeighbourProxy

ROUTER_MODE_KEY = "net/ipv6/conf/all/forwarding"
_KINDS: Mapping[str, type[Change]] = {
    "setting": Setting,
    "router_mode": RouterMode,
    "rule": Rule,
    "route": Route,
    "proxy": NeighbourProxy,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_json(change: Change) -> dict[str, Any]:
    """The change as a JSON object."""
    return {"kind": _NAMES[type(change)], **asdict(change)}


def from_json(value: Mapping[str, Any]) -> Change:
    """The change that `to_json` wrote; ValueError or TypeError for anything else."""
    fields = dict(value)
    name = fields.pop("kind", None)
    if name == "router_mode":
        return RouterMode(old=tuple((key, old) for key, old in fields["old"]))
    if name not in _KINDS:
        raise ValueError(f"no such kind of change: {name}")
    return _KINDS[name](**fields)


def make(netlink: Netlink, change: Change) -> None:
    """Make one change; SetupError when the host refuses it."""
    match change:
        case Setting():
            sysctl.write(change.key, change.new)
        case RouterMode():
            sysctl.write(ROUTER_MODE_KEY, "1")
        case Rule():
            netlink.add_rule(change)
        case Route():
            netlink.replace_route(change)
        case NeighbourProxy():
            netlink.add_proxy(change)


def undo(netlink: Netlink, change: Change) -> None:
    """Undo one change, if it is still there; SetupError when the host refuses that."""
    match change:
        case Setting():
            if sysctl.read(change.key) == change.new:
                sysctl.write(change.key, change.old)
        case RouterMode():
            _leave_router_mode(change)
        case Rule():
            netlink.delete_rule(change)
        case Route():
            netlink.delete_route(change)
        case NeighbourProxy():
            netlink.delete_proxy(change)


def restore(netlink: Netlink, change: Change) -> None:
    """Make a change again where the host has lost it: with an interface, or to somebody's broom."""
    match change:
        case Setting():
            if sysctl.read(change.key) == change.old:
                sysctl.write(change.key, change.new)
        case RouterMode():
            sysctl.write(ROUTER_MODE_KEY, "1")
        case Rule():
            netlink.add_rule(change, again=True)
        case Route():
            if change.device is None or netlink.is_up(change.device):
                netlink.replace_route(change)
        case NeighbourProxy():
            if netlink.is_up(change.device):
                netlink.add_proxy(change)


def same_effect(change: Change, other: Change) -> bool:
    """Whether both ask the same of the host, so that it is made once and kept for the last."""
    match change, other:
        case Setting(), Setting():
            return (change.key, change.new) == (other.key, other.new)
        case RouterMode(), RouterMode():
            return True
    return change == other


def is_kept(change: Change, kept: Iterable[Change]) -> bool:
    """Whether one of `kept` has the effect of `change`."""
    return any(same_effect(change, other) for other in kept)


def _leave_router_mode(change: RouterMode) -> None:
    if sysctl.read(ROUTER_MODE_KEY) != "1":
        return
    sysctl.write(ROUTER_MODE_KEY, "0")
    for key, value in change.old:
        if sysctl.read(key) not in (None, value):
            sysctl.write(key, value)
