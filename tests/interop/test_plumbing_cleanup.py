"""What the plumbing made is gone afterwards, however the process ended."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omtcp.errors import SetupError
from omtcp.net import plan, sysctl
from omtcp.net.netlink import Netlink
from omtcp.net.plumbing import Plumbing

from .hosts import PATHS, SERVED, Hosts, read_from, receive, run

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

FAMILIES = pytest.mark.parametrize("family", [4, 6])
OTHER = "198.51.100.81"

_SERVE = """
import sys
from pathlib import Path
from omtcp.net.plumbing import Plumbing
address, directory, *paths = sys.argv[1:]
with Plumbing(address, paths, directory=Path(directory)):
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process(
    hosts: Hosts, address: str, paths: list[str], directory: Path
) -> Iterator[subprocess.Popen[str]]:
    """Another process that serves `address`, until its standard input ends."""
    command = hosts.server.command(sys.executable, "-c", _SERVE, address, str(directory), *paths)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def serve_and_die(hosts: Hosts, family: int, directory: Path) -> None:
    with process(hosts, SERVED[family], PATHS[family], directory) as child:
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


def rules_of(hosts: Hosts) -> str:
    return run("ip", "-n", hosts.server.name, "rule")


@FAMILIES
def test_a_normal_exit_leaves_nothing(hosts: Hosts, tmp_path: Path, family: int) -> None:
    before = hosts.server.snapshot()
    with hosts.server.inside(), Plumbing(SERVED[family], PATHS[family], directory=tmp_path):
        assert hosts.server.snapshot() != before
        assert len(list(tmp_path.glob("*.json"))) == 1
    assert hosts.server.snapshot() == before
    assert not list(tmp_path.glob("*.json"))


@FAMILIES
def test_an_exception_leaves_nothing(hosts: Hosts, tmp_path: Path, family: int) -> None:
    before = hosts.server.snapshot()
    with (
        hosts.server.inside(),
        pytest.raises(KeyboardInterrupt),
        Plumbing(SERVED[family], PATHS[family], directory=tmp_path),
    ):
        raise KeyboardInterrupt
    assert hosts.server.snapshot() == before


@FAMILIES
def test_a_failure_halfway_leaves_nothing(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: int
) -> None:
    before = hosts.server.snapshot()
    made = 0
    real = Netlink.add_rule

    def fails_at_last(netlink: Netlink, rule: object) -> None:
        nonlocal made
        made += 1
        if made == 5:
            raise SetupError("no more rules")
        real(netlink, rule)  # type: ignore[arg-type]  # the signature does not matter here

    monkeypatch.setattr(Netlink, "add_rule", fails_at_last)
    with hosts.server.inside(), pytest.raises(SetupError, match="no more rules"):
        Plumbing(SERVED[family], PATHS[family], directory=tmp_path).open()
    assert hosts.server.snapshot() == before
    assert not list(tmp_path.glob("*.json"))


@FAMILIES
def test_the_next_start_undoes_what_a_kill_left(hosts: Hosts, tmp_path: Path, family: int) -> None:
    before = hosts.server.snapshot()
    serve_and_die(hosts, family, tmp_path)
    assert hosts.server.snapshot() != before
    with (
        hosts.watch("r1") as r1,
        hosts.server.inside(),
        Plumbing(SERVED[family], PATHS[family], directory=tmp_path) as plumbing,
    ):
        assert [tun.name for tun in plumbing.tuns] == ["omtcp0", "omtcp1"]
        hosts.udp_from_world("r1", SERVED[family], b"served again")
        assert read_from(plumbing.tuns[1], b"served again") is not None
        assert receive(r1, b"no such packet", timeout=0) is None
    assert hosts.server.snapshot() == before


def test_a_start_for_another_address_clears_too(hosts: Hosts, tmp_path: Path) -> None:
    before = hosts.server.snapshot()
    serve_and_die(hosts, 4, tmp_path)
    with hosts.server.inside(), Plumbing(SERVED[6], PATHS[6], directory=tmp_path):
        assert SERVED[4] not in rules_of(hosts)
    assert hosts.server.snapshot() == before


def test_a_setting_changed_since_the_kill_is_left_alone(hosts: Hosts, tmp_path: Path) -> None:
    hosts.server.write_sysctl("net/ipv4/conf/up1/forwarding", "0")
    serve_and_die(hosts, 4, tmp_path)
    hosts.server.write_sysctl("net/ipv4/conf/up0/forwarding", "0")
    with hosts.server.inside():
        Plumbing(SERVED[4], PATHS[4][1:], directory=tmp_path).open()
        # up0 was set back by hand: nothing to restore, and it is no path any more
        assert sysctl.read("net/ipv4/conf/up0/forwarding") == "0"
        assert sysctl.read("net/ipv4/conf/up1/forwarding") == "1"


def test_the_journal_of_another_namespace_is_not_undone(hosts: Hosts, tmp_path: Path) -> None:
    serve_and_die(hosts, 4, tmp_path)
    left = hosts.server.snapshot()
    (journal,) = tmp_path.glob("*.json")
    inode = journal.name.partition("-")[0]
    with hosts.world.inside():
        here = str(os.stat("/proc/thread-self/ns/net").st_ino)
    # As if the kernel had given the old namespace's inode to a new one.
    journal.rename(tmp_path / journal.name.replace(inode, here))
    with hosts.world.inside(), pytest.raises(SetupError, match="no such device"):
        Plumbing(SERVED[4], ["nowhere"], directory=tmp_path).open()
    assert not list(tmp_path.glob("*.json"))
    assert hosts.server.snapshot() == left


