from collections.abc import Callable
from ipaddress import ip_address
from typing import cast

import pytest

from omtcp.errors import SetupError
from omtcp.net import plan, sysctl
from omtcp.net.changes import Change, RouterMode, Setting
from omtcp.net.netlink import ForeignRule, Netlink, Route, Rule
from omtcp.net.pathspec import Uplink
from omtcp.net.plan import PathDevice, Priorities, choose_priorities, choose_tables, plan_changes

LOCAL = ForeignRule(priority=0, table=255, plain=True)
MAIN = ForeignRule(priority=32766, table=254, plain=True)
DEFAULT = ForeignRule(priority=32767, table=253, plain=True)
USUAL = [LOCAL, MAIN, DEFAULT]

Settings = Callable[[dict[str, str]], None]


def rule(priority: int, table: int = 100, *, plain: bool = False) -> ForeignRule:
    return ForeignRule(priority=priority, table=table, plain=plain)


def path(number: int, device: str, gateway: str = "10.0.0.1") -> PathDevice:
    return PathDevice(
        tun=f"omtcp{number}",
        uplink=Uplink(
            device=device, index=number + 2, mtu=1500, carrier=True, gateway=ip_address(gateway)
        ),
        table=41000 + number,
    )


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Say which settings the host has; no others exist."""

    def have(values: dict[str, str]) -> None:
        monkeypatch.setattr(sysctl, "read", values.get)
        names = sorted({key.split("/")[3] for key in values} - {"all", "default"})
        monkeypatch.setattr(sysctl, "interfaces", lambda family: names)

    return have


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], Priorities(own=1000, guard=32765)),
        ([rule(5000)], Priorities(own=1000, guard=32765)),
        ([rule(1001)], Priorities(own=999, guard=32765)),
        ([rule(100), rule(50)], Priorities(own=48, guard=32765)),
        ([rule(1)], Priorities(own=1, guard=32765)),
        ([rule(900, 41003)], Priorities(own=1000, guard=32765)),  # another instance's
        ([rule(32000, 254, plain=True)], Priorities(own=1000, guard=31999)),
        ([rule(32000, 254)], Priorities(own=1000, guard=32765)),  # asks main for some packets only
    ],
)
def test_priorities(others: list[ForeignRule], expected: Priorities) -> None:
    assert choose_priorities([LOCAL, *others, MAIN, DEFAULT]) == expected


def test_no_guard_where_it_would_drop_what_is_for_the_host() -> None:
    late_local = ForeignRule(priority=32766, table=255, plain=True)
    assert choose_priorities([late_local, MAIN, DEFAULT]).guard is None
    assert choose_priorities([MAIN, DEFAULT]).guard is None


class Tables:
    def __init__(self, full: set[int]) -> None:
        self.full = full

    def table_is_empty(self, family: int, table: int) -> bool:
        return table not in self.full


def test_tables_that_nobody_uses() -> None:
    tables = cast(Netlink, Tables({41001}))
    kept: list[Change] = [
        Route(family=4, table=41002, destination="0.0.0.0/0", device="eth0"),
        Rule(family=4, priority=1000, table=41003),
    ]
    named = [*USUAL, rule(40, 41000)]
    assert choose_tables(tables, 4, named, kept, 2) == [41004, 41005]


def test_no_table_left() -> None:
    with pytest.raises(SetupError, match="no free routing table"):
        choose_tables(cast(Netlink, Tables(set(plan.TABLES))), 4, USUAL, [], 1)


def test_the_whole_plan(settings: Settings) -> None:
    settings({"net/ipv4/conf/eth0/forwarding": "0", "net/ipv4/conf/eth1/forwarding": "1"})
    address = ip_address("198.51.100.80")
    paths = [path(0, "eth0"), path(1, "eth1", "10.1.0.1")]
    served, everywhere = "198.51.100.80/32", "0.0.0.0/0"
    assert plan_changes(address, paths, Priorities(own=1000, guard=32765), []) == [
        Route(family=4, table=41000, destination=served, device="omtcp0"),
        Route(family=4, table=41000, destination=everywhere, device="eth0", gateway="10.0.0.1"),
        Route(family=4, table=41000, destination=everywhere, device=None),
        Route(family=4, table=41001, destination=served, device="omtcp1"),
        Route(family=4, table=41001, destination=everywhere, device="eth1", gateway="10.1.0.1"),
        Route(family=4, table=41001, destination=everywhere, device=None),
        Rule(family=4, priority=1000, table=41000, incoming="omtcp0"),
        Rule(family=4, priority=1000, table=41001, incoming="omtcp1"),
        Rule(family=4, priority=1000, table=41000, incoming="eth0", destination="198.51.100.80"),
        Rule(family=4, priority=1000, table=41001, incoming="eth1", destination="198.51.100.80"),
        Rule(family=4, priority=1001, table=41000, destination="198.51.100.80"),
        Rule(family=4, priority=32765, table=0, incoming="eth0"),  # eth1 forwarded before us
        Setting(key="net/ipv4/conf/eth0/forwarding", old="0", new="1"),
    ]


def test_the_guard_stands_before_forwarding_begins(settings: Settings) -> None:
    settings({"net/ipv4/conf/eth0/forwarding": "0"})
    changes = plan_changes(
        ip_address("198.51.100.80"), [path(0, "eth0")], Priorities(own=9, guard=99), []
    )
    kinds = [type(change) for change in changes]
    assert kinds[-2:] == [Rule, Setting]


def test_two_paths_on_one_device(settings: Settings) -> None:
    """What arrives there goes to the first of them."""
    settings({"net/ipv4/conf/eth0/forwarding": "0"})
    paths = [path(0, "eth0"), path(1, "eth0", "10.0.0.2")]
    changes = plan_changes(ip_address("198.51.100.80"), paths, Priorities(own=9, guard=99), [])
    inwards = [
        change for change in changes if isinstance(change, Rule) and change.incoming == "eth0"
    ]
    assert [change.table for change in inwards] == [41000, 0]
    assert len([change for change in changes if isinstance(change, Setting)]) == 1


def test_what_another_instance_set_is_shared(settings: Settings) -> None:
    """Its old value counts: it is what the last of both must restore."""
    settings({"net/ipv4/conf/eth0/forwarding": "1"})
    theirs = Setting(key="net/ipv4/conf/eth0/forwarding", old="0", new="1")
    changes = plan_changes(
        ip_address("198.51.100.80"), [path(0, "eth0")], Priorities(own=9, guard=99), [theirs]
    )
    assert theirs in changes
    assert Rule(family=4, priority=99, table=0, incoming="eth0") in changes


def test_ipv6_forwards_per_interface(settings: Settings) -> None:
    settings(
        {
            "net/ipv6/conf/all/forwarding": "0",
            "net/ipv6/conf/default/force_forwarding": "0",
            "net/ipv6/conf/eth0/force_forwarding": "0",
            "net/ipv6/conf/eth0/forwarding": "0",
            "net/ipv6/conf/eth0/accept_ra": "1",
        }
    )
    assert plan.plan_forwarding(6, ["eth0"], []) == {
        "net/ipv6/conf/eth0/force_forwarding": Setting(
            key="net/ipv6/conf/eth0/force_forwarding", old="0", new="1"
        )
    }


def test_an_ipv6_router_forwards_already(settings: Settings) -> None:
    have = {
        "net/ipv6/conf/all/forwarding": "1",
        "net/ipv6/conf/eth0/forwarding": "1",
        "net/ipv6/conf/eth0/accept_ra": "1",
    }
    settings(have)
    assert plan.plan_forwarding(6, ["eth0"], []) == {}
    settings({**have, "net/ipv6/conf/default/force_forwarding": "0"})
    assert plan.plan_forwarding(6, ["eth0"], []) == {}


def test_older_kernels_become_routers(settings: Settings) -> None:
    """An interface that listens to routers goes on listening; others are not made to."""
    have = {
        "net/ipv6/conf/all/forwarding": "0",
        "net/ipv6/conf/default/forwarding": "0",
        "net/ipv6/conf/eth0/forwarding": "0",
        "net/ipv6/conf/eth0/accept_ra": "1",
        "net/ipv6/conf/eth1/forwarding": "0",
        "net/ipv6/conf/eth1/accept_ra": "0",
        "net/ipv6/conf/lan/forwarding": "1",
        "net/ipv6/conf/lan/accept_ra": "1",
    }
    settings(have)
    planned = plan.plan_forwarding(6, ["eth0", "eth1"], [])
    mode = RouterMode(
        old=tuple(
            (f"net/ipv6/conf/{name}/forwarding", have[f"net/ipv6/conf/{name}/forwarding"])
            for name in ("default", "eth0", "eth1", "lan")
        )
    )
    listening = Setting(key="net/ipv6/conf/eth0/accept_ra", old="1", new="2")
    assert list(dict.fromkeys(planned.values())) == [listening, mode]
    assert {"net/ipv6/conf/eth0/forwarding", "net/ipv6/conf/eth1/forwarding"} <= planned.keys()

    # A second instance keeps what the first one wrote down.
    settings({**have, "net/ipv6/conf/all/forwarding": "1", "net/ipv6/conf/eth0/accept_ra": "2"})
    shared = plan.plan_forwarding(6, ["eth1"], [listening, mode])
    assert list(dict.fromkeys(shared.values())) == [listening, mode]
