"""The kernel senders: a file server on the kernel's TCP or Multipath TCP.

    python -m omtcp.lab.kernel_server SERVICE

SERVICE is a `Service` as JSON. It answers GET with sendfile. Some twenty times a second it writes
each connection's congestion state, per subflow, in the form of omtcp's own `metrics_updated`, so
that reports can lay them side by side.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic_ns, sleep
from typing import Any

from omtcp.lab.mptcp import subflows
from omtcp.lab.processes import die_with_parent, python_module, say

_SAMPLE_S = 0.05
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q")  # linux/tcp.h, struct tcp_info up to bytes_retrans
_STATES = {0: "open", 1: "disorder", 2: "cwr", 3: "recovery", 4: "loss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What to serve: the files of `root` at `address` (empty: all addresses of the family).

    events: the file that the trace goes to. uplinks: which uplink a connection or subflow with this
    local address takes; the trace tells it.
    """

    root: str
    address: str
    port: int
    cc: str = "cubic"
    events: str = "/dev/null"
    uplinks: dict[str, int] = field(default_factory=dict)
    family: int = 4
    mptcp: bool = False

    def command(self) -> list[str]:
        """The command line that serves this and says `ready`."""
        return python_module("omtcp.lab.kernel_server", json.dumps(asdict(self)))


def tcp_info(connection: socket.socket) -> dict[str, Any]:
    """The kernel's view of a connection, in bytes and nanoseconds."""
    return _values(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))


def _values(raw: bytes) -> dict[str, Any]:
    values = _TCP_INFO.unpack(raw[: _TCP_INFO.size].ljust(_TCP_INFO.size, b"\0"))
    small, words = values[:8], values[8:]
    mss = words[2]
    return {
        "state": _STATES.get(small[1], "open"),
        "cwnd": words[18] * mss,
        "ssthresh": min(words[17] * mss, 1 << 31),
        "srtt_ns": words[15] * 1000,
        "in_flight": (words[4] - words[5] - words[6] + words[7]) * mss,
        "delivered": words[26],
        "retransmitted": words[41],
    }


class KernelServer(ThreadingHTTPServer):
    """Serves the files of one directory; `live` are the connections, by handler."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, service: Service) -> None:
        self.address_family = socket.AF_INET6 if service.family == 6 else socket.AF_INET
        self.service = service
        self.root = Path(service.root)
        self.live: dict[int, socket.socket] = {}
        super().__init__((service.address, service.port), _Handler, bind_and_activate=False)
        if service.mptcp:
            self.socket.close()
            self.socket = socket.socket(
                self.address_family, socket.SOCK_STREAM, socket.IPPROTO_MPTCP
            )
        self.server_bind()
        self.server_activate()

    def server_bind(self) -> None:
        cc = self.service.cc.encode()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that leaves is no news
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def metrics(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(connection, state) of each connection, or of each subflow of each connection."""
        for number, connection in list(self.live.items()):
            with contextlib.suppress(OSError):
                for local, values in self._flows(connection):
                    path = self.service.uplinks.get(local, 0)
                    yield number, {"path": path, "primary": not self.service.mptcp, **values}

    def _flows(self, connection: socket.socket) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.service.mptcp:
            for subflow in subflows(connection):
                yield subflow.local, _values(subflow.tcp_info)
        else:
            yield connection.getsockname()[0], tcp_info(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KernelServer

    def setup(self) -> None:
        super().setup()
        self.server.live[id(self)] = self.connection

    def finish(self) -> None:
        self.server.live.pop(id(self), None)
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        path = self.server.root / Path(self.path).name
        if not path.is_file():
            self.send_error(404)
            return
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            self._send(file.fileno(), size)

    def _send(self, source: int, size: int) -> None:
        offset, target = 0, self.connection.fileno()
        while offset < size:
            sent = os.sendfile(target, source, offset, min(size - offset, 1 << 30))
            if sent == 0:
                break
            offset += sent

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its base says so)
        pass


def _watch(server: KernelServer) -> None:
    with Path(server.service.events).open("w") as file:
        while True:
            now = monotonic_ns()
            for number, data in server.metrics():
                line = {
                    "time_ns": now,
                    "connection": number,
                    "name": "metrics_updated",
                    "data": data,
                }
                file.write(json.dumps(line) + "\n")
            file.flush()
            sleep(_SAMPLE_S)


def main() -> None:
    die_with_parent()
    server = KernelServer(Service(**json.loads(sys.argv[1])))
    threading.Thread(target=_watch, args=(server,), daemon=True).start()
    say("ready")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
