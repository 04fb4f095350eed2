"""`omtcp path`: looks at the paths of a running server and changes them, connections and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from omtcp.apps.listing import human_size
from omtcp.cli.live import human_rate
from omtcp.control.client import ask
from omtcp.control.places import the_only_one
from omtcp.control.protocol import MAX_NUMBER, Json
from omtcp.core.config import Policy

_STYLES = {"up": "green", "down": "red", "drained": "yellow"}

_control = click.option(
    "--control",
    metavar="SOCKET",
    help="The server to talk to; by default the only one in this network namespace.",
)
_force = click.option("--force", is_flag=True, help="Even if no other path can be used.")
_name = click.argument("name", metavar="PATH")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def path() -> None:
    """Look at the paths of a running server, and change them while connections live.

    PATH is what `list` calls it, DEV or DEV@GATEWAY, or its index.
    """


@path.command(name="list")
@_control
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_paths(control: str | None, as_json: bool) -> None:
    """Show the paths: state, cost, connections, what they carry and have carried."""
    answer = _ask(control, "list", {})
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _show(cast("dict[str, Json]", answer))


@path.command()
@click.argument("uplink", metavar="DEV[@GATEWAY][,cost=N]")
@_control
def add(uplink: str, control: str | None) -> None:
    """Add a path, or use a drained one again.

    Connections that live ping it, and use it once it answers.
    """
    click.echo(f"added {_ask(control, 'add', {'path': uplink})}")


@path.command()
@_name
@_force
@_control
def drain(name: str, force: bool, control: str | None) -> None:
    """Let a path carry nothing new; what is under way is waited for.

    `list` shows when nothing is in flight any more.
    """
    click.echo(f"draining {_ask(control, 'drain', {'path': name, 'force': force})}")


@path.command()
@_name
@_control
def undrain(name: str, control: str | None) -> None:
    """Use a drained path again."""
    click.echo(f"using {_ask(control, 'undrain', {'path': name})}")


@path.command()
@_name
@_force
@_control
def remove(name: str, force: bool, control: str | None) -> None:
    """Forget a path, and undo what it needed on this host.

    What is under way over it goes out over the others at once. What clients send must not arrive
    by it any more: this host no longer takes it in there.
    """
    click.echo(f"removed {_ask(control, 'remove', {'path': name, 'force': force})}")


@path.command()
@_name
@click.argument("cost", type=click.IntRange(0, MAX_NUMBER))
@_control
def cost(name: str, cost: int, control: str | None) -> None:
    """Have a path cost something else: cheaper paths are used first."""
    done = _ask(control, "cost", {"path": name, "cost": cost})
    click.echo(f"{done} costs {cost}")


@path.command()
@click.argument(
    "name", required=False, metavar="[POLICY]", type=click.Choice([each.value for each in Policy])
)
@_control
def policy(name: str | None, control: str | None) -> None:
    """Show what is sent over which path, or change it: pooled or redundant.

    With `pooled` each byte goes over one path, with `redundant` over all of them. It is a choice
    where a server runs in pooled mode.
    """
    if name is None:
        answer = cast("dict[str, Json]", _ask(control, "list", {"interval_ms": 0}))
        click.echo(f"policy {answer['policy']}")
    else:
        click.echo(f"policy {_ask(control, 'policy', {'name': name})}")


def _ask(control: str | None, verb: str, arguments: dict[str, str | int | bool]) -> Json:
    return ask(the_only_one() if control is None else Path(control), verb, arguments)


def _show(answer: dict[str, Json]) -> None:
    table = Table("Path")
    for heading in ("State", "Cost", "Rate", "In flight", "Sent", "Resent", "Connections"):
        table.add_column(heading, justify="right")
    for entry in cast("list[dict[str, Json]]", answer["paths"]):
        table.add_row(*_row(entry))
    table.caption = f"policy {answer['policy']}"
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)


def _row(entry: dict[str, Json]) -> list[Text]:
    numbers = {name: value for name, value in entry.items() if isinstance(value, int)}
    state = str(entry["state"])
    if not numbers["link_up"] and state != "down":
        state += ", link down"
    used = f"{numbers['connections']}, primary of {numbers['primary_of']}"
    if numbers["suspect"]:
        used += f", silent for {numbers['suspect']}"
    return [
        Text(str(entry["name"])),
        Text(state, style=_STYLES[str(entry["state"])]),
        Text(str(numbers["cost"])),
        Text(human_rate(numbers.get("rate_bps", 0))),
        Text(human_size(numbers["in_flight"])),
        Text(human_size(numbers["bytes_sent"])),
        Text(human_size(numbers["bytes_retransmitted"])),
        Text(used),
    ]
