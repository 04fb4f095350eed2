"""`omtcp serve` on the real kernel, from the first SYN to the last rule removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .hosts import PATHS
from .serving import CONTENT, PORT, Serving, World, digest, world

pytestmark = pytest.mark.namespaces

FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Shared:
    """What the tests share."""

    def __init__(self, world: World, serving: dict[int, Serving]) -> None:
        self.world = world
        self.serving = serving

    def url(self, name: str, family: int = 4) -> str:
        return self.serving[family].url(name)


@pytest.fixture(scope="module")
def shared(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """One run for each family, for tests that leave them as they are."""
    logs = tmp_path_factory.mktemp("logs")
    with world() as made:
        made.set_rate(80)
        serving = {
            family: Serving(made, directory, logs / f"log{family}", family=family)
            for family in (4, 6)
        }
        try:
            yield Shared(made, serving)
        finally:
            for one in serving.values():
                one.stop()


class TestDownloads:
    @FAMILIES
    def test_over_both_uplinks(self, shared: Shared, directory: Path, family: int) -> None:
        before = [shared.world.carried(leg) for leg in (0, 1)]
        got = shared.world.curl(shared.url("data", family))
        assert (got.returncode, got.stderr) == (0, b"")
        assert digest(got.stdout) == digest((directory / "data").read_bytes())
        for leg in (0, 1):
            assert shared.world.carried(leg) - before[leg] > CONTENT["data"] // 10

    @FAMILIES
    def test_twenty_at_once(
        self, shared: Shared, directory: Path, tmp_path: Path, family: int
    ) -> None:
        options = ["--parallel", "--parallel-immediate", "--parallel-max", "20", "-g"]
        target = shared.url("small", family)
        for number in range(20):
            options += ["-o", str(tmp_path / str(number)), target]
        got = shared.world.curl(*options)
        assert got.returncode == 0, got.stderr
        wanted = digest((directory / "small").read_bytes())
        for number in range(20):
            assert digest((tmp_path / str(number)).read_bytes()) == wanted

    @FAMILIES
    def test_many_requests_on_one_connection(
        self, shared: Shared, directory: Path, family: int
    ) -> None:
        got = shared.world.curl(
            *["-w", "%{stderr}%{num_connects}"], *[shared.url("small", family)] * 5
        )
        assert got.returncode == 0
        assert got.stdout == (directory / "small").read_bytes() * 5
        assert got.stderr == b"10000"

    @pytest.mark.parametrize(
        "settings",
        [
            {"tcp_sack": "0"},
            {"tcp_timestamps": "0"},
            {"tcp_ecn": "1"},
            {"tcp_rmem": "4096 131072 131072"},
            {"tcp_window_scaling": "0"},
            {"tcp_sack": "0", "tcp_timestamps": "0", "tcp_window_scaling": "0"},
        ],
        ids="-".join,
    )
    def test_every_kind_of_client(
        self, shared: Shared, directory: Path, settings: dict[str, str]
    ) -> None:
        client = shared.world.client
        with client.inside():
            before = {key: Path("/proc/sys/net/ipv4", key).read_text().strip() for key in settings}
        try:
            for key, value in settings.items():
                client.write_sysctl(f"net/ipv4/{key}", value)
            got = shared.world.curl(shared.url("data"))
        finally:
            for key, value in before.items():
                client.write_sysctl(f"net/ipv4/{key}", value)
        assert got.returncode == 0, got.stderr
        assert digest(got.stdout) == digest((directory / "data").read_bytes())


class TestHttp:
    def status(self, shared: Shared, *arguments: str) -> tuple[str, bytes]:
        got = shared.world.curl("-w", "%{stderr}%{http_code}", *arguments)
        assert got.returncode == 0, got.stderr
        return got.stderr.decode(), got.stdout

    def test_head(self, shared: Shared) -> None:
        status, head = self.status(shared, "-I", shared.url("data"))
        assert status == "200"
        assert f"content-length: {CONTENT['data']}".encode() in head.lower()

    def test_a_range(self, shared: Shared, directory: Path) -> None:
        status, part = self.status(shared, "-r", "1000000-1999999", shared.url("data"))
        assert status == "206"
        assert part == (directory / "data").read_bytes()[1_000_000:2_000_000]

    def test_a_range_that_is_not_there(self, shared: Shared) -> None:
        assert self.status(shared, "-r", "9000000-", shared.url("data"))[0] == "416"

    def test_a_file_that_is_not_there(self, shared: Shared) -> None:
        assert self.status(shared, shared.url("none"))[0] == "404"

    @FAMILIES
    @pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
    def test_an_upload_is_refused(
        self, shared: Shared, directory: Path, family: int, expect: str
    ) -> None:
        upload = ["-H", expect, "-T", str(directory / "data")]
        status, _ = self.status(shared, *upload, shared.url("new", family))
        assert status == "405"
        assert not (directory / "new").exists()

    @FAMILIES
    def test_a_port_where_nobody_listens(self, shared: Shared, family: int) -> None:
        for leg in (1, 0):  # the refusal comes back whichever way the client asks
            shared.world.client_sends_by(leg)
            with pytest.raises(ConnectionRefusedError):
                shared.world.connect(family, PORT + 1)


class TestMtu:
    """Leg 1 takes 1300 bytes behind the router; only ICMP tells the server, or nobody does."""

    @FAMILIES
    @pytest.mark.parametrize("paths", [2, 1])
    def test_a_narrow_uplink(
        self, alone: World, directory: Path, tmp_path: Path, family: int, paths: int
    ) -> None:
        narrow = PATHS[family][-paths:]
        alone.router_speaks_by(2 - paths)  # with two, by the one that was not to blame
        self.download("data", alone, directory, tmp_path, family, narrow)

    @FAMILIES
    def test_a_narrow_uplink_with_icmp_filtered(
        self, alone: World, directory: Path, tmp_path: Path, family: int
    ) -> None:
        alone.router_is_mute()
        self.download("large", alone, directory, tmp_path, family, PATHS[family])

    @staticmethod
    def download(
        name: str, alone: World, directory: Path, tmp_path: Path, family: int, paths: list[str]
    ) -> None:
        alone.router.ip("link set c1 mtu 1300")
        alone.client_sends_by(1)
        serving = Serving(alone, directory, tmp_path / "log", family=family, paths=paths)
        try:
            got = alone.curl(serving.url(name))
            assert got.returncode == 0, got.stderr
            assert digest(got.stdout) == digest((directory / name).read_bytes())
            assert alone.carried(1) > CONTENT[name] // 5
        finally:
            assert serving.stop() == 0
