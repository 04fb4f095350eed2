"""`omtcp path` against a running `omtcp serve`: paths come, pause and go, and downloads go on."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .hosts import PATHS
from .serving import Download, Serving, World, digest, until

pytestmark = pytest.mark.namespaces

FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Operated:
    """A server, whoever operates it, and a download under way that must be whole in the end."""

    def __init__(
        self,
        world: World,
        directory: Path,
        tmp_path: Path,
        *options: str,
        family: int = 4,
        paths: tuple[str, ...] = (),
    ) -> None:
        self.world = world
        self.names = PATHS[family]
        self.directory = directory
        self._tmp_path = tmp_path
        world.client_sends_by(1)
        self.serving = Serving(
            world, directory, tmp_path / "log", *options, family=family, paths=paths
        )
        self._count = 0

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`omtcp path` in the server's namespace."""
        command = self.world.server.command(sys.executable, "-m", "omtcp", "path", *words)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def path(self, *words: str) -> str:
        """The same, which must work; what it printed."""
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr + self.serving.log
        return done.stdout.strip()

    def listed(self) -> dict[str, dict[str, Any]]:
        """What `list` says of each path, by device."""
        answer = json.loads(self.path("list", "--json"))
        return {entry["device"]: entry for entry in answer["paths"]}

    @contextmanager
    def download(self) -> Iterator[Download]:
        """One that ends well."""
        self._count += 1
        download = self.world.download(
            self.serving.url("large"), self._tmp_path / f"got{self._count}"
        )
        try:
            download.reach(500_000)
            yield download
            assert download.finish() == 0, download.complaint + self.serving.log.encode()
            wanted = (self.directory / "large").read_bytes()
            assert digest(download.to.read_bytes()) == digest(wanted)
        finally:
            download.stop()

    def expect_use_of(self, leg: int) -> None:
        before = self.world.carried(leg)
        until(lambda: self.world.carried(leg) > before + 100_000, f"use of leg {leg}", 10)

    def expect_rest(self, leg: int) -> None:
        """Nothing of ours goes out by that leg for a while; a stray packet of a kernel may."""
        time.sleep(0.3)  # what the router has queued
        before = self.world.carried(leg)
        time.sleep(0.5)
        assert self.world.carried(leg) - before < 1000


@pytest.fixture
def operated(slow: World, directory: Path, tmp_path: Path) -> Iterator[Operated]:
    made = Operated(slow, directory, tmp_path)
    try:
        yield made
    finally:
        assert made.serving.stop() == 0, made.serving.log
    assert "Traceback" not in made.serving.log


def test_drained_and_used_again(operated: Operated) -> None:
    with operated.download() as download:
        assert operated.path("drain", "up0") == "draining up0@10.1.0.1"
        until(lambda: operated.listed()["up0"]["in_flight"] == 0, "end of what is under way")
        before = operated.listed()["up0"]
        assert before["state"] == "drained"
        operated.expect_rest(0)
        download.reach(download.size + 500_000)
        assert operated.listed()["up0"]["bytes_sent"] == before["bytes_sent"]
        assert operated.path("undrain", "up0@10.1.0.1") == "using up0@10.1.0.1"
        operated.expect_use_of(0)


@FAMILIES
def test_removed_and_added_again(slow: World, directory: Path, tmp_path: Path, family: int) -> None:
    before = slow.server.snapshot()
    operated = Operated(slow, directory, tmp_path, family=family)
    try:
        with operated.download():
            operated.path("remove", "0")
            assert list(operated.listed()) == ["up1"]
            operated.expect_rest(0)
            operated.path("add", operated.names[0])
            operated.expect_use_of(0)
            assert operated.listed()["up0"]["index"] == 2
            with operated.download() as second:
                second.reach(1_000_000)
    finally:
        assert operated.serving.stop() == 0, operated.serving.log
    assert "Traceback" not in operated.serving.log
    assert slow.server.snapshot() == before


def test_added_to_a_server_with_one(slow: World, directory: Path, tmp_path: Path) -> None:
    operated = Operated(slow, directory, tmp_path, paths=(PATHS[4][1],))
    try:
        with operated.download():
            assert slow.carried(0) < 1000
            assert operated.path("add", f"{PATHS[4][0]},cost=7") == "added up0@10.1.0.1"
            assert operated.listed()["up0"]["cost"] == 7
            operated.path("cost", "up0", "0")
            operated.expect_use_of(0)
    finally:
        assert operated.serving.stop() == 0, operated.serving.log


