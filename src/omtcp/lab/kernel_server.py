"""The reference: a file server on the kernel's TCP, with its connections' state as JSON lines.

    python -m omtcp.lab.kernel_server DIR ADDRESS PORT CC UPLINK EVENTS

It answers GET with sendfile. Some twenty times a second it writes each connection's congestion
state in the form of omtcp's own `metrics_updated`, so that reports can lay the two side by side.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic_ns, sleep
from typing import Any

from omtcp.lab.processes import die_with_parent, say

_SAMPLE_S = 0.05
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q")  # linux/tcp.h, struct tcp_info up to bytes_retrans
_STATES = {0: "open", 1: "disorder", 2: "cwr", 3: "recovery", 4: "loss"}


def tcp_info(connection: socket.socket) -> dict[str, Any]:
    """The kernel's view of a connection, in bytes and nanoseconds."""
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    values = _TCP_INFO.unpack(raw.ljust(_TCP_INFO.size, b"\0"))
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

    def __init__(self, root: Path, address: str, port: int, cc: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.root = root
        self.live: dict[int, socket.socket] = {}
        self._cc = cc
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._cc.encode())
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that leaves is no news
            super().handle_error(request, client_address)  # type: ignore[arg-type]


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


def _samples(server: KernelServer, uplink: int) -> Iterator[str]:
    now = monotonic_ns()
    for number, connection in list(server.live.items()):
        with contextlib.suppress(OSError):
            data = {"path": uplink, "primary": True, **tcp_info(connection)}
            yield json.dumps(
                {"time_ns": now, "connection": number, "name": "metrics_updated", "data": data}
            )


def _watch(server: KernelServer, uplink: int, events: Path) -> None:
    with events.open("w") as file:
        while True:
            for line in _samples(server, uplink):
                file.write(line + "\n")
            file.flush()
            sleep(_SAMPLE_S)


def main() -> None:
    die_with_parent()
    root, address, port, cc, uplink, events = sys.argv[1:]
    server = KernelServer(Path(root), address, int(port), cc)
    watcher = threading.Thread(target=_watch, args=(server, int(uplink), Path(events)), daemon=True)
    watcher.start()
    say("ready")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
