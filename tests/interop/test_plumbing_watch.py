"""Uplinks that go and come while the address is served."""

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omtcp.net.plumbing import Plumbing
from omtcp.net.watch import UplinkWatch

from .hosts import PATHS, SERVED, Hosts, read_from, receive, run

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


class Served:
    """The address being served, and its uplinks watched, inside the server's namespace."""

    def __init__(self, hosts: Hosts, family: int, plumbing: Plumbing, watch: UplinkWatch) -> None:
        self.hosts = hosts
        self.family = family
        self.plumbing = plumbing
        self.watch = watch

    def until(self, *wanted: tuple[int, bool], timeout: float = 5.0) -> None:
        """Handle what the kernel tells until it told all of `wanted`, in order, and no more."""
        told: list[tuple[int, bool]] = []
        deadline = time.monotonic() + timeout
        while told != list(wanted) and time.monotonic() < deadline:
            if select.select([self.watch], [], [], 0.1)[0]:
                told += self.watch.handle_readable()
        assert told == list(wanted)

    def until_quiet(self) -> None:
        """Handle what the kernel tells, which must be no news of any path."""
        while select.select([self.watch], [], [], 0.1)[0]:
            assert self.watch.handle_readable() == []

    def routes(self) -> str:
        """What decides about our packets."""
        shown = run("ip", f"-{self.family}", "rule")
        for table in ("41000", "41001"):
            shown += run("ip", f"-{self.family}", "route", "show", "table", table)
        return shown

    def works(self, path: int) -> bool:
        """Whether packets go out and in by that path, and nowhere else."""
        payload = os.urandom(8)
        self.hosts.udp_from_world(f"r{path}", SERVED[self.family], payload)
        got = read_from(self.plumbing.tuns[path], payload)
        if got is None:
            return False
        packet = bytearray(got[0])
        start, length = (12, 4) if self.family == 4 else (8, 16)
        middle, end = start + length, start + 2 * length
        packet[start:middle], packet[middle:end] = packet[middle:end], packet[start:middle]
        with self.hosts.watch(f"r{path}") as wire:
            self.plumbing.tuns[path].write_packet(packet)
            return receive(wire, payload) is not None