def test_a_dearer_path_is_a_reserve(slow: World, directory: Path, tmp_path: Path) -> None:
    """In primary mode: it rests while the cheaper one works, and is there when that one is cut."""
    paths = (PATHS[4][0], f"{PATHS[4][1]},cost=5")
    operated = Operated(slow, directory, tmp_path, "--mode", "primary", paths=paths)
    try:
        with operated.download() as download:
            entry = operated.listed()["up1"]
            assert (entry["cost"], entry["primary_of"]) == (5, 0)
            download.reach(3_000_000)
            paid = operated.listed()["up1"]["bytes_sent"]
            assert paid < 200_000
            slow.cut(0)
            operated.expect_use_of(1)
            slow.restore(0)
            operated.expect_use_of(0)
            slow.set_rate(4)  # the download is to outlive what follows
            until(lambda: operated.listed()["up0"]["primary_of"] == 1, "return to the cheaper one")
            operated.path("cost", "up0", "9")
            until(lambda: operated.listed()["up1"]["primary_of"] == 1, "move to the cheaper one")
    finally:
        assert operated.serving.stop() == 0, operated.serving.log


def test_everything_at_once(operated: Operated) -> None:
    """Several downloads, while paths go round and round."""
    with operated.download(), operated.download(), operated.download():
        for _ in range(2):
            for name in operated.names:
                operated.path("drain", name)
                operated.path("undrain", name)
                operated.path("remove", name)
                operated.path("add", name)
                operated.path("cost", name, "2")
                operated.path("cost", name, "0")


class TestRefusals:
    def test_one_clear_line(self, operated: Operated) -> None:
        for words, complaint in [
            (("drain", "up7"), "no path 'up7': there are up0@10.1.0.1, up1@10.2.0.1"),
            (("add", "nowhere"), "path nowhere: no such device"),
            (("add", "up0@10.1.0.1"), "path up0@10.1.0.1 is there already"),
            (("add", "up0,cost=x"), "path 'up0,cost=x': the cost is a whole number, 0 or more"),
        ]:
            done = operated.run(*words)
            assert (done.returncode, done.stderr) == (1, f"omtcp: {complaint}\n")

    def test_the_last_path_goes_only_by_force(self, operated: Operated) -> None:
        operated.path("drain", "up0")
        for verb in ("drain", "remove"):
            done = operated.run(verb, "up1")
            assert done.returncode == 1
            assert "last path" in done.stderr
        with operated.download():
            operated.path("drain", "up1", "--force")
            operated.expect_rest(1)
            operated.path("undrain", "up0")
            operated.world.client_sends_by(0)
            operated.path("remove", "up1")
        assert operated.world.curl(operated.serving.url("small")).returncode == 0

    def test_nobody_runs(self, slow: World) -> None:
        command = slow.server.command(sys.executable, "-m", "omtcp", "path", "list")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("omtcp: no omtcp serve runs in this network namespace")


class TestSocket:
    def test_only_root_may_and_it_is_gone_in_the_end(
        self, slow: World, directory: Path, tmp_path: Path
    ) -> None:
        place = tmp_path / "run" / "here.sock"
        operated = Operated(slow, directory, tmp_path, "--control", str(place))
        try:
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
            assert "up0@10.1.0.1" in operated.path("list", "--control", str(place))
        finally:
            operated.serving.stop()
        assert not place.exists()

    def test_what_a_crash_left_is_replaced(
        self, slow: World, directory: Path, tmp_path: Path
    ) -> None:
        place = tmp_path / "here.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(place))
        operated = Operated(slow, directory, tmp_path, "--control", str(place))
        try:
            operated.path("list", "--control", str(place))
        finally:
            operated.serving.stop()

    def test_nonsense_harms_nobody(self, slow: World, directory: Path, tmp_path: Path) -> None:
        place = tmp_path / "here.sock"
        operated = Operated(slow, directory, tmp_path, "--control", str(place))
        try:
            with operated.download(), socket.socket(socket.AF_UNIX) as rude:
                rude.settimeout(5)
                rude.connect(os.fspath(place))
                rude.sendall(b"\xff\xfe\n{}\n[1]\n" + b'{"verb": "list"}\n')
                with rude.makefile("rb") as answers:
                    oks = [json.loads(answers.readline())["ok"] for _ in range(4)]
                assert oks == [False, False, False, True]
                with socket.socket(socket.AF_UNIX) as silent:
                    silent.connect(os.fspath(place))
                    silent.sendall(b'{"verb": ')
                    operated.path("list", "--control", str(place))
        finally:
            assert operated.serving.stop() == 0
        assert "Traceback" not in operated.serving.log
