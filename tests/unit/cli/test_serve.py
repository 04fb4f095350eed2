"""`omtcp serve` with the network behind it replaced: options, signals, the ready line."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from omtcp import aio
from omtcp.cli.main import run
from omtcp.core.config import Config, Coupling, LossCorrection, LossRule, Mode, PrimaryRule
from omtcp.core.stats import ServerStats
from omtcp.errors import SetupError
from omtcp.trace.events import PathRestored, Sink

Capture = pytest.CaptureFixture[str]
TWO = ["--path", "veth0@10.0.0.1", "--path", "veth1"]


class Network:
    """Stands for `aio.serve`: notes what it is asked for and ends the run by a signal."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.refusal: Exception | None = None
        self.signal = signal.SIGTERM
        self.early = False
        self.left = False

    @contextlib.asynccontextmanager
    async def serve(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: str,
        port: int,
        paths: Sequence[str],
        *,
        config: Config,
        trace: Sink | None,
    ) -> AsyncIterator["Network"]:
        self.asked = {"address": address, "port": port, "paths": list(paths), "config": config}
        if self.refusal is not None:
            raise self.refusal
        assert isinstance(protocol_factory(), asyncio.Protocol)
        if trace is not None:
            trace(5, 1, PathRestored(path=1))
        os.kill(os.getpid(), self.signal)
        if self.early:
            for _ in range(5):  # turns of the loop, enough for it to see the signal
                await asyncio.sleep(0)
        try:
            yield self
        finally:
            self.left = True

    def stats(self) -> ServerStats:
        return ServerStats(connections=())

    @property
    def paths(self) -> None:
        """Nobody asks for them."""


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(aio, "serve", network.serve)
    return network


def serve(directory: Path, *options: str) -> int:
    control = ["--control", str(directory / "control")]
    return run(["serve", str(directory), "--address", "192.0.2.1", *control, *options])


def test_it_says_ready_and_ends_by_a_signal(
    network: Network, tmp_path: Path, capsys: Capture
) -> None:
    assert serve(tmp_path, *TWO) == 0
    out, err = capsys.readouterr()
    assert out == (
        f"omtcp: ready, serving {tmp_path} at http://192.0.2.1:8080/ over veth0, veth1\n"
    )
    assert err == ""
    assert network.left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(network: Network, tmp_path: Path, number: signal.Signals) -> None:
    network.signal = number
    assert serve(tmp_path, *TWO) == 0
    assert network.left
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_during_setup(network: Network, tmp_path: Path, capsys: Capture) -> None:
    network.early = True
    assert serve(tmp_path, *TWO) == 0
    assert "ready" not in capsys.readouterr().out


def test_defaults(network: Network, tmp_path: Path) -> None:
    serve(tmp_path, *TWO)
    assert network.asked == {
        "address": "192.0.2.1",
        "port": 8080,
        "paths": ["veth0@10.0.0.1", "veth1"],
        "config": Config(),
    }


def test_every_option_arrives(network: Network, tmp_path: Path, capsys: Capture) -> None:
    options = "--port 80 --mode pooled --cc reno --coupling balia --loss-correction cubic-like"
    more = "--fair 1.5 --primary-choice literal --recovery literal --no-timestamps"
    address = ["--address", "2001:DB8::0:1"]
    assert serve(tmp_path, *TWO, *options.split(), *more.split(), *address) == 0
    assert network.asked["config"] == Config(
        mode=Mode.POOLED,
        congestion="reno",
        coupling=Coupling.BALIA,
        loss_correction=LossCorrection.CUBIC_LIKE,
        fair=1.5,
        primary_rule=PrimaryRule.LITERAL,
        recovery=LossRule.LITERAL,
        timestamps=False,
    )
    assert "http://[2001:db8::1]:80/" in capsys.readouterr().out


def test_one_path_may_get_company(network: Network, tmp_path: Path) -> None:
    serve(tmp_path, "--path", "veth0")
    assert network.asked["config"].mode is Mode.PRIMARY


def test_a_control_socket_that_cannot_be(network: Network, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "control").write_text("a file")
    assert serve(tmp_path, *TWO) == 1
    assert capsys.readouterr().err.endswith("control is there, and is no control socket\n")
    assert network.left


