"""`omtcp doctor`: what it says, and its status."""

import json

import pytest

from omtcp.cli import doctor as module
from omtcp.cli.main import run
from omtcp.net.checkup import Finding, fail, ok, warn

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def found(monkeypatch: Patch, *findings: Finding) -> None:
    """Have this be all that is found."""
    monkeypatch.setattr(module, "_look", lambda address, paths: iter(findings))


def test_warnings_do_not_keep_it_from_serving(monkeypatch: Patch, capsys: Capture) -> None:
    found(monkeypatch, ok("kernel", "Linux 6"), warn("firewall", "a chain drops", "accept"))
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "kernel", "Linux", "6"]
    assert lines[1].split() == ["warn", "firewall", "a", "chain", "drops"]
    assert lines[2].strip() == "accept"
    assert lines[-1] == "omtcp can serve here."


def test_a_failure_does(monkeypatch: Patch, capsys: Capture) -> None:
    found(monkeypatch, ok("kernel", "Linux 6"), fail("tun", "no [/dev/net/tun]", "modprobe tun"))
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "no [/dev/net/tun]" in out, "brackets are no markup"
    assert "omtcp cannot serve here." in out


def test_for_programs(monkeypatch: Patch, capsys: Capture) -> None:
    found(monkeypatch, ok("kernel", "Linux 6"), fail("tun", "none", "modprobe tun"))
    assert run(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "findings": [
            {"name": "kernel", "level": "ok", "says": "Linux 6", "hint": ""},
            {"name": "tun", "level": "fail", "says": "none", "hint": "modprobe tun"},
        ],
    }


def test_a_path_belongs_to_an_address(capsys: Capture) -> None:
    assert run(["doctor", "--path", "eth0"]) == 2
    assert "--address" in capsys.readouterr().err


@pytest.mark.parametrize("compiled", [True, False])
def test_the_form_is_told(compiled: bool, monkeypatch: Patch) -> None:
    monkeypatch.setattr(module, "is_compiled", lambda: compiled)
    monkeypatch.setattr(module, "form", lambda: "as it is")
    (line,) = [each for each in module.check_installation() if each.name == "omtcp"]
    assert line.says.endswith("as it is")
    assert bool(line.hint) is not compiled


def test_missing_extras_are_named(monkeypatch: Patch) -> None:
    monkeypatch.setattr(module, "_can_import", lambda name: name != "matplotlib")
    lines = {each.name: each for each in module.check_installation()}
    assert lines["lab"].says == "no omtcp lab without matplotlib"
    assert "omtcp[lab]" in lines["lab"].hint
    assert lines["bench"].hint == ""
