"""Paths that are made and undone while others of the same address are at work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omtcp.errors import SetupError
from omtcp.net.changes import Change, make
from omtcp.net.netlink import Netlink
from omtcp.net.pathspec import PathSpec
from omtcp.net.plumbing import Plumbing

from .hosts import PATHS, SERVED, Hosts, read_from, run

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

FAMILIES = pytest.mark.parametrize("family", [4, 6])
_NEAR = {4: "10.2.0.80", 6: "fd02::80"}
"""Out of an uplink's own network, which takes all kinds of changes."""


def arrives(hosts: Hosts, plumbing: Plumbing, path: int, leg: int, family: int) -> bool:
    """Whether what comes in by `leg` is read from `path`.

    Asked three times: a host that was just set up may drop the packet that makes it look for its
    neighbour.
    """
    for _ in range(3):
        payload = os.urandom(8)
        hosts.udp_from_world(f"r{leg}", SERVED[family], payload)
        if read_from(plumbing.paths[path].tun, payload, timeout=1) is not None:
            return True
    return False


@FAMILIES
def test_a_path_more(hosts: Hosts, tmp_path: Path, family: int) -> None:
    before = hosts.server.snapshot()
    one, two = map(PathSpec.parse, PATHS[family])
    with hosts.server.inside():
        with Plumbing(SERVED[family], [one], directory=tmp_path) as plumbing:
            alone = hosts.server.snapshot()
            assert plumbing.add(two) == 1
            assert arrives(hosts, plumbing, 0, 0, family)
            assert arrives(hosts, plumbing, 1, 1, family)
            plumbing.remove(1)
            assert hosts.server.snapshot() == alone
            assert list(plumbing.paths) == [0]
            assert plumbing.add(two) == 2, "an index is not used again"
        assert hosts.server.snapshot() == before
    assert list(tmp_path.iterdir()) == []


@FAMILIES
def test_the_first_path_goes(hosts: Hosts, tmp_path: Path, family: int) -> None:
    """The rule for whoever reaches the address through the host itself moves to another."""
    before = hosts.server.snapshot()
    with hosts.server.inside():
        with Plumbing(SERVED[family], PATHS[family], directory=tmp_path) as plumbing:
            plumbing.remove(0)
            assert arrives(hosts, plumbing, 1, 1, family)
            shown = run("ip", f"-{family}", "route", "get", SERVED[family])
            assert plumbing.paths[1].tun.name in shown
        assert hosts.server.snapshot() == before


@FAMILIES
def test_all_go_and_one_comes(hosts: Hosts, tmp_path: Path, family: int) -> None:
    before = hosts.server.snapshot()
    spec = PathSpec.parse(PATHS[family][1])
    with hosts.server.inside():
        with Plumbing(_NEAR[family], [spec], directory=tmp_path) as plumbing:
            served = hosts.server.snapshot()
            plumbing.remove(0)
            assert hosts.server.snapshot() == before
            plumbing.add(spec)
            now = hosts.server.snapshot()
            assert now.keys() == served.keys()
        assert hosts.server.snapshot() == before


def test_two_paths_over_one_uplink(hosts: Hosts, tmp_path: Path) -> None:
    """What they share is undone with the last one."""
    before = hosts.server.snapshot()
    with hosts.server.inside():
        with Plumbing(SERVED[4], PATHS[4], directory=tmp_path) as plumbing:
            both = hosts.server.snapshot()
            plumbing.add(PathSpec.parse("up0@10.1.0.77"))
            plumbing.remove(0)
            assert arrives(hosts, plumbing, 2, 0, 4)
            plumbing.add(PathSpec.parse(PATHS[4][0]))
            plumbing.remove(2)
            assert arrives(hosts, plumbing, 3, 0, 4)
            assert hosts.server.snapshot().keys() == both.keys()
        assert hosts.server.snapshot() == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("up1@10.2.0.1", "path up1@10.2.0.1 is there already"),
        ("nowhere", "path nowhere: no such device"),
        ("lan", "no IPv4 default route over lan"),
    ],
)
def test_what_cannot_be_added(hosts: Hosts, tmp_path: Path, text: str, complaint: str) -> None:
    with (
        hosts.server.inside(),
        Plumbing(SERVED[4], PATHS[4], directory=tmp_path) as plumbing,
    ):
        before = hosts.server.snapshot()
        with pytest.raises(SetupError, match=complaint):
            plumbing.add(PathSpec.parse(text))
        assert hosts.server.snapshot() == before
        assert list(plumbing.paths) == [0, 1]


@pytest.mark.parametrize("point", range(4))
def test_a_host_that_refuses_half_way(
    hosts: Hosts, tmp_path: Path, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = map(PathSpec.parse, PATHS[4])
    with (
        hosts.server.inside(),
        Plumbing(SERVED[4], [one], directory=tmp_path) as plumbing,
    ):
        before = hosts.server.snapshot()
        left = point

        def refuse(netlink: Netlink, change: Change) -> None:
            nonlocal left
            if left == 0:
                raise SetupError("no more of that")
            left -= 1
            make(netlink, change)

        monkeypatch.setattr("omtcp.net.plumbing.make", refuse)
        with pytest.raises(SetupError, match="no more"):
            plumbing.add(two)
        monkeypatch.undo()
        assert hosts.server.snapshot() == before
        assert plumbing.add(two) == 1
        assert arrives(hosts, plumbing, 1, 1, 4)
