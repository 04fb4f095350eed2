"""The policy is switched when its time comes, and what goes wrong is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omtcp.errors import LocalError, SetupError
from omtcp.lab import switches as module
from omtcp.lab.switches import Switches, parse_switch

SOCKET = Path("/run/control.sock")
START_NS = 5_000_000_000


class FakeTimer:
    """Waits for nothing: it runs when it is left, or not at all once it is cancelled."""

    made: list[FakeTimer]

    def __init__(self, wait: float, function: Any, arguments: list[Any]) -> None:
        self.wait, self._function, self._arguments = wait, function, arguments
        self.cancelled = False
        FakeTimer.made.append(self)

    def start(self) -> None:
        self._function(*self._arguments)

    def cancel(self) -> None:
        self.cancelled = True

    def join(self) -> None:
        assert self.cancelled


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTimer.made = []
    monkeypatch.setattr(module, "Timer", FakeTimer)
    monkeypatch.setattr(module, "monotonic_ns", lambda: START_NS - 500_000_000)


def test_each_asks_the_control_socket_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "ask", lambda *what: asked.append(what))
    planned = [parse_switch("2s=redundant"), parse_switch("3500ms=pooled")]
    with Switches(SOCKET, planned, START_NS) as switches:
        pass
    assert [timer.wait for timer in FakeTimer.made] == [2.5, 4.0]
    assert asked == [
        (SOCKET, "policy", {"name": "redundant"}),
        (SOCKET, "policy", {"name": "pooled"}),
    ]
    assert switches.errors == []
    assert all(timer.cancelled for timer in FakeTimer.made)


def test_errors_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*what: Any) -> None:
        raise SetupError("nobody there")

    monkeypatch.setattr(module, "ask", refuse)
    with Switches(SOCKET, [parse_switch("2s=redundant")], START_NS) as switches:
        pass
    with Switches(None, [parse_switch("1s=pooled")], START_NS) as others:
        pass
    assert switches.errors == ["2s=redundant: nobody there"]
    assert others.errors == ["1s=pooled: this sender has no control socket"]


@pytest.mark.parametrize("text", ["2s=", "2s=twice", "soon=redundant", "=pooled"])
def test_what_is_no_switch(text: str) -> None:
    with pytest.raises(LocalError):
        parse_switch(text)
