"""Clients that want to be served while SYNs pour in from addresses that never answer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .hosts import SERVED
from .serving import PORT, Serving, digest, world

pytestmark = pytest.mark.namespaces

FLOOD_S = 8
RATE = 3000


@pytest.mark.parametrize("timestamps", [1, 0])
def test_clients_are_served_in_a_flood(directory: Path, tmp_path: Path, timestamps: int) -> None:
    """Their handshakes are completed by cookies, with and without timestamps to help."""
    with world() as made:
        made.client.write_sysctl("net/ipv4/tcp_timestamps", str(timestamps))
        serving = Serving(made, directory, tmp_path / "log")
        job = {
            "host": SERVED[4],
            "port": PORT,
            "rate": RATE,
            "start_ns": time.monotonic_ns(),
            "duration_ns": FLOOD_S * 1_000_000_000,
        }
        flood = subprocess.Popen(
            made.client.command(sys.executable, "-m", "omtcp.bench.flood", json.dumps(job)),
            stdout=subprocess.PIPE,
        )
        try:
            while "cookies" not in serving.log:
                assert flood.poll() is None, "no cookies"
                time.sleep(0.05)
            wanted = digest((directory / "data").read_bytes())
            for _ in range(3):
                got = made.curl("--retry", "3", serving.url("data"))
                assert (got.returncode, got.stderr) == (0, b"")
                assert digest(got.stdout) == wanted
            assert flood.poll() is None, "the flood ended too early"
        finally:
            flood.kill()
            flood.communicate()
            assert serving.stop() == 0
