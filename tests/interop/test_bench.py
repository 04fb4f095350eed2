"""One short case of the bench on the real kernel, as the command line runs it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omtcp.lab.netns import PREFIX

pytestmark = pytest.mark.namespaces

COMMAND = [sys.executable, "-m", "omtcp", "bench", "--quick"]


def namespaces_of(pid: int) -> list[str]:
    return [path.name for path in Path("/run/netns").glob(f"{PREFIX}-{pid}-*")]


def test_a_short_run_measures_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    command = [*COMMAND, "--case=bulk", "--case=handshakes", "--duration=300ms", f"--json={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    bulk, handshakes = json.loads(file.read_text())["cases"]
    for subject in bulk["subjects"]:
        (figures,) = subject["rounds"]
        assert figures["goodput"] > 100
        assert figures["acks_per_mb"] > 0
    assert (tmp_path / "bench-results" / "history.jsonl").exists()
    assert "<svg" in (tmp_path / "bench-results" / "bench.html").read_text()
    ours = handshakes["subjects"][0]["rounds"][0]
    assert ours["served"] > 50
    assert ours["memory_mb"] > 5
    assert any(key.startswith("handshakes: served: omtcp /") for key in handshakes["ratios"])


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*COMMAND, "--duration=60s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    deadline = time.monotonic() + 20
    while len(namespaces_of(child.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(namespaces_of(child.pid)) == 2
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in complaint
    assert namespaces_of(child.pid) == []
