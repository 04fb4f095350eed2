"""`omtcp serve` while its uplinks go and come: downloads do not notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from .serving import Serving, World, digest, until

pytestmark = pytest.mark.namespaces

FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Interrupted:
    """A download that is well under way, and must be complete in the end."""

    def __init__(self, world: World, directory: Path, tmp_path: Path, family: int) -> None:
        self._world = world
        self._wanted = (directory / "large").read_bytes()
        world.client_sends_by(1)
        self._serving = Serving(world, directory, tmp_path / "log", family=family)
        self._download = world.download(self._serving.url("large"), tmp_path / "got")
        self.reach = self._download.reach

    def __enter__(self) -> Interrupted:
        self._download.reach(1_000_000)
        assert self._world.carried(0) > 50_000
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                assert self._download.finish() == 0, self._download.complaint
                assert digest(self._download.to.read_bytes()) == digest(self._wanted)
        finally:
            self._download.stop()
            status = self._serving.stop()
            self.log = self._serving.log
        if kind is None:
            assert status == 0, self.log
            assert "Traceback" not in self.log


class TestCuts:
    """Uplink 0 goes away during a download, and comes back; the client sends by leg 1."""

    @FAMILIES
    def test_without_notice(
        self, alone: World, directory: Path, tmp_path: Path, family: int
    ) -> None:
        with Interrupted(alone, directory, tmp_path, family) as download:
            alone.cut(0)
            download.reach(4_000_000)
            alone.restore(0)
            self.expect_use_of(alone, 0)

    def test_a_cable(self, alone: World, directory: Path, tmp_path: Path) -> None:
        with Interrupted(alone, directory, tmp_path, 4) as download:
            alone.router.ip("link set r0 down")
            download.reach(4_000_000)
            alone.router.ip("link set r0 up")
            self.expect_use_of(alone, 0)

    @FAMILIES
    def test_an_interface_that_is_set_down(
        self, alone: World, directory: Path, tmp_path: Path, family: int
    ) -> None:
        with Interrupted(alone, directory, tmp_path, family) as download:
            alone.server.ip("link set up0 down")
            download.reach(4_000_000)
            alone.server.ip("link set up0 up")
            if family == 6:
                alone.server.ip("addr add fd01::2/64 dev up0 nodad")
            self.expect_use_of(alone, 0)
        assert download.log.count("is down") == 1
        assert download.log.count("is up") == 1

    @staticmethod
    def expect_use_of(world: World, leg: int) -> None:
        before = world.carried(leg)
        until(lambda: world.carried(leg) > before + 100_000, "use of the restored uplink", 10)
