"""How the command ends: a status, and one line if it is not zero."""

import importlib
import subprocess
import sys

import click
import pytest

from omtcp.cli import main
from omtcp.cli.main import VERBS, Verb, run
from omtcp.errors import SetupError

Capture = pytest.CaptureFixture[str]


def raising(error: BaseException) -> click.Command:
    @click.command()
    def verb() -> None:
        raise error

    return verb


class Module:
    """Stands for a module with a verb."""

    def __init__(self, verb: click.Command) -> None:
        self.verb = verb


def install(monkeypatch: pytest.MonkeyPatch, verb: click.Command) -> None:
    """Make the command line know one verb, `verb`."""
    monkeypatch.setattr(main, "VERBS", {"verb": Verb("somewhere", "verb", "A verb.")})
    monkeypatch.setattr(importlib, "import_module", lambda name: Module(verb))


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (SetupError("no such device: veth7"), 1, "omtcp: no such device: veth7\n"),
        (SetupError("two\nlines"), 1, "omtcp: two lines\n"),
        (click.UsageError("no such thing"), 2, "omtcp: no such thing\n"),
        (click.ClickException("it failed"), 1, "omtcp: it failed\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "omtcp: [Errno 13] Permission denied"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.exceptions.Exit(3), 3, ""),
    ],
)
def test_errors(
    error: BaseException, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    install(monkeypatch, raising(error))
    assert run(["verb"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip().startswith(line.strip())
    assert err.count("\n") <= 1  # after an interrupt click ends the line that shows ^C
    assert bool(err.strip()) is bool(line)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        run(["verb"])


def test_a_verb_may_choose_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def verb() -> int:
        return 4

    install(monkeypatch, verb)
    assert run(["verb"]) == 4


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2.nodes")

    install(monkeypatch, raising(KeyboardInterrupt()))
    monkeypatch.setattr(importlib, "import_module", missing)
    assert run(["verb"]) == 1
    assert capsys.readouterr().err == (
        "omtcp: verb needs the Python package jinja2, which is not installed\n"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sirve"], "omtcp: No such command 'sirve'"),
        (["--what"], "omtcp: No such option '--what'"),
    ],
)
def test_a_command_line_that_makes_no_sense(
    arguments: list[str], line: str, capsys: Capture
) -> None:
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_help_names_every_verb_and_imports_none(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def refuse(name: str) -> object:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert name in out
        assert verb.help in out


def test_no_arguments_show_the_help(capsys: Capture) -> None:
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name: str, capsys: Capture) -> None:
    assert run([name, "--help"]) == 0
    assert f"omtcp {name}" in capsys.readouterr().out


def test_it_is_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "omtcp", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("omtcp ")
    assert done.stderr == ""
