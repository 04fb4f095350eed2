"""Firewalls of this host that would drop what we have it forward: a look, never a change."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

_TIMEOUT_SECONDS = 5
_HOOKED_FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}


def forwarding_obstacles(family: int) -> Iterator[str]:
    """One line for each base chain that drops forwarded packets unless a rule accepts them.

    Covers nftables, and iptables where it sits on nftables; says nothing without the command nft.
    """
    for chain in _chains():
        if (
            chain.get("family") in _HOOKED_FAMILIES[family]
            and chain.get("hook") == "forward"
            and chain.get("policy") == "drop"
        ):
            name = f"{chain['family']} {chain.get('table')} {chain.get('name')}"
            yield f"the nftables chain {name} drops what it does not accept: accept our TUN devices"


def find_command() -> str | None:
    """Where nft is, None if it is not installed."""
    return shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")


def _chains() -> Iterator[dict[str, Any]]:
    command = find_command()
    if command is None:
        return
    try:
        done = subprocess.run(
            [command, "--json", "list", "chains"],
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
        listing = json.loads(done.stdout)["nftables"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return
    for item in listing:
        chain = item.get("chain")
        if isinstance(chain, dict):
            yield chain