@pytest.fixture(params=[4, 6])
def served(hosts: Hosts, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    family: int = request.param
    with (
        hosts.server.inside(),
        Plumbing(SERVED[family], PATHS[family], directory=tmp_path) as plumbing,
        UplinkWatch(plumbing) as watch,
    ):
        yield Served(hosts, family, plumbing, watch)


def test_a_cable_that_is_unplugged(served: Served) -> None:
    served.hosts.world.ip("link set r1 down")
    served.until((1, False))
    served.hosts.world.ip("link set r1 up")
    served.until((1, True))
    served.until_quiet()


def test_an_uplink_that_is_set_down(served: Served) -> None:
    before = served.routes()
    served.hosts.server.ip("link set up0 down")
    served.until((0, False))
    assert served.routes() != before
    served.hosts.server.ip("link set up0 up")
    served.until((0, True))
    assert served.routes() == before
    if served.family == 6:  # the kernel forgets these too, and they are not ours
        served.hosts.server.ip("addr add fd01::2/64 dev up0 nodad")
    assert served.works(0)
    assert served.works(1)


def test_addresses_that_change(served: Served) -> None:
    """As when a lease runs out and another is granted."""
    before = served.routes()
    served.hosts.server.ip("addr flush dev up1 scope global")
    served.until_quiet()
    assert served.routes() == before
    served.hosts.server.ip("addr add 10.2.0.2/24 dev up1\naddr add fd02::2/64 dev up1 nodad")
    served.until_quiet()
    assert served.works(1)


def test_rules_that_somebody_swept_away(served: Served) -> None:
    before = served.routes()
    run("ip", f"-{served.family}", "rule", "del", "iif", "omtcp1")
    run("ip", f"-{served.family}", "rule", "del", "iif", "up0", "priority", "32765")
    served.until_quiet()
    assert sorted(served.routes().splitlines()) == sorted(before.splitlines())


def test_routes_that_somebody_flushed(served: Served) -> None:
    before = served.routes()
    run("ip", f"-{served.family}", "route", "flush", "table", "41001")
    assert served.routes() != before
    served.until_quiet()
    assert served.routes() == before
    assert served.works(1)


def test_other_routes_are_no_news(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to the program: the kernel keeps them from it."""
    served.until_quiet()
    family = f"-{served.family}"
    elsewhere = "198.18.0.0/15" if served.family == 4 else "2001:db8:5::/48"
    run("ip", family, "route", "add", elsewhere, "dev", "lan")
    run("ip", family, "route", "del", elsewhere, "dev", "lan")
    run("ip", family, "route", "add", elsewhere, "dev", "lan", "table", "100")
    run("ip", family, "route", "flush", "table", "100")
    assert not select.select([served.watch], [], [], 0.2)[0]


class TestGateways:
    """A path whose gateway nobody named."""

    @pytest.fixture
    def found(self, hosts: Hosts, tmp_path: Path) -> Iterator[Served]:
        with (
            hosts.server.inside(),
            Plumbing(SERVED[4], ["up0", PATHS[4][1]], directory=tmp_path) as plumbing,
            UplinkWatch(plumbing) as watch,
        ):
            yield Served(hosts, 4, plumbing, watch)

    def test_it_follows_the_default_route(self, found: Served) -> None:
        before = found.hosts.server.snapshot()
        assert str(found.plumbing.paths[0].uplink) == "up0@10.1.0.1"
        found.hosts.world.ip("addr add 10.1.0.7/24 dev r0")
        found.hosts.server.ip("route replace default via 10.1.0.7 dev up0")
        found.until_quiet()
        assert str(found.plumbing.paths[0].uplink) == "up0@10.1.0.7"
        assert "default via 10.1.0.7 dev up0" in run("ip", "route", "show", "table", "41000")
        assert found.works(0)
        found.hosts.server.ip("route replace default via 10.1.0.1 dev up0")
        found.until_quiet()
        assert found.hosts.server.snapshot() == before

    def test_without_one_the_old_gateway_may_still_do(self, found: Served) -> None:
        found.hosts.server.ip("route del default via 10.1.0.1")
        found.until_quiet()
        assert str(found.plumbing.paths[0].uplink) == "up0@10.1.0.1"
        assert found.works(0)

    def test_one_that_was_named_stays(self, found: Served) -> None:
        found.hosts.server.ip("route replace default via 10.2.0.9 dev up1 metric 50")
        found.until_quiet()
        assert str(found.plumbing.paths[1].uplink) == "up1@10.2.0.1"


def test_an_interface_that_is_made_again(served: Served) -> None:
    """A tunnel or a modem comes back under its name, as another interface."""
    served.hosts.server.ip("link del up1")
    served.until((1, False))
    served.hosts.server.ip(
        f"link add up1 type veth peer name r1 netns {served.hosts.world.name}\n"
        "addr add 10.2.0.2/24 dev up1\naddr add fd02::2/64 dev up1 nodad\nlink set up1 up"
    )
    served.hosts.world.ip(
        "addr add 10.2.0.1/24 dev r1\naddr add fd02::1/64 dev r1 nodad\nlink set r1 up"
    )
    served.until((1, True))
    served.until_quiet()
    assert served.works(1)


def test_a_device_of_ours_that_somebody_set_down(served: Served) -> None:
    before = served.routes()
    name = served.plumbing.tuns[0].name
    served.hosts.server.ip(f"link set {name} down")
    served.until_quiet()
    assert served.routes() != before
    served.hosts.server.ip(f"link set {name} up")
    served.until_quiet()
    assert served.routes() == before
    assert served.works(0)


def test_other_interfaces_are_no_news(served: Served) -> None:
    served.hosts.server.ip("link set lan down\nlink set lan up\naddr add 192.168.78.1/24 dev lan")
    served.until_quiet()
