"""What a stack needs of the network, and when it is absent."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omtcp.bench import peer_stacks, stacks
from omtcp.bench.stacks import Stack
from omtcp.errors import SetupError
from omtcp.lab.case import Case
from omtcp.lab.network import Uplink
from omtcp.link.spec import parse_link

ROOT = Path("/files")


class End:
    """Notes what would be done in a namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.values: dict[str, object] = {}

    def ip(self, lines: Iterable[str], family: int = 4) -> None:
        self.lines += lines

    def sysctl(self, values: Mapping[str, object]) -> None:
        self.values |= values


def network(uplinks: int = 1) -> Any:
    """As much of a network as stacks look at."""
    made = SimpleNamespace(
        case=Case(uplinks=tuple(parse_link("inf,0ms") for _ in range(uplinks)), direct=True),
        uplinks=[Uplink.numbered(index) for index in range(uplinks)],
        server=End("srv"),
        client=End("cli"),
        served="192.0.2.1",
        calls=[],
    )
    for name in ("default_uplink", "own_address", "multihome"):
        setattr(made, name, lambda *arguments, name=name: made.calls.append((name, *arguments)))
    return made


def after_module(command: list[str]) -> list[str]:
    """The module that Python runs, and its arguments."""
    return command[command.index("-m") + 1 :]


def test_omtcp_serves_over_all_uplinks_as_a_user_would() -> None:
    command = after_module(stacks.omtcp("omtcp pooled", "pooled").command(network(2), ROOT))
    assert command[:2] == ["omtcp", "serve"]
    assert [word for word in command if word.startswith("--path")] == [
        "--path=veth0@10.9.0.2",
        "--path=veth1@10.9.1.2",
    ]
    assert command[command.index("--mode") + 1] == "pooled"
    assert not any("events" in word for word in command)


def test_the_kernels_tcp_needs_the_served_address() -> None:
    for stack in (stacks.kernel(), stacks.kernel_asyncio()):
        used = network()
        stack.command(used, ROOT)
        assert used.calls == [("default_uplink", 0), ("own_address",)]
        assert stack.address(used) == "192.0.2.1"


def test_multipath_tcp_has_the_address_of_its_first_uplink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack, used = stacks.kernel_mptcp(), network(2)
    stack.command(used, ROOT)
    assert used.calls == [("multihome", 0)]
    assert stack.address(used) == "10.9.0.1"
    assert stack.mptcp

    def refuse() -> None:
        raise SetupError("this kernel has none")

    monkeypatch.setattr(stacks, "require_mptcp", refuse)
    assert stack.absent() == "this kernel has none"
    monkeypatch.setattr(stacks, "require_mptcp", lambda: None)
    assert stack.absent() is None


@pytest.mark.parametrize(
    ("stack", "device"), [(peer_stacks.pmd_pytcp(), "tun7"), (peer_stacks.pytcp(), "tap7")]
)
def test_a_stack_in_python_gets_a_device_and_the_served_address(stack: Stack, device: str) -> None:
    used = network()
    command = after_module(stack.command(used, ROOT))
    assert f"tuntap add mode {device[:3]} {device}" in used.server.lines
    assert used.server.values == {"net.ipv4.ip_forward": 1}
    assert command[1:3] == [device, "192.0.2.1/24"]


@pytest.mark.parametrize("stack", [peer_stacks.slirp4netns(), peer_stacks.pasta()])
def test_a_relay_is_told_the_clients_namespace(stack: Stack) -> None:
    used = network()
    command = after_module(stack.command(used, ROOT))
    assert command[1:5] == ["/files", "8080", "cli", "tap0"]
    assert command[5] == stack.name
    assert "/run/netns/cli" in command
    assert stack.address(used) == "10.0.2.2"


def test_peers_that_are_not_installed_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_stacks, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert peer_stacks.pmd_pytcp().absent() == "not installed (pip install 'pmd-pytcp')"
    assert peer_stacks.pytcp().absent() == "not installed (pip install 'pytcp<3')"
    assert peer_stacks.slirp4netns().absent() == "not installed (apt-get install slirp4netns)"
    assert peer_stacks.pasta().absent() == "not installed (apt-get install passt)"


def test_peers_that_are_installed_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_stacks, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    peers = (peer_stacks.pmd_pytcp(), peer_stacks.pytcp(), peer_stacks.slirp4netns())
    assert [peer.absent() for peer in peers] == [None] * 3
