"""`omtcp path` with the server behind the socket replaced: what it asks, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omtcp.cli import path as module
from omtcp.cli.main import run
from omtcp.control.protocol import VERBS, RefusedError
from omtcp.errors import LocalError

Capture = pytest.CaptureFixture[str]
ENTRY = {
    "index": 0,
    "name": "eth0@192.0.2.1",
    "device": "eth0",
    "gateway": "192.0.2.1",
    "state": "up",
    "link_up": True,
    "cost": 2,
    "connections": 3,
    "suspect": 0,
    "primary_of": 1,
    "in_flight": 1500,
    "bytes_sent": 3_000_000,
    "bytes_retransmitted": 1000,
    "rate_bps": 20_000_000,
}


class Server:
    """Notes what it is asked; answers with the name, or as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, str, dict[str, Any]]] = []
        self.listed: dict[str, Any] = {"policy": "pooled", "paths": [ENTRY]}
        self.refusal: Exception | None = None

    def ask(self, socket: Path, verb: str, arguments: dict[str, Any]) -> Any:
        self.asked.append((socket, verb, arguments))
        if self.refusal is not None:
            raise self.refusal
        assert arguments.keys() <= VERBS[verb].keys()
        if verb == "list":
            return self.listed
        return arguments.get("path", arguments.get("name"))

    @property
    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        return [(verb, arguments) for _, verb, arguments in self.asked]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(module, "ask", server.ask)
    monkeypatch.setattr(module, "the_only_one", lambda: Path("/run/omtcp/only.sock"))
    return server


@pytest.mark.parametrize(
    ("line", "verb", "arguments", "printed"),
    [
        ("add eth1@192.0.2.9,cost=2", "add", {"path": "eth1@192.0.2.9,cost=2"}, "added eth1"),
        ("drain eth0", "drain", {"path": "eth0", "force": False}, "draining eth0"),
        ("drain eth0 --force", "drain", {"path": "eth0", "force": True}, "draining eth0"),
        ("undrain eth0", "undrain", {"path": "eth0"}, "using eth0"),
        ("remove 1", "remove", {"path": "1", "force": False}, "removed 1"),
        ("remove 1 --force", "remove", {"path": "1", "force": True}, "removed 1"),
        ("cost eth0 7", "cost", {"path": "eth0", "cost": 7}, "eth0 costs 7"),
        ("policy redundant", "policy", {"name": "redundant"}, "policy redundant"),
        ("policy pooled", "policy", {"name": "pooled"}, "policy pooled"),
        ("policy", "list", {"interval_ms": 0}, "policy pooled"),
    ],
)
def test_each_verb_asks_once_and_says_what_was_done(
    line: str, verb: str, arguments: dict[str, Any], printed: str, server: Server, capsys: Capture
) -> None:
    assert run(["path", *line.split()]) == 0
    assert server.requests == [(verb, arguments)]
    output = capsys.readouterr()
    assert output.out.startswith(printed)
    assert (output.out.count("\n"), output.err) == (1, "")


def test_it_talks_to_the_only_server_or_to_the_one_named(server: Server) -> None:
    run(["path", "undrain", "eth0"])
    run(["path", "undrain", "eth0", "--control", "/tmp/other.sock"])
    assert [str(socket) for socket, _, _ in server.asked] == [
        "/run/omtcp/only.sock",
        "/tmp/other.sock",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "add",
        "drain",
        "cost eth0",
        "cost eth0 -- -1",
        "cost eth0 much",
        "policy default",
        "policy redundant pooled",
        "forget eth0",
        "list eth0",
    ],
)
def test_nonsense_is_refused_before_anybody_is_asked(
    line: str, server: Server, capsys: Capture
) -> None:
    assert run(["path", *line.split()]) != 0
    assert server.requests == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [RefusedError("no path 'eth9'"), LocalError("no server")])
@pytest.mark.parametrize("line", ["list", "undrain eth9", "policy", "policy redundant"])
def test_a_refusal_is_one_line(
    line: str, error: Exception, server: Server, capsys: Capture
) -> None:
    server.refusal = error
    assert run(["path", *line.split()]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert str(error) in output.err


class TestList:
    def test_for_people(self, server: Server, capsys: Capture) -> None:
        server.listed["paths"] = [
            ENTRY,
            ENTRY | {"name": "eth1", "state": "drained", "link_up": False, "suspect": 2},
        ]
        assert run(["path", "list"]) == 0
        output = capsys.readouterr().out
        for text in ("eth0@192.0.2.1", "up", "20.0 Mbit/s", "3, primary of 1", "policy pooled"):
            assert text in output
        for text in ("drained", "link down", "silent"):
            assert text in output

    def test_for_programs(self, server: Server, capsys: Capture) -> None:
        assert run(["path", "list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == server.listed
