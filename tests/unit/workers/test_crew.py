"""Several workers: they speak with one voice, and who dies is replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from omtcp.apps.snapshot import Snapshot
from omtcp.control.protocol import RefusedError, Request
from omtcp.errors import LocalError, SetupError
from omtcp.workers import crew as crews
from omtcp.workers import roster
from omtcp.workers.crew import Crew
from omtcp.workers.member import WorkerSilentError

from .crews import PATIENCE, crew, run


def pids(made: Crew) -> dict[int, int]:
    return {member.number: member.pid for member in made.roster.living}


async def until_there_are(made: Crew, count: int, *, without: int = 0) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(pids(made)) != count or without in pids(made).values():
            await asyncio.sleep(0.01)


def test_they_speak_with_one_voice(tmp_path: Path) -> None:
    async def story() -> None:
        made = crew(tmp_path, 3)
        try:
            await made.start()
            assert sorted(pids(made)) == [1, 2, 3]
            assert await made.do(Request("list", {"interval_ms": 0})) == {
                "policy": "pooled",
                "paths": [],
            }
            assert await made.snapshot() == Snapshot(uplinks={})
            with pytest.raises(LocalError, match=r"^no path is left$"):
                await made.do(Request("drain", {"path": "eth0"}))
            with pytest.raises(RefusedError, match=r"of pooled mode, not of primary$"):
                await made.do(Request("policy", {"name": "redundant"}))
            answer = await made.answer(b'{"verb": "list", "interval_ms": 0, "id": 5}\n')
            assert answer == b'{"id": 5, "ok": true, "result": {"policy": "pooled", "paths": []}}\n'
        finally:
            await made.stop()
        assert pids(made) == {}

    run(story)


def test_the_dead_are_replaced_ever_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roster, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(roster, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(roster, "LONG_LIFE", 1000.0)

    async def story() -> None:
        made = crew(tmp_path, 2)
        try:
            await made.start()
            first = pids(made)
            for _ in range(4):
                victim = pids(made)[1]
                os.kill(victim, signal.SIGKILL)
                await until_there_are(made, 2, without=victim)
            assert pids(made)[2] == first[2]
            assert await made.do(Request("list", {"interval_ms": 0})) == {
                "policy": "pooled",
                "paths": [],
            }
        finally:
            await made.stop()

    with caplog.at_level(logging.WARNING, "omtcp.workers"):
        run(story)
    pauses = [record.getMessage().rpartition(" in ")[2] for record in caplog.records]
    assert pauses == ["0.01 s", "0.02 s", "0.02 s", "0.02 s"]
    assert "worker 1 (process " in caplog.messages[0]
    assert "was killed by SIGKILL; its connections are lost" in caplog.messages[0]


def test_a_death_after_a_long_life_is_not_held_against_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roster, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(roster, "LONG_LIFE", -1.0)

    async def story() -> None:
        made = crew(tmp_path, 1)
        try:
            await made.start()
            for _ in range(2):
                victim = pids(made)[1]
                os.kill(victim, signal.SIGKILL)
                await until_there_are(made, 1, without=victim)
        finally:
            await made.stop()

    with caplog.at_level(logging.WARNING, "omtcp.workers"):
        run(story)
    assert [line.rpartition(" in ")[2] for line in caplog.messages] == ["0.01 s", "0.01 s"]


def test_one_that_hangs_is_of_no_use_to_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A question is not worth its life; that all do the same is."""
    monkeypatch.setattr(crews, "ANSWER_PATIENCE", 1.0)
    monkeypatch.setattr(roster, "FIRST_PAUSE", 0.01)

    async def story() -> None:
        made = crew(tmp_path, 2)
        try:
            await made.start()
            victim = pids(made)[2]
            os.kill(victim, signal.SIGSTOP)
            assert await made.snapshot() == Snapshot(uplinks={})
            with pytest.raises(WorkerSilentError, match=r"^worker 2 does not answer$"):
                await made._results(Request("list", {"interval_ms": 0}), 1.0)
            assert pids(made)[2] == victim
            with pytest.raises(RefusedError, match=r"^no path is left$"):
                await made._obedience(Request("drain", {"path": "eth0"}))
            await until_there_are(made, 2, without=victim)
        finally:
            await made.stop()

    with caplog.at_level(logging.WARNING, "omtcp.workers"):
        run(story)
    assert caplog.messages[0] == "worker 2 does not answer, and is killed"


def test_none_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "FIRST_PAUSE", 60.0)

    async def story() -> None:
        made = crew(tmp_path, 1)
        try:
            await made.start()
            os.kill(pids(made)[1], signal.SIGKILL)
            await until_there_are(made, 0)
            with pytest.raises(RefusedError, match=r"^no worker runs at the moment$"):
                await made.do(Request("list"))
            assert await made.snapshot() == Snapshot(uplinks={})
        finally:
            await made.stop()

    run(story)


def test_one_that_cannot_serve_keeps_all_from_starting(tmp_path: Path) -> None:
    async def story() -> None:
        made = crew(tmp_path / "none", 2)
        try:
            with pytest.raises(SetupError, match="No such file or directory"):
                await made.start()
        finally:
            await made.stop()
        assert pids(made) == {}

    run(story)


def test_one_that_hangs_is_killed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roster, "STOP_PATIENCE", 0.5)

    async def story() -> None:
        made = crew(tmp_path, 2)
        await made.start()
        os.kill(pids(made)[2], signal.SIGSTOP)
        await made.stop()
        assert pids(made) == {}

    with caplog.at_level(logging.WARNING, "omtcp.workers"):
        run(story)
    assert caplog.messages[-1] == "worker 2 does not end, and is killed"
