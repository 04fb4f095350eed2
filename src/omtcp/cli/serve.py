"""`omtcp serve`: a directory over HTTP, every connection over all the uplinks."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from omtcp import aio
from omtcp.aio.garbage import collect_rarely
from omtcp.apps.fileserver import FileServer
from omtcp.apps.snapshot import Snapshot
from omtcp.cli.live import LiveView
from omtcp.control.places import default_path
from omtcp.control.server import control_socket
from omtcp.control.service import Answerer, Service
from omtcp.core.config import (
    Config,
    Coupling,
    LossCorrection,
    LossRule,
    Mode,
    Policy,
    PrimaryRule,
)
from omtcp.net.pathspec import PathSpec
from omtcp.net.precedence import take_precedence
from omtcp.trace.jsonl import JsonLines
from omtcp.workers.crew import MOST_WORKERS, Staff, serve_by_workers

REFRESH = 0.5
"""Seconds between two states of the live table."""
FLUSH = 1.0
"""Seconds for which an event may wait before it is in the file."""

_DEFAULT = Config()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything a run needs, checked."""

    directory: str
    files: FileServer
    address: str
    port: int
    paths: tuple[str, ...]
    config: Config
    control: Path
    events: JsonLines | None
    staff: Staff | None
    """Who serves instead of this process."""

    @property
    def url(self) -> str:
        """Where the directory is served."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}/"


def _address(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an IPv4 or IPv6 address") from None


def _workers(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """A number of processes, or with `auto` as many as there are processors for this one."""
    if value == "auto":
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_WORKERS):
        raise click.BadParameter(f"{value!r} is not auto, nor from 1 to {MOST_WORKERS}")
    return int(value)


def _values(kind: type[StrEnum]) -> "click.Choice[str]":
    return click.Choice([member.value for member in kind])


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--address",
    callback=_address,
    required=True,
    metavar="VIP",
    help="Address to serve from; this host's kernel must not own it.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option(
    "--path",
    "paths",
    multiple=True,
    required=True,
    metavar="DEV[@GATEWAY][,cost=N]",
    help="An uplink: interface, the next hop on it, its cost. Give one for each.",
)
@click.option(
    "--mode",
    type=_values(Mode),
    default=_DEFAULT.mode.value,
    show_default=True,
    help="One path at a time (single), one that grows (primary), or all at once (pooled).",
)
@click.option(
    "--policy",
    type=_values(Policy),
    default=_DEFAULT.policy.value,
    show_default=True,
    help="With `pooled`: each byte over one path (pooled) or over every path (redundant).",
)
@click.option(
    "--cc",
    "congestion",
    type=click.Choice(["reno", "cubic"]),
    default=_DEFAULT.congestion,
    show_default=True,
    help="Base algorithm of congestion control.",
)
@click.option(
    "--coupling",
    type=_values(Coupling),
    default=_DEFAULT.coupling.value,
    show_default=True,
    help="With `pooled`: how the windows of paths depend on one another.",
)
@click.option(
    "--loss-correction",
    type=_values(LossCorrection),
    default=_DEFAULT.loss_correction.value,
    show_default=True,
    help="How loss weighs when paths are compared.",
)
@click.option(
    "--fair",
    type=float,
    default=_DEFAULT.fair,
    show_default=True,
    help="How many ordinary connections one of ours may be as aggressive as.",
)
@click.option(
    "--primary-choice",
    "primary_rule",
    type=_values(PrimaryRule),
    default=_DEFAULT.primary_rule.value,
    show_default=True,
    help="How the primary path is found: by what paths deliver, or as the paper writes it.",
)
@click.option(
    "--recovery",
    type=_values(LossRule),
    default=_DEFAULT.recovery.value,
    show_default=True,
    help="How losses are found: by time within each path, or as the paper writes it.",
)
@click.option(
    "--timestamps/--no-timestamps",
    default=_DEFAULT.timestamps,
    show_default=True,
    help="Accept TCP timestamps if the client offers them.",
)
@click.option(
    "--workers",
    callback=_workers,
    default="1",
    show_default=True,
    metavar="N",
    help="Processes that share the connections; `auto` for one per processor.",
)
@click.option(
    "--nice",
    type=click.IntRange(-20, 19),
    default=-10,
    show_default=True,
    help="Precedence over other programs, -20 (most) to 19, as nice(1) has it.",
)
@click.option(
    "--control",
    metavar="SOCKET",
    help="Where `omtcp path` reaches this server; by default a place in /run/omtcp.",
)
@click.option(
    "--events",
    metavar="FILE",
    help="Write what happens to FILE as JSON lines; workers write a file each.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="`info` logs every request.",
)
def serve(
    directory: str,
    address: str,
    port: int,
    paths: tuple[str, ...],
    mode: str,
    policy: str,
    congestion: str,
    coupling: str,
    loss_correction: str,
    fair: float,
    primary_rule: str,
    recovery: str,
    timestamps: bool,
    workers: int,
    nice: int,
    control: str | None,
    events: str | None,
    log_level: str,
) -> None:
    """Serve DIR over HTTP/1.1 from an address of its own, over one or more uplinks.

    Prints a line with `ready` once it answers. SIGINT or SIGTERM end it and remove the TUN
    devices, rules, routes and settings that it made; a second one ends it at once, and the next
    start removes what was left.
    """
    set_up_logging(log_level)
    config = Config(
        mode=Mode(mode),
        policy=Policy(policy),
        congestion=congestion,
        coupling=Coupling(coupling),
        loss_correction=LossCorrection(loss_correction),
        fair=fair,
        primary_rule=PrimaryRule(primary_rule),
        recovery=LossRule(recovery),
        timestamps=timestamps,
    )
    files = FileServer(directory)
    named = [str(PathSpec.parse(path)) for path in paths]
    staff = sink = None
    if workers > 1:
        staff = Staff(
            recipe=partial(FileServer, directory),
            count=workers,
            events=None if events is None else Path(events),
            log_level=logging.getLogger("omtcp").level,
        )
    elif events is not None:
        sink = JsonLines(events, paths=named)
    site = Site(
        directory=directory,
        files=files,
        address=address,
        port=port,
        paths=paths,
        config=config,
        control=default_path(address, port) if control is None else Path(control),
        events=sink,
        staff=staff,
    )
    take_precedence(nice)
    collect_rarely()
    try:
        asyncio.run(run_site(site))
    finally:
        if sink is not None:
            sink.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that serves: who answers requests about it, and what it does now."""

    answerer: Answerer
    snapshot: Callable[[], Awaitable[Snapshot]]


