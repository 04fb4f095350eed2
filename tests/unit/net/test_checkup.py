"""What is found out about a host, without asking this one."""

import os
import platform
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from omtcp.errors import SetupError
from omtcp.net import checkup, sysctl
from omtcp.net.checkup import Finding, Level
from omtcp.net.netlink import ForeignRule, Route, Rule
from omtcp.net.pathspec import PathSpec, Uplink

Patch = pytest.MonkeyPatch


def levels(findings: Iterable[Finding]) -> list[tuple[str, Level]]:
    return [(finding.name, finding.level) for finding in findings]


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("6.18.44-fc", Level.OK),
        ("6.1.0-21-amd64", Level.OK),
        ("10.0", Level.OK),
        ("5.15.0", Level.WARN),
        ("4.20.1", Level.WARN),
        ("4.19.300", Level.FAIL),
        ("unknown", Level.FAIL),
    ],
)
def test_kernels(release: str, level: Level, monkeypatch: Patch) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    assert levels(checkup.check_kernel()) == [("kernel", level)]


def test_another_system(monkeypatch: Patch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "FreeBSD")
    monkeypatch.setattr(platform, "release", lambda: "14.1")
    assert levels(checkup.check_kernel()) == [("kernel", Level.FAIL)]


@pytest.mark.parametrize(
    ("capabilities", "level"), [(1 << 12, Level.OK), (1 << 13, Level.FAIL), (0, Level.FAIL)]
)
def test_rights(capabilities: int, level: Level, monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkup, "_capabilities", lambda: capabilities)
    assert levels(checkup.check_rights()) == [("rights", level)]