def test_an_address_is_served_once(hosts: Hosts, tmp_path: Path) -> None:
    with process(hosts, SERVED[4], PATHS[4], tmp_path) as child:
        during = hosts.server.snapshot()
        with (
            hosts.server.inside(),
            pytest.raises(
                SetupError, match=rf"^198\.51\.100\.80 is already served by process {child.pid}$"
            ),
        ):
            Plumbing(SERVED[4], PATHS[4], directory=tmp_path).open()
        assert hosts.server.snapshot() == during


@pytest.mark.parametrize("first_goes_first", [True, False])
def test_two_addresses_share_the_uplinks(
    hosts: Hosts, tmp_path: Path, first_goes_first: bool
) -> None:
    before = hosts.server.snapshot()
    with hosts.server.inside():
        first = Plumbing(SERVED[4], PATHS[4], directory=tmp_path)
        second = Plumbing(OTHER, PATHS[4], directory=tmp_path)
        first.open()
        second.open()
        ends, stays = (first, second) if first_goes_first else (second, first)
        ends.close()
        hosts.udp_from_world("r1", str(stays.address), b"still here")
        assert read_from(stays.tuns[1], b"still here") is not None
        assert rules_of(hosts).count("blackhole") == 2
        stays.close()
    assert hosts.server.snapshot() == before


def test_a_kill_beside_a_running_instance(hosts: Hosts, tmp_path: Path) -> None:
    """What both need stays while one needs it, and is as before the first when both are gone."""
    before = hosts.server.snapshot()
    serve = process(hosts, OTHER, PATHS[4], tmp_path)
    with hosts.server.inside():
        with serve as child:
            stays = Plumbing(SERVED[4], PATHS[4], directory=tmp_path)
            stays.open()
            child.send_signal(signal.SIGKILL)
            child.wait()
        with Plumbing(OTHER, PATHS[4], directory=tmp_path):
            hosts.udp_from_world("r0", OTHER, b"the second life")
        hosts.udp_from_world("r0", SERVED[4], b"untouched")
        assert read_from(stays.tuns[0], b"untouched") is not None
        stays.close()
    assert hosts.server.snapshot() == before


def test_a_running_event_loop_is_no_obstacle(hosts: Hosts, tmp_path: Path) -> None:
    async def serve() -> None:
        with Plumbing(SERVED[4], PATHS[4], directory=tmp_path) as plumbing:
            hosts.udp_from_world("r0", SERVED[4], b"in a loop")
            assert read_from(plumbing.tuns[0], b"in a loop") is not None
            plumbing.repair()

    before = hosts.server.snapshot()
    with hosts.server.inside():
        asyncio.run(serve())
    assert hosts.server.snapshot() == before


@FAMILIES
def test_an_uplink_that_was_down_is_repaired(hosts: Hosts, tmp_path: Path, family: int) -> None:
    with (
        hosts.server.inside(),
        Plumbing(SERVED[family], PATHS[family], directory=tmp_path) as plumbing,
    ):
        table = [str(plan.TABLES.start + 1), f"-{family}"]
        routes = run("ip", table[1], "route", "show", "table", table[0])
        hosts.server.ip("link set up1 down")
        down = run("ip", table[1], "route", "show", "table", table[0])
        assert "up1" not in down
        assert "unreachable default" in down  # or else path 1 would leave by up0
        plumbing.repair()
        hosts.server.ip("link set up1 up")
        plumbing.repair()
        assert run("ip", table[1], "route", "show", "table", table[0]) == routes


def test_an_older_kernel_becomes_a_router(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 6.17 IPv6 is forwarded everywhere or nowhere."""
    monkeypatch.setattr(plan, "has_forwarding_per_interface", lambda: False)
    hosts.server.write_sysctl("net/ipv6/conf/lan/forwarding", "1")
    hosts.server.write_sysctl("net/ipv6/conf/up1/accept_ra", "0")
    before = hosts.server.snapshot()
    with (
        hosts.server.inside(),
        Plumbing(SERVED[6], PATHS[6], directory=tmp_path) as plumbing,
    ):
        assert any("IPv6" in line for line in plumbing.warnings)
        assert sysctl.read("net/ipv6/conf/all/forwarding") == "1"
        assert sysctl.read("net/ipv6/conf/up0/accept_ra") == "2"
        assert sysctl.read("net/ipv6/conf/up1/accept_ra") == "0"
        hosts.udp_from_world("r1", SERVED[6], b"as a router")
        assert read_from(plumbing.tuns[1], b"as a router") is not None
    assert hosts.server.snapshot() == before


def test_a_journal_that_cannot_be_written_changes_nothing(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = hosts.server.snapshot()
    monkeypatch.setattr(os, "fsync", full)
    with hosts.server.inside(), pytest.raises(SetupError, match="No space left"):
        Plumbing(SERVED[4], PATHS[4], directory=tmp_path).open()
    assert hosts.server.snapshot() == before
