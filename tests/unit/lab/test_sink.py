"""The receivers and the reference server, over loopback."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from time import monotonic_ns
from typing import Any

import pytest

from omtcp.lab.content import Content
from omtcp.lab.kernel_server import KernelServer, Service, tcp_info
from omtcp.lab.sink import Gaps, Job, Measurement

S = 1_000_000_000
SIZE = 3_000_000


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return Content(tmp_path, SIZE)


def service(content: Content, **changes: Any) -> Service:
    values: dict[str, Any] = {
        "root": str(content.path.parent),
        "address": "127.0.0.1",
        "port": 0,
        "cc": "cubic",
        "events": "",
        "uplinks": {"127.0.0.1": 3},
    }
    return Service(**(values | changes))


@pytest.fixture
def server(content: Content) -> Iterator[KernelServer]:
    server = KernelServer(service(content))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def measure(server: KernelServer, name: str, **changes: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    values: dict[str, Any] = {"url": url, "start_ns": monotonic_ns(), "duration_ns": 20 * S}
    return Measurement(Job(**(values | changes))).run()


def test_content_is_the_same_each_time_and_has_digests(content: Content, tmp_path: Path) -> None:
    data = content.path.read_bytes()
    assert len(data) == SIZE
    assert content.digest == hashlib.sha256(data).hexdigest()
    assert content.prefix_digest(SIZE) == content.digest
    assert content.prefix_digest(1000) == hashlib.sha256(data[:1000]).hexdigest()
    (tmp_path / "again").mkdir()
    assert Content(tmp_path / "again", SIZE).digest == content.digest
    assert len({data[at : at + 64] for at in range(0, SIZE, 64)}) == SIZE // 64


@pytest.mark.parametrize("program", ["sink", "curl"])
def test_a_download_is_whole(server: KernelServer, content: Content, program: str) -> None:
    result = measure(server, content.path.name, program=program)
    (download,) = result["downloads"]
    assert download["complete"] == [content.digest]
    assert download["error"] is None
    assert result["bytes"] == SIZE == sum(size for _, size in result["bins"])
    assert result["first_byte_ns"] >= result["start_ns"]
    assert result["end_ns"] >= result["first_byte_ns"]


def test_many_downloads_at_once(server: KernelServer, content: Content) -> None:
    result = measure(server, content.path.name, downloads=8)
    assert [d["complete"] for d in result["downloads"]] == [[content.digest]] * 8
    assert result["bytes"] == 8 * SIZE


def test_the_arrivals_of_each_download(server: KernelServer, content: Content) -> None:
    result = measure(server, content.path.name, downloads=3, each=True)
    assert [sum(size for _, size in one["bins"]) for one in result["downloads"]] == [SIZE] * 3
    together = measure(server, content.path.name, downloads=3)
    assert [one["bins"] for one in together["downloads"]] == [[]] * 3


def test_a_measurement_that_is_stopped_still_tells(server: KernelServer, content: Content) -> None:
    url = f"http://127.0.0.1:{server.server_port}/{content.path.name}"
    job = Job(url=url, start_ns=monotonic_ns(), duration_ns=60 * S, repeat=True)
    measurement = Measurement(job)
    timer = threading.Timer(0.2, measurement.stop)
    timer.start()
    result: dict[str, Any] = measurement.run()
    timer.join()
    assert result["end_ns"] - result["start_ns"] < 30 * S
    assert result["bytes"] > 0
    assert result["downloads"][0]["error"] is None


def test_repeated_downloads_end_with_the_time(server: KernelServer, content: Content) -> None:
    result = measure(server, content.path.name, repeat=True, duration_ns=S // 4)
    (download,) = result["downloads"]
    assert download["complete"]
    assert set(download["complete"]) == {content.digest}
    assert download["partial_digest"] == content.prefix_digest(download["partial_bytes"])
    assert len(download["complete"]) * SIZE + download["partial_bytes"] == result["bytes"]


@pytest.mark.parametrize("program", ["sink", "curl"])
def test_a_missing_file_is_an_error(server: KernelServer, program: str) -> None:
    result = measure(server, "nothing.bin", program=program)
    assert "404" in result["downloads"][0]["error"]
    assert result["bytes"] == 0


@pytest.mark.parametrize("program", ["sink", "curl"])
def test_a_server_that_is_not_there_is_an_error(
    server: KernelServer, content: Content, program: str
) -> None:
    url = f"http://127.0.0.1:1/{content.path.name}"
    result = measure(server, "", url=url, program=program)
    assert result["downloads"][0]["error"]


def test_the_kernels_view_of_a_connection(server: KernelServer, content: Content) -> None:
    seen: Queue[dict[str, Any]] = Queue()

    class Spy(dict[int, Any]):
        def pop(self, key: int, default: Any = None) -> Any:
            connection = super().pop(key, default)
            seen.put(tcp_info(connection))
            return connection

    server.live = Spy()
    measure(server, content.path.name)
    info = seen.get(timeout=10)
    assert info["delivered"] > SIZE
    assert info["cwnd"] > 1000
    assert info["srtt_ns"] > 0
    assert info["retransmitted"] == 0
    assert info["state"] == "open"


def test_the_trace_names_the_uplink_of_the_local_address(
    server: KernelServer, content: Content
) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"GET /")
        while not server.live:
            client.send(b"x")
        ((_, data),) = server.metrics()
    assert data["path"] == 3
    assert data["primary"]
    assert data["cwnd"] > 1000


def test_silences_are_counted_after_the_first_byte() -> None:
    gaps = Gaps()
    for second in (5, 6, 9, 9.5):
        gaps.heard(int(second * S))
    assert gaps.first == 5 * S
    assert sorted(gaps.longest, reverse=True)[:2] == [(3 * S, 6 * S), (S, 5 * S)]


def test_the_longest_silences_survive_many_short_ones() -> None:
    gaps, now = Gaps(), 0
    for number in range(2000):
        now += (S if number == 500 else 2_000_000) + number
        gaps.heard(now)
    assert max(gaps.longest)[0] == S + 500
    assert len(gaps.longest) < 100
