"""A worker's process: it starts, answers, and ends, and its supervisor hears how."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omtcp.apps.snapshot import Snapshot
from omtcp.control.protocol import RefusedError, Request
from omtcp.workers.member import WorkerGoneError, WorkerSilentError
from omtcp.workers.messages import Logged, Look, Stop

from .crews import Hired, run


def test_it_answers_and_ends_when_told(tmp_path: Path) -> None:
    async def story() -> None:
        hired = Hired(tmp_path)
        member = await hired.ready()
        assert Path(f"/proc/{member.pid}/comm").read_text() == "omtcp-worker-3\n"
        listed = await member.ask(Request("list", {"interval_ms": 0}), 20)
        assert listed == {"policy": "pooled", "paths": []}
        assert await member.ask(Look(), 20) == Snapshot(uplinks={})
        with pytest.raises(RefusedError, match=r"^no path is left$"):
            await member.ask(Request("drain", {"path": "eth0"}), 20)
        member.tell(Stop())
        assert await hired.end() == 0
        assert member.fate == "ended"
        with pytest.raises(WorkerGoneError):
            await member.ask(Look(), 20)
        assert hired.logged == []

    run(story)


def test_who_asks_one_that_dies_hears_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        hired = Hired(tmp_path)
        member = await hired.ready()
        os.kill(member.pid, signal.SIGSTOP)
        with pytest.raises(WorkerSilentError, match=r"^worker 3 does not answer$"):
            await member.ask(Look(), 0.05)
        waiting = asyncio.create_task(member.ask(Look(), 60))
        await asyncio.sleep(0)
        member.kill()
        with pytest.raises(WorkerGoneError):
            await waiting
        assert await hired.end() == -signal.SIGKILL
        assert member.fate == "was killed by SIGKILL"

    run(story)


def test_the_signals_of_a_terminal_are_not_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        hired = Hired(tmp_path)
        member = await hired.ready()
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(member.pid, number)
        assert isinstance(await member.ask(Look(), 20), Snapshot)
        os.kill(member.pid, signal.SIGTERM)
        assert await hired.end() == 0

    run(story)


def test_why_it_cannot_serve(tmp_path: Path) -> None:
    async def story() -> None:
        hired = Hired(tmp_path / "none")
        member = await hired.ready()
        assert await hired.end() == 1
        assert member.reason == f"cannot serve {tmp_path / 'none'}: No such file or directory"
        assert member.fate == f"cannot serve: {member.reason}"

    run(story)


def test_its_log_lines_are_passed_on(tmp_path: Path) -> None:
    async def story() -> None:
        refused = Request("drain", {"path": "eth0", "force": True})
        hired = Hired(tmp_path, orders=(refused,), log_level=logging.DEBUG)
        member = await hired.ready()
        member.tell(Stop())
        await hired.end()
        line = Logged(logging.DEBUG, "omtcp.workers", "drain: no path is left")
        assert hired.logged == [(3, line)]

    run(story)


def test_what_lies_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what strangers have uploaded."""
    for name in ("omtcp", "asyncio", "click", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)

    async def story() -> None:
        hired = Hired(tmp_path)
        member = await hired.ready()
        member.tell(Stop())
        assert await hired.end() == 0

    run(story)


def test_the_trace_is_a_file_of_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        hired = Hired(tmp_path, events=tmp_path / "events.jsonl")
        member = await hired.ready()
        member.tell(Stop())
        await hired.end()

    run(story)
    (header,) = (tmp_path / "events.3.jsonl").read_text().splitlines()
    assert header.endswith('"paths": ["", ""], "worker": 3}')


def test_it_does_without_what_prepares_hosts() -> None:
    """Which would take a third of its memory, and of the time that it takes to start."""
    code = "import omtcp.workers.worker, sys; sys.exit('pyroute2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
