"""Multipath TCP on this kernel, over loopback: whether it is, and what it tells."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest

from omtcp.errors import SetupError
from omtcp.lab import mptcp
from omtcp.lab.content import Content
from omtcp.lab.kernel_server import KernelServer, Service
from omtcp.lab.mptcp import fell_back, require_mptcp, subflows
from omtcp.lab.sink import Job, Measurement


def _possible() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP).close()
    except OSError:
        return False
    return True


needs_mptcp = pytest.mark.skipif(not _possible(), reason="this kernel makes no MPTCP sockets")


@pytest.fixture(params=[4, 6])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return Content(tmp_path, 3_000_000)


def serving(content: Content, family: int, multipath: bool) -> Iterator[KernelServer]:
    host = "::1" if family == 6 else "127.0.0.1"
    server = KernelServer(
        Service(
            root=str(content.path.parent), address=host, port=0, cc="cubic", events="",
            uplinks={host: 2}, family=family, mptcp=multipath,
        )
    )  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(content: Content, family: int) -> Iterator[KernelServer]:
    yield from serving(content, family, multipath=True)


@pytest.fixture
def plain_server(content: Content) -> Iterator[KernelServer]:
    yield from serving(content, 4, multipath=False)


def measure(server: KernelServer, content: Content) -> dict[str, Any]:
    host = "[::1]" if server.service.family == 6 else "127.0.0.1"
    url = f"http://{host}:{server.server_port}/{content.path.name}"
    job = Job(url=url, start_ns=monotonic_ns(), duration_ns=20_000_000_000, mptcp=True)
    return Measurement(job).run()


@needs_mptcp
def test_a_download_over_mptcp_is_whole(server: KernelServer, content: Content) -> None:
    (download,) = measure(server, content)["downloads"]
    assert download["complete"] == [content.digest]
    assert download["error"] is None


@needs_mptcp
def test_a_fallback_to_plain_tcp_is_an_error(plain_server: KernelServer, content: Content) -> None:
    (download,) = measure(plain_server, content)["downloads"]
    assert download["complete"] == [content.digest]
    assert "fell back" in download["error"]


@needs_mptcp
def test_the_subflows_of_a_connection_and_their_uplinks(server: KernelServer, family: int) -> None:
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as client:
        client.connect(server.server_address[:2])
        while not server.live:
            client.send(b"x")
        assert not fell_back(client)
        (connection,) = server.live.values()
        (subflow,) = subflows(connection)
        assert subflow.local == ("::1" if family == 6 else "127.0.0.1")
        ((_, data),) = server.metrics()
        assert data["path"] == 2
        assert not data["primary"]
        assert data["cwnd"] > 1000


@needs_mptcp
def test_plain_tcp_has_no_subflows() -> None:
    with socket.socket() as plain:
        assert fell_back(plain)
        with pytest.raises(OSError, match=r"not (supported|available)"):
            subflows(plain)


def test_a_kernel_without_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mptcp, "_SWITCH", tmp_path / "enabled")
    with pytest.raises(SetupError, match="Multipath"):
        require_mptcp()
    (tmp_path / "enabled").write_text("1")
    require_mptcp()
