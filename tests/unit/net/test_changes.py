import json
from pathlib import Path
from typing import cast

import pytest

from omtcp.errors import SetupError
from omtcp.net import changes, sysctl
from omtcp.net.changes import Change, RouterMode, Setting
from omtcp.net.netlink import NeighbourProxy, Netlink, Route, Rule
from omtcp.net.plumbing import undo_all

SETTING = Setting(key="net/ipv4/conf/eth0/forwarding", old="0", new="1")
RULE = Rule(family=4, priority=1000, table=41000, incoming="omtcp0")
GUARD = Rule(family=6, priority=32765, table=0, incoming="eth0")
ROUTE = Route(family=4, table=41000, destination="0.0.0.0/0", device="eth0", gateway="10.0.0.1")
ROUTER_MODE = RouterMode(
    old=(("net/ipv6/conf/default/forwarding", "0"), ("net/ipv6/conf/lan/forwarding", "1"))
)
PROXY = NeighbourProxy(family=6, address="2001:db8::80", device="eth0")
ALL: list[Change] = [SETTING, RULE, GUARD, ROUTE, ROUTER_MODE, PROXY]


class Kernel:
    """Keeps rules and routes as netlink would, and tells the order of removals."""

    def __init__(self) -> None:
        self.there: list[object] = []
        self.removed: list[object] = []
        self.stuck: object = None

    def add_rule(self, rule: Rule) -> None:
        self.there.append(rule)

    replace_route = add_rule

    def delete_rule(self, rule: Rule) -> None:
        if rule == self.stuck:
            raise SetupError("cannot remove a policy rule: Device or resource busy")
        self.removed.append(rule)

    delete_route = delete_rule


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/sys of our own."""
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    for key in (
        "net/ipv4/conf/eth0/forwarding",
        "net/ipv6/conf/all/forwarding",
        "net/ipv6/conf/default/forwarding",
        "net/ipv6/conf/lan/forwarding",
    ):
        (tmp_path / key).parent.mkdir(parents=True)
        (tmp_path / key).write_text("0\n")
    return tmp_path


@pytest.mark.parametrize("change", ALL)
def test_json_round_trip(change: Change) -> None:
    assert changes.from_json(json.loads(json.dumps(changes.to_json(change)))) == change


@pytest.mark.parametrize(
    "value", [{}, {"kind": "flood"}, {"kind": "rule"}, {"kind": "rule", "colour": "red"}]
)
def test_no_such_change(value: dict[str, str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        changes.from_json(value)


def test_settings_are_made_and_undone(proc: Path) -> None:
    kernel = cast(Netlink, Kernel())
    changes.make(kernel, SETTING)
    assert sysctl.read(SETTING.key) == "1"
    changes.undo(kernel, SETTING)
    assert sysctl.read(SETTING.key) == "0"


def test_a_setting_that_somebody_changed_is_theirs(proc: Path) -> None:
    sysctl.write(SETTING.key, "2")
    changes.undo(cast(Netlink, Kernel()), SETTING)
    assert sysctl.read(SETTING.key) == "2"


def test_a_setting_of_a_device_that_is_gone(proc: Path) -> None:
    changes.undo(cast(Netlink, Kernel()), Setting(key="net/ipv4/conf/ppp0/x", old="0", new="1"))


def test_a_setting_that_cannot_be_made(proc: Path) -> None:
    with pytest.raises(SetupError, match=r"^cannot set net.ipv4.conf.ppp0.x: No such file"):
        changes.make(cast(Netlink, Kernel()), Setting(key="net/ipv4/conf/ppp0/x", old="0", new="1"))


def test_router_mode_gives_every_interface_its_own_back(proc: Path) -> None:
    kernel = cast(Netlink, Kernel())
    changes.make(kernel, ROUTER_MODE)
    assert sysctl.read(changes.ROUTER_MODE_KEY) == "1"
    changes.undo(kernel, ROUTER_MODE)
    assert sysctl.read(changes.ROUTER_MODE_KEY) == "0"
    assert sysctl.read("net/ipv6/conf/lan/forwarding") == "1"
    assert sysctl.read("net/ipv6/conf/default/forwarding") == "0"


def test_router_mode_that_somebody_ended(proc: Path) -> None:
    changes.undo(cast(Netlink, Kernel()), ROUTER_MODE)
    assert sysctl.read("net/ipv6/conf/lan/forwarding") == "0"


def test_rules_and_routes(proc: Path) -> None:
    kernel = Kernel()
    for change in (RULE, ROUTE):
        changes.make(cast(Netlink, kernel), change)
        changes.undo(cast(Netlink, kernel), change)
    assert kernel.there == kernel.removed == [RULE, ROUTE]


def test_the_same_effect() -> None:
    """The old value belongs to who came first, so it makes no difference."""
    assert changes.is_kept(SETTING, [RULE, Setting(key=SETTING.key, old="7", new="1")])
    assert not changes.is_kept(SETTING, [Setting(key=SETTING.key, old="0", new="2")])
    assert not changes.is_kept(SETTING, [Setting(key="net/ipv4/ip_forward", old="0", new="1")])
    assert changes.is_kept(ROUTER_MODE, [RouterMode(old=())])
    assert changes.is_kept(GUARD, [GUARD])
    assert not changes.is_kept(GUARD, [RULE, ROUTE, SETTING, ROUTER_MODE])


def test_undone_last_first_and_only_what_nobody_else_keeps() -> None:
    kernel = Kernel()
    undo_all(cast(Netlink, kernel), [ROUTE, RULE, GUARD], [GUARD])
    assert kernel.removed == [RULE, ROUTE]


def test_one_failure_does_not_keep_the_rest_from_being_undone() -> None:
    kernel = Kernel()
    kernel.stuck = RULE
    with pytest.raises(SetupError, match="busy"):
        undo_all(cast(Netlink, kernel), [ROUTE, RULE, GUARD], [])
    assert kernel.removed == [GUARD, ROUTE]