@contextlib.asynccontextmanager
async def _alone(site: Site) -> AsyncIterator[Running]:
    """Serve in this process."""
    async with aio.serve(
        site.files.protocol,
        site.address,
        site.port,
        site.paths,
        config=site.config,
        trace=site.events,
    ) as server:

        async def snapshot() -> Snapshot:
            return Snapshot.take(server.stats(), site.files.downloads)

        yield Running(answerer=Service(server.paths, asyncio.sleep), snapshot=snapshot)


@contextlib.asynccontextmanager
async def _together(site: Site, staff: Staff) -> AsyncIterator[Running]:
    """Serve in processes of their own."""
    async with serve_by_workers(
        staff, site.address, site.port, site.paths, config=site.config
    ) as crew:
        yield Running(answerer=crew, snapshot=crew.snapshot)


async def run_site(site: Site) -> None:
    """Serve until told to stop by a signal."""
    stop = asyncio.Event()
    with _signals(stop):
        serving = _alone(site) if site.staff is None else _together(site, site.staff)
        async with serving as running, control_socket(site.control, running.answerer):
            if stop.is_set():
                return
            uplinks = ", ".join(PathSpec.parse(path).device for path in site.paths)
            workers = "" if site.staff is None else f" by {site.staff.count} workers"
            click.echo(
                f"omtcp: ready, serving {site.directory} at {site.url} over {uplinks}{workers}"
            )
            async with asyncio.TaskGroup() as tasks:
                helpers = [tasks.create_task(_flush(site.events))]
                console = Console()
                if console.is_terminal and not console.is_dumb_terminal:
                    helpers.append(tasks.create_task(_show(console, site, running)))
                await stop.wait()
                for helper in helpers:
                    helper.cancel()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Turn the signals that end us into the event; a second one works as if uncaught."""
    loop = asyncio.get_running_loop()
    caught = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        caught.append(signal.SIGHUP)

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set()

    for number in caught:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


async def _flush(events: JsonLines | None) -> None:
    """Have events in the file soon after they happened."""
    while events is not None:
        await asyncio.sleep(FLUSH)
        events.flush()


async def _show(console: Console, site: Site, running: Running) -> None:
    """Keep the live table up to date."""
    view = LiveView(site.url)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(view.update(time.monotonic_ns(), await running.snapshot()), refresh=True)
            await asyncio.sleep(REFRESH)


class _StderrHandler(logging.Handler):
    """Log lines to whatever stderr is at that moment: the live table stands in for it."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def set_up_logging(level: str) -> None:
    """Log lines of `level` and above go to stderr."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("omtcp")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
