"""`omtcp doctor` on the real kernel: says what serving would meet, and changes nothing."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from .hosts import PATHS, SERVED, Hosts, run

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


def doctor(hosts: Hosts, *arguments: str, without: str = "") -> tuple[int, dict[str, Any]]:
    """The status, and what was found, by name; `without` a capability if that is named."""
    drop = ["setpriv", f"--bounding-set=-{without}", "--inh-caps=-all"] if without else []
    command = [*drop, sys.executable, "-m", "omtcp", "doctor", "--json", *arguments]
    done = subprocess.run(
        hosts.server.command(*command), capture_output=True, text=True, check=False, timeout=30
    )
    answer = json.loads(done.stdout)
    assert answer["ok"] == (done.returncode == 0)
    return done.returncode, {finding["name"]: finding for finding in answer["findings"]}


@pytest.mark.parametrize("family", [4, 6])
def test_a_host_that_can_serve(hosts: Hosts, family: int) -> None:
    before = hosts.server.snapshot()
    paths = [f"--path={path}" for path in PATHS[family]]
    status, found = doctor(hosts, "--address", SERVED[family], *paths)
    assert status == 0
    assert not [name for name, each in found.items() if each["level"] == "fail"]
    for name in ("rights", "tun", "tun queues", "settings", "rules", "journal", "address", "path"):
        assert found[name]["level"] == "ok", found[name]
    assert hosts.server.snapshot() == before


def test_without_the_right_to(hosts: Hosts) -> None:
    before = hosts.server.snapshot()
    status, found = doctor(hosts, without="net_admin")
    assert status == 1
    assert found["rights"]["level"] == "fail"
    assert found["tun"]["says"] == "making a TUN device needs root or CAP_NET_ADMIN"
    assert hosts.server.snapshot() == before


@pytest.mark.parametrize(
    ("address", "path", "line"),
    [
        (SERVED[4], "up9", "path up9: no such device"),
        ("10.1.0.2", "up0", "10.1.0.2 is this host's own address"),
        (SERVED[4], "up0@10.2.0.1", "path up0@10.2.0.1: gateway 10.2.0.1 is not on the link"),
    ],
)
def test_a_site_that_cannot_be_served(hosts: Hosts, address: str, path: str, line: str) -> None:
    status, found = doctor(hosts, "--address", address, "--path", path)
    assert status == 1
    assert found["site"]["says"].startswith(line)


def test_a_firewall_that_drops(hosts: Hosts) -> None:
    wall = "table inet wall { chain pass { type filter hook forward priority 0; policy drop; }; }"
    run(*hosts.server.command("nft", wall))
    status, found = doctor(hosts)
    assert status == 0
    assert found["firewall"]["level"] == "warn"
    assert "inet wall pass" in found["firewall"]["says"]


def test_settings_that_are_read_only(hosts: Hosts) -> None:
    """As in a container: /proc/sys mounted so, in a mount namespace of its own."""
    program = 'mount --bind -o ro /proc/sys /proc/sys && exec "$0" -m omtcp doctor --json'
    done = subprocess.run(
        hosts.server.command("unshare", "--mount", "sh", "-c", program, sys.executable),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert found["settings"]["level"] == "fail"
    assert "rp_filter" in found["settings"]["says"]
