"""What the host does not allow is said in one line, and changes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from omtcp.errors import SetupError
from omtcp.net.plumbing import Plumbing

from .hosts import PATHS, SERVED, Hosts, run

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

_TRY = """
import sys
from pathlib import Path
from omtcp.errors import SetupError
from omtcp.net.plumbing import Plumbing
address, directory, *paths = sys.argv[1:]
try:
    with Plumbing(address, paths, directory=Path(directory)):
        print("served")
except SetupError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("address", "paths", "line"),
    [
        ("198.51.100.80", ["up9"], "path up9: no such device"),
        ("198.51.100.80", ["a-name-too-long"], "path a-name-too-long: no such device"),
        ("198.51.100.80", ["spare@10.3.0.1"], "path spare@10.3.0.1: device spare is down"),
        (
            "198.51.100.80",
            ["up0@10.2.0.1"],
            "path up0@10.2.0.1: gateway 10.2.0.1 is not on the link of up0",
        ),
        (
            "198.51.100.80",
            ["up0@203.0.113.9"],
            "path up0@203.0.113.9: gateway 203.0.113.9 is not on the link of up0",
        ),
        (
            "2001:db8:80::80",
            ["up0@fd02::1"],
            "path up0@fd02::1: gateway fd02::1 is not on the link of up0",
        ),
        (
            "198.51.100.80",
            ["up0@10.1.0.2"],
            "path up0@10.1.0.2: 10.1.0.2 is this host's own address",
        ),
        (
            "198.51.100.80",
            ["up0@10.1.0.255"],
            "path up0@10.1.0.255: 10.1.0.255 is this host's own broadcast address",
        ),
        ("198.51.100.80", ["up0", "up0@10.1.0.1"], "path up0@10.1.0.1 is given twice"),
        (
            "198.51.100.80",
            ["lan"],
            "path lan: no IPv4 default route over lan to take the gateway from; say lan@GATEWAY",
        ),
        (
            "2001:db8:80::80",
            ["up1"],
            "path up1: no IPv6 default route over up1 to take the gateway from; say up1@GATEWAY",
        ),
        (
            "10.1.0.2",
            ["up0"],
            "10.1.0.2 is this host's own address: serve from one that the kernel does not own",
        ),
        (
            "fd01::2",
            ["up0"],
            "fd01::2 is this host's own address: serve from one that the kernel does not own",
        ),
        (
            "10.1.0.255",
            ["up0"],
            "10.1.0.255 is this host's own broadcast address: serve from one that the kernel"
            " does not own",
        ),
        ("198.51.100.80", ["lo"], "path lo: lo is the loopback device"),
    ],
)
def test_refusals(hosts: Hosts, tmp_path: Path, address: str, paths: list[str], line: str) -> None:
    hosts.server.ip("link add spare type veth peer name spare2")
    before = hosts.server.snapshot()
    with hosts.server.inside(), pytest.raises(SetupError, match=f"^{re.escape(line)}$"):
        Plumbing(address, paths, directory=tmp_path).open()
    assert hosts.server.snapshot() == before


def test_ipv6_is_off(hosts: Hosts, tmp_path: Path) -> None:
    hosts.server.write_sysctl("net/ipv6/conf/up0/disable_ipv6", "1")
    with hosts.server.inside(), pytest.raises(SetupError, match="IPv6 is off on device up0"):
        Plumbing(SERVED[6], ["up0@fd01::1"], directory=tmp_path).open()


def test_no_carrier_anywhere(hosts: Hosts, tmp_path: Path) -> None:
    hosts.world.ip("link set r0 down\nlink set r1 down")
    with hosts.server.inside(), pytest.raises(SetupError, match=r"^no carrier on up0, up1$"):
        Plumbing(SERVED[4], PATHS[4], directory=tmp_path).open()


def test_one_path_without_carrier_is_a_warning(hosts: Hosts, tmp_path: Path) -> None:
    hosts.world.ip("link set r1 down")
    with hosts.server.inside(), Plumbing(SERVED[4], PATHS[4], directory=tmp_path) as plumbing:
        assert plumbing.warnings == ("path up1@10.2.0.1 has no carrier",)


@pytest.mark.parametrize("multipath", [False, True])
def test_gateways_from_the_default_routes(hosts: Hosts, tmp_path: Path, multipath: bool) -> None:
    if multipath:
        hosts.server.ip(
            "route del default via 10.1.0.1\nroute del default via 10.2.0.1\n"
            "route add default nexthop via 10.1.0.1 dev up0 nexthop via 10.2.0.1 dev up1"
        )
    hosts.server.ip("route add default via 10.1.0.77 dev up0 metric 900")
    with (
        hosts.server.inside(),
        Plumbing(SERVED[4], ["up1", "up0"], directory=tmp_path) as plumbing,
    ):
        assert [str(uplink) for uplink in plumbing.uplinks] == ["up1@10.2.0.1", "up0@10.1.0.1"]


def test_a_firewall_that_drops_is_a_warning(hosts: Hosts, tmp_path: Path) -> None:
    wall = "table inet wall { chain pass { type filter hook forward priority 0; policy drop; }; }"
    run(*hosts.server.command("nft", wall))
    with hosts.server.inside(), Plumbing(SERVED[4], PATHS[4], directory=tmp_path) as plumbing:
        (warning,) = plumbing.warnings
        assert "inet wall pass" in warning


@pytest.mark.parametrize(
    ("dropped", "line"),
    [
        ("-all", "cannot keep a journal in {directory}: Permission denied"),
        ("-net_admin", "making a TUN device needs root or CAP_NET_ADMIN"),
    ],
)
def test_without_the_right_to(hosts: Hosts, tmp_path: Path, dropped: str, line: str) -> None:
    before = hosts.server.snapshot()
    directory = tmp_path / "omtcp"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    done = subprocess.run(
        hosts.server.command(
            "setpriv", f"--bounding-set={dropped}", "--inh-caps=-all",
            sys.executable, "-c", _TRY, SERVED[4], str(directory), *PATHS[4],
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )  # fmt: skip
    assert done.stdout == line.format(directory=directory) + "\n"
    assert hosts.server.snapshot() == before