@pytest.mark.parametrize(
    ("limit", "level"),
    [
        (1024, Level.WARN),
        (4096, Level.OK),
        (resource.RLIM_INFINITY, Level.OK),
    ],
)
def test_descriptors(limit: int, level: Level, monkeypatch: Patch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    assert levels(checkup.check_descriptors()) == [("descriptors", level)]


class FakeTun:
    """A device whose queues the kernel gives or refuses."""

    name = "omtcp7"
    refuse_all = False
    queues = 2

    @classmethod
    def open(cls, name: str = "", *, multi_queue: bool = False) -> "FakeTun":
        wanted = 2 if name else 1
        if cls.refuse_all or (multi_queue and cls.queues < wanted):
            raise SetupError("refused")
        return cls()

    def close(self) -> None:
        pass

    def __enter__(self) -> "FakeTun":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeNetlink:
    """Remembers what was made and not removed."""

    made: list[object]
    rules_there = (ForeignRule(priority=0, table=255, plain=True),)
    refuses_routes = False

    def __init__(self) -> None:
        type(self).made = []

    def __enter__(self) -> "FakeNetlink":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rules(self, family: int) -> list[ForeignRule]:
        return list(self.rules_there)

    def table_is_empty(self, family: int, table: int) -> bool:
        return True

    def add_rule(self, rule: Rule) -> None:
        self.made.append(rule)

    def delete_rule(self, rule: Rule) -> None:
        self.made.remove(rule)

    def replace_route(self, route: Route) -> None:
        if self.refuses_routes:
            raise SetupError("no routes today")
        self.made.append(route)

    def delete_route(self, route: Route) -> None:
        if route in self.made:
            self.made.remove(route)


@pytest.fixture
def tun(monkeypatch: Patch, tmp_path: Path) -> type[FakeTun]:
    """The device that `check_tun` makes, on a host with no settings but those of a test."""

    class Tun(FakeTun):
        pass

    monkeypatch.setattr(checkup, "Tun", Tun)
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    return Tun


@pytest.fixture
def netlink(monkeypatch: Patch) -> type[FakeNetlink]:
    """What policy rules are tried on."""

    class Netlink(FakeNetlink):
        pass

    monkeypatch.setattr(checkup, "Netlink", Netlink)
    return Netlink


def test_all_that_a_device_needs(tun: type[FakeTun], netlink: type[FakeNetlink]) -> None:
    found = list(checkup.check_tun())
    assert [finding.name for finding in found] == ["tun", "tun queues", "settings", "rules"]
    assert {finding.level for finding in found} == {Level.OK}
    assert netlink.made == []


def test_without_a_device_nothing_else_is_tried(tun: type[FakeTun]) -> None:
    tun.refuse_all = True
    assert levels(checkup.check_tun()) == [("tun", Level.FAIL)]


@pytest.mark.parametrize("queues", [0, 1])
def test_one_queue_is_enough_to_serve(
    queues: int, tun: type[FakeTun], netlink: type[FakeNetlink]
) -> None:
    tun.queues = queues
    found = levels(checkup.check_tun())
    assert Level.FAIL not in {level for _, level in found}
    assert ("tun queues", Level.WARN) in found


def test_what_was_made_is_removed_when_the_rest_is_refused(
    tun: type[FakeTun], netlink: type[FakeNetlink]
) -> None:
    netlink.refuses_routes = True
    found = levels(checkup.check_tun())
    assert found[-1] == ("rules", Level.FAIL)
    assert netlink.made == []


def test_no_place_for_the_guard(tun: type[FakeTun], netlink: type[FakeNetlink]) -> None:
    netlink.rules_there = (ForeignRule(priority=40000, table=255, plain=True),)
    assert ("rules", Level.WARN) in levels(checkup.check_tun())


def test_settings_that_cannot_be_changed(
    tun: type[FakeTun], netlink: type[FakeNetlink], tmp_path: Path, monkeypatch: Patch
) -> None:
    directory = tmp_path / "net/ipv4/conf/omtcp7"
    directory.mkdir(parents=True)
    (directory / "forwarding").write_text("0\n")
    (directory / "rp_filter").write_text("2\n")  # as it has to be
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = {finding.name: finding for finding in checkup.check_tun()}
    assert found["settings"].level is Level.FAIL
    assert found["settings"].says == "cannot be changed: net.ipv4.conf.omtcp7.forwarding"


def test_firewalls(monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkup, "find_command", lambda: "/sbin/nft")
    chains = {4: ["chain inet a", "chain ip b"], 6: ["chain inet a"]}
    monkeypatch.setattr(checkup, "forwarding_obstacles", lambda family: iter(chains[family]))
    found = list(checkup.check_firewall())
    assert [finding.says for finding in found] == ["chain inet a", "chain ip b"]
    assert {finding.level for finding in found} == {Level.WARN}


def test_no_firewall_and_none_that_could_be_looked_at(monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkup, "forwarding_obstacles", lambda family: iter(()))
    monkeypatch.setattr(checkup, "find_command", lambda: "/sbin/nft")
    assert levels(checkup.check_firewall()) == [("firewall", Level.OK)]
    monkeypatch.setattr(checkup, "find_command", lambda: None)
    assert levels(checkup.check_firewall()) == [("firewall", Level.WARN)]


def test_a_journal_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert levels(checkup.check_journal(tmp_path / "file" / "journal")) == [("journal", Level.FAIL)]
    assert levels(checkup.check_journal(tmp_path / "journal")) == [("journal", Level.OK)]


def _site(monkeypatch: Patch, uplinks: tuple[Uplink, ...]) -> Iterator[Finding]:
    def resolve(netlink: object, specs: list[PathSpec], family: int) -> tuple[Uplink, ...]:
        return uplinks

    monkeypatch.setattr(checkup, "check_not_owned", lambda netlink, address: None)
    monkeypatch.setattr(checkup, "resolve", resolve)
    return checkup.examine_site("192.0.2.1", ["eth0", "eth1"])


def test_uplinks(monkeypatch: Patch, netlink: type[FakeNetlink], tmp_path: Path) -> None:
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    dead, alive = (
        Uplink(device=f"eth{number}", index=number, mtu=1500, carrier=bool(number), gateway=None)
        for number in range(2)
    )
    found = levels(_site(monkeypatch, (dead, alive)))
    assert found == [("address", Level.OK), ("path", Level.WARN), ("path", Level.OK)]


def test_an_uplink_that_cannot_be_made_to_forward(
    monkeypatch: Patch, netlink: type[FakeNetlink], tmp_path: Path
) -> None:
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for device, value in (("eth0", "1"), ("eth1", "0")):
        directory = tmp_path / "net/ipv4/conf" / device
        directory.mkdir(parents=True)
        (directory / "forwarding").write_text(value)
    uplinks = tuple(
        Uplink(device=f"eth{number}", index=number, mtu=1500, carrier=True, gateway=None)
        for number in range(2)
    )
    found = levels(_site(monkeypatch, uplinks))
    assert found == [("address", Level.OK), ("path", Level.OK), ("path", Level.FAIL)]


def test_an_address_that_nobody_can_serve(netlink: type[FakeNetlink]) -> None:
    assert levels(checkup.examine_site("127.0.0.1", [])) == [("site", Level.FAIL)]
