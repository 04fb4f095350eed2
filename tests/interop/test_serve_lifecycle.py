"""`omtcp serve` as a process: how it starts, refuses, idles, is killed, and what it leaves."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from .hosts import PATHS, SERVED, UPLINKS, run
from .serving import CONTENT, Download, Serving, World, command, digest, until

pytestmark = pytest.mark.namespaces

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@FAMILIES
def test_a_kill_leaves_nothing_that_the_next_run_does_not_remove(
    alone: World, directory: Path, tmp_path: Path, family: int
) -> None:
    before = alone.server.snapshot()
    first = Serving(alone, directory, tmp_path / "first", family=family)
    download = alone.download(first.url("large"), tmp_path / "got")
    with ExitStack() as stack:
        stack.callback(download.stop)
        download.reach(1_000_000)
        stranded = stack.enter_context(alone.connect(family))
        first.stop(signal.SIGKILL)
        assert alone.server.snapshot() != before
        second = Serving(alone, directory, tmp_path / "second", family=family)
        stack.callback(second.stop)
        stranded.sendall(b"GET")  # nobody knows it any more, and says so
        with pytest.raises(ConnectionResetError):
            stranded.recv(1)
        got = alone.curl(second.url("data"))
        assert digest(got.stdout) == digest((directory / "data").read_bytes())
        assert second.stop() == 0
        assert second.log == ""
    assert alone.server.snapshot() == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(
    alone: World, directory: Path, tmp_path: Path, how: signal.Signals
) -> None:
    before = alone.server.snapshot()
    serving = Serving(alone, directory, tmp_path / "log")
    download = alone.download(serving.url("large"), tmp_path / "got")
    with ExitStack() as stack:
        stack.callback(download.stop)
        stack.callback(serving.stop)
        download.reach(1_000_000)
        idle = stack.enter_context(alone.connect())
        assert serving.stop(how) == 0
        assert serving.log == ""
        with pytest.raises(ConnectionResetError):  # nobody is left waiting
            idle.recv(1)
        assert download.finish() == 56  # "failure in receiving network data"
    assert alone.server.snapshot() == before


def test_a_file_that_is_truncated_takes_only_its_own_downloads(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for name in ("doomed", "spared"):
        (site / name).write_bytes((directory / "large").read_bytes())
    serving = Serving(alone, site, tmp_path / "log")
    downloads: dict[str, Download] = {}
    with ExitStack() as stack:
        stack.callback(serving.stop)
        for name in ("doomed", "spared"):
            downloads[name] = alone.download(serving.url(name), tmp_path / name)
            stack.callback(downloads[name].stop)
        for download in downloads.values():
            download.reach(500_000)
        with (site / "doomed").open("r+b") as file:
            file.truncate(1000)
        assert downloads["doomed"].finish() != 0
        assert downloads["spared"].finish() == 0
        wanted = digest((directory / "large").read_bytes())
        assert digest((tmp_path / "spared").read_bytes()) == wanted
        again = alone.curl(serving.url("doomed"))
        assert again.stdout == (directory / "large").read_bytes()[:1000]
        assert serving.stop() == 0
    assert "Traceback" not in serving.log
    assert "truncated" in serving.log


def test_an_idle_server_costs_next_to_nothing(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    serving = Serving(alone, directory, tmp_path / "log", "--events", str(tmp_path / "events"))
    with ExitStack() as stack:
        stack.callback(serving.stop)
        for _ in range(20):  # connections that are open, and have been used
            client = stack.enter_context(alone.connect())
            client.sendall(b"GET /small HTTP/1.1\r\nHost: here\r\n\r\n")
            received = 0
            while received < CONTENT["small"]:
                received += len(client.recv(1 << 20))
        time.sleep(1.5)  # every ping that is still due
        before = serving.cpu_seconds()
        time.sleep(1)
        assert serving.cpu_seconds() - before < 0.05


class TestRefusals:
    """One clear line on stderr, status 1, and the host as it was."""

    def refusal(
        self, world: World, directory: Path, *options: str, paths: list[str] | None = None
    ) -> str:
        before = world.server.snapshot()
        done = subprocess.run(
            command(world, directory, *options, paths=paths or ()),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("omtcp: ")
        assert done.stderr.count("\n") == 1
        assert world.server.snapshot() == before
        return done.stderr

    def test_everything_that_cannot_be(self, alone: World, directory: Path, tmp_path: Path) -> None:
        none = str(tmp_path / "none")
        assert "path up9@10.1.0.1: no such device" in self.refusal(
            alone, directory, paths=["up9@10.1.0.1"]
        )
        assert "No such file" in self.refusal(alone, Path(none))
        assert "cannot write events" in self.refusal(alone, directory, "--events", f"{none}/e")
        off_link = [f"{UPLINKS[0]}@10.9.9.9"]
        assert "is not on the link" in self.refusal(alone, directory, paths=off_link)
        own = [f"{UPLINKS[0]}@10.1.0.2"]
        assert "this host's own address" in self.refusal(alone, directory, paths=own)
        assert "is given twice" in self.refusal(alone, directory, paths=[PATHS[4][0]] * 2)
        assert "cannot carry" in self.refusal(alone, directory, paths=PATHS[6])
        assert "default route" in self.refusal(alone, directory, paths=[UPLINKS[0]])

    def test_the_address_is_the_kernels(self, alone: World, directory: Path) -> None:
        alone.server.ip(f"addr add {SERVED[4]}/32 dev lo")
        assert "is this host's own address" in self.refusal(alone, directory)

    def test_the_address_is_served_already(
        self, alone: World, directory: Path, tmp_path: Path
    ) -> None:
        serving = Serving(alone, directory, tmp_path / "log")
        try:
            said = self.refusal(alone, directory)
            assert f"{SERVED[4]} is already served by process {serving.pid}" in said
            assert alone.curl(serving.url("small")).returncode == 0
        finally:
            assert serving.stop() == 0

    @staticmethod
    def links_known_down(world: World) -> int:
        """Routes that the kernel has marked so, which it does in its own time."""
        return sum(
            run("ip", "-n", world.server.name, family, "route", "show", device).count("linkdown")
            for family, device in (
                ("-4", "10.1.0.0/24"),
                ("-4", "10.2.0.0/24"),
                ("-6", "fd01::/64"),
                ("-6", "fd02::/64"),
            )
        )

    def test_no_uplink_is_plugged_in(self, alone: World, directory: Path) -> None:
        alone.router.ip("link set r0 down\nlink set r1 down")
        until(lambda: self.links_known_down(alone) == 4, "news of the links")
        assert "no carrier on up0, up1" in self.refusal(alone, directory)

    def test_one_uplink_is_not_plugged_in(
        self, alone: World, directory: Path, tmp_path: Path
    ) -> None:
        """A warning; it is used as soon as it is."""
        alone.client_sends_by(1)
        alone.router.ip("link set r0 down")
        serving = Serving(alone, directory, tmp_path / "log")
        try:
            assert "up0@10.1.0.1 has no carrier" in serving.log
            alone.router.ip("link set r0 up")
            got = alone.curl(serving.url("large"))
            assert digest(got.stdout) == digest((directory / "large").read_bytes())
            assert alone.carried(0) > CONTENT["large"] // 10
        finally:
            assert serving.stop() == 0


def test_a_client_that_goes_away(alone: World, directory: Path, tmp_path: Path) -> None:
    """A reset in the middle ends the one download, and nothing else."""
    serving = Serving(alone, directory, tmp_path / "log")
    with ExitStack() as stack:
        stack.callback(serving.stop)
        for _ in range(5):
            client = alone.connect()
            client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            client.close()
        got = alone.curl(serving.url("data"))
        assert digest(got.stdout) == digest((directory / "data").read_bytes())
        assert serving.stop() == 0
    assert serving.log == ""