def test_the_costs_of_paths_are_not_part_of_their_names(network: Network, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert serve(tmp_path, "--path", "veth0,cost=5", "--events", str(events)) == 0
    assert network.asked["paths"] == ["veth0,cost=5"]
    assert json.loads(events.read_text().splitlines()[0])["paths"] == ["veth0"]


def test_events_are_in_the_file_at_the_end(network: Network, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert serve(tmp_path, *TWO, "--events", str(events)) == 0
    header, event = map(json.loads, events.read_text().splitlines())
    assert header["paths"] == ["veth0@10.0.0.1", "veth1"]
    assert (event["time_ns"], event["name"]) == (5, "path_restored")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["serve"], 2, "Missing argument 'DIR'"),
        (["serve", "."], 2, "Missing option '--address'"),
        (["serve", ".", "--address", "192.0.2.1"], 2, "Missing option '--path'"),
        (["serve", ".", "--address", "here", *TWO], 2, "'here' is not an IPv4 or IPv6 address"),
        (["serve", ".", "--address", "192.0.2.1/24", *TWO], 2, "is not an IPv4 or IPv6 address"),
        (["serve", ".", "--address", "192.0.2.1", *TWO, "--port", "0"], 2, "0 is not in the range"),
        (["serve", ".", "--address", "192.0.2.1", *TWO, "--port", "x"], 2, "'x' is not a valid"),
        (["serve", ".", "--address", "192.0.2.1", *TWO, "--mode", "x"], 2, "'x' is not one of"),
        (["serve", ".", "--address", "192.0.2.1", *TWO, "--cc", "bbr"], 2, "'bbr' is not one of"),
        (["serve", ".", "--address", "192.0.2.1", *TWO, "--fair", "0"], 1, "fair must be more"),
        (["serve", ".", "--address", "192.0.2.1", *TWO, "--fair", "nan"], 1, "fair must be more"),
        (["serve", "/none", "--address", "192.0.2.1", *TWO], 1, "cannot serve /none: No such"),
        (["serve", "/etc/passwd", "--address", "192.0.2.1", *TWO], 1, "Not a directory"),
        (
            ["serve", ".", "--address", "192.0.2.1", *TWO, "--events", "/none/e"],
            1,
            "cannot write events to /none/e: No such file or directory",
        ),
    ],
)
def test_bad_input(
    arguments: list[str], status: int, message: str, network: Network, capsys: Capture
) -> None:
    assert run(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("omtcp: ")
    assert message in err
    assert err.count("\n") == 1
    assert not network.asked


def test_a_host_that_refuses(network: Network, tmp_path: Path, capsys: Capture) -> None:
    network.refusal = SetupError("path veth0: no such device")
    assert serve(tmp_path, *TWO) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "omtcp: path veth0: no such device\n")


STUBBORN = """
import asyncio, contextlib, sys, types
from omtcp import aio
from omtcp.cli.main import main

@contextlib.asynccontextmanager
async def serve(*arguments, **options):
    try:
        yield types.SimpleNamespace(paths=None)
    finally:
        print("leaving", flush=True)
        await asyncio.get_running_loop().create_future()

aio.serve = serve
main(sys.argv[1:])
"""


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUBBORN, "serve", str(tmp_path), "--address", "192.0.2.1"]
    command += ["--control", str(tmp_path / "control")]
    with subprocess.Popen([*command, *TWO], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "leaving\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


TERMINAL = """
import contextlib, sys
from omtcp import aio
from omtcp.cli.main import main
from omtcp.core.stats import ServerStats

class Server:
    paths = None

    def stats(self):
        return ServerStats(connections=())

@contextlib.asynccontextmanager
async def serve(*arguments, **options):
    yield Server()

aio.serve = serve
main(sys.argv[1:])
"""


def test_on_a_terminal_there_is_a_live_table(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", TERMINAL, "serve", str(tmp_path), "--address", "192.0.2.1"]
    command += ["--control", str(tmp_path / "control")]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [*command, *TWO], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        screen = b""
        while b"Uplink" not in screen:
            screen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO is how a terminal ends
            while data := os.read(ours, 4096):
                screen += data
        assert process.wait(20) == 0
    os.close(ours)
    assert b"ready" in screen.splitlines()[0]
    assert b"Traceback" not in screen
    assert screen.rstrip().endswith(b"\x1b[?25h") or b"\x1b[?25h" in screen, "the cursor is back"
