import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from omtcp.net import firewall


def listing(*chains: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {}}, *({"chain": chain} for chain in chains)]})


def chain(**changes: str) -> dict[str, str]:
    base = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward"}
    return {**base, "policy": "drop", **changes}


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command that prints what the test writes beside it."""
    command = tmp_path / "nft"
    command.write_text(f'#!/bin/sh\ncat "{tmp_path}/listing" && exit $(cat "{tmp_path}/status")\n')
    command.chmod(0o755)
    (tmp_path / "status").write_text("0")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(command))
    return tmp_path


@pytest.mark.parametrize(
    ("found", "family", "obstacle"),
    [
        (chain(), 4, True),
        (chain(), 6, False),
        (chain(family="ip6"), 6, True),
        (chain(family="inet"), 4, True),
        (chain(family="inet"), 6, True),
        (chain(family="bridge"), 4, False),
        (chain(policy="accept"), 4, False),
        (chain(hook="input"), 4, False),
        ({"family": "ip", "table": "filter", "name": "a chain without a hook"}, 4, False),
    ],
)
def test_obstacles(nft: Path, found: dict[str, str], family: int, obstacle: bool) -> None:
    (nft / "listing").write_text(listing(chain(hook="output"), found))
    lines = list(firewall.forwarding_obstacles(family))
    assert len(lines) == obstacle
    if obstacle:
        assert f"{found['family']} filter FORWARD" in lines[0]


@pytest.mark.parametrize(("content", "status"), [("", "0"), ("{}", "0"), ("nonsense", "0")])
def test_no_answer_is_no_obstacle(nft: Path, content: str, status: str) -> None:
    (nft / "listing").write_text(content)
    (nft / "status").write_text(status)
    assert list(firewall.forwarding_obstacles(4)) == []


def test_not_allowed_to_look(nft: Path) -> None:
    (nft / "listing").write_text(listing(chain()))
    (nft / "status").write_text("1")
    assert list(firewall.forwarding_obstacles(4)) == []


def test_no_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert list(firewall.forwarding_obstacles(4)) == []
