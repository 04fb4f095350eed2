"""`omtcp doctor`: whether this host and this installation can serve, before it matters."""

import importlib.util
import json
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from omtcp.bench.machine import product_version
from omtcp.build import form, is_compiled
from omtcp.errors import SetupError
from omtcp.lab.mptcp import require_mptcp
from omtcp.net.checkup import Finding, Level, examine, examine_site, ok

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
_EXTRAS = {
    "lab": ("omtcp lab", ("jinja2", "matplotlib"), "pip install 'omtcp[lab]'"),
    "bench": ("omtcp bench --micro", ("pyperf",), "pip install pyperf"),
}
"""Who needs them, their modules, and where they come from."""


@click.command()
@click.option("--address", metavar="VIP", help="Look also whether this address can be served.")
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="DEV[@GATEWAY]",
    help="And over this uplink; give one for each, as for `omtcp serve`.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(address: str | None, paths: tuple[str, ...], as_json: bool) -> int:
    """Look whether omtcp can serve here, and tell what stands in the way.

    Makes a TUN device, a policy rule and a route, each for a moment, and changes nothing else. The
    exit status is 0 if it can serve, whatever the warnings, else 1.
    """
    if paths and address is None:
        raise click.UsageError("--path needs --address")
    findings = list(_look(address, paths))
    able = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": able, "findings": list(map(asdict, findings))}, indent=2))
    else:
        _show(findings, able)
    return 0 if able else 1


def _look(address: str | None, paths: Sequence[str]) -> Iterator[Finding]:
    yield from check_installation()
    yield from examine()
    if address is not None:
        yield from examine_site(address, paths)


def check_installation() -> Iterator[Finding]:
    """This program, what runs it, and what it may use."""
    python = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    yield ok("python", python)
    if is_compiled():
        yield ok("omtcp", f"{product_version()}, protocol {form()}")
    else:
        hint = "a wheel that `make wheel` builds takes less processor time (docs/compiled.md)"
        yield ok("omtcp", f"{product_version()}, {form()}", hint)
    for extra, (user, modules, source) in _EXTRAS.items():
        missing = [module for module in modules if not _can_import(module)]
        if missing:
            yield ok(extra, f"no {user} without {', '.join(missing)}", source)
        else:
            yield ok(extra, f"{', '.join(modules)} for {user}")
    try:
        require_mptcp()
    except SetupError as error:
        yield ok("mptcp", f"{error}; only comparisons would use it")
    else:
        yield ok("mptcp", "in this kernel, for comparisons")


def _can_import(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _show(findings: Iterable[Finding], able: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        level = Text(f"{finding.level:4}", style=_STYLES[finding.level])
        console.print(level, f" {finding.name:12}", Text(finding.says), sep="")
        if finding.hint:
            console.print(" " * 17, Text(finding.hint, style="italic"), sep="")
    console.print("omtcp can serve here." if able else "omtcp cannot serve here.")
