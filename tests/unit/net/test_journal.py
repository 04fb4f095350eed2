import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from omtcp.errors import SetupError
from omtcp.net import journal as journal_module
from omtcp.net.changes import Change, Setting
from omtcp.net.journal import JournalDirectory
from omtcp.net.netlink import Rule

CHANGES: list[Change] = [
    Setting(key="net/ipv4/conf/eth0/forwarding", old="0", new="1"),
    Rule(family=4, priority=1000, table=41000, incoming="omtcp0"),
]


@pytest.fixture
def directory(tmp_path: Path) -> JournalDirectory:
    return JournalDirectory(tmp_path / "omtcp")


def edit(directory: JournalDirectory, **changes: Any) -> None:
    (path,) = directory.path.glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_nothing_to_survey(directory: JournalDirectory) -> None:
    with directory.locked():
        survey = directory.survey()
    assert survey.running == ()
    assert survey.left == ()


def test_a_locked_journal_is_somebody_running(directory: JournalDirectory) -> None:
    with directory.locked():
        journal = directory.begin("198.51.100.80", CHANGES)
        survey = directory.survey()
        assert survey.left == ()
        assert survey.running == (journal.record,)
        assert journal.record.pid == os.getpid()
        assert survey.kept() == CHANGES
        assert survey.kept(but="198.51.100.80") == []
        assert survey.kept(but="198.51.100.81") == CHANGES
        journal.remove()
        journal.remove()
        assert directory.survey().running == ()


def test_an_unlocked_journal_was_left(directory: JournalDirectory) -> None:
    with directory.locked():
        journal = directory.begin("2001:db8::80", CHANGES)
        journal.release()
        journal.release()
        survey = directory.survey()
        assert survey.running == ()
        ((path, record),) = survey.left
        assert record == journal.record
        assert path.exists()


def test_a_new_journal_takes_the_place_of_the_old(directory: JournalDirectory) -> None:
    with directory.locked():
        directory.begin("198.51.100.80", CHANGES).release()
        second = directory.begin("198.51.100.80", CHANGES[:1])
        survey = directory.survey()
        assert survey.running == (second.record,)
        assert survey.left == ()
        second.remove()
    assert not list(directory.path.glob("*.json"))
    assert not list(directory.path.glob("*.draft"))


@pytest.mark.parametrize(
    "damage",
    [
        {"boot": "another"},
        {"cookie": -1},
        {"version": 0},
        {"changes": [{"kind": "unheard of"}]},
        {"changes": None},
    ],
)
def test_what_is_not_of_this_host_is_dropped(
    directory: JournalDirectory, damage: dict[str, Any]
) -> None:
    with directory.locked():
        directory.begin("198.51.100.80", CHANGES).release()
        edit(directory, **damage)
        assert directory.survey().left == ()
    assert not list(directory.path.glob("*.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_file_is_dropped(directory: JournalDirectory, content: bytes) -> None:
    with directory.locked():
        directory.begin("198.51.100.80", CHANGES).release()
        (path,) = directory.path.glob("*.json")
        path.write_bytes(content)
        assert directory.survey().left == ()
    assert not path.exists()


def test_a_draft_is_no_journal(directory: JournalDirectory, monkeypatch: Any) -> None:
    """A kill before the file has its name: nothing had been changed then."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with directory.locked():
        with pytest.raises(SetupError, match="No space left on device"):
            directory.begin("198.51.100.80", CHANGES)
        survey = directory.survey()
        assert survey.left == ()
        assert survey.running == ()
    assert list(directory.path.iterdir()) == []


def test_the_lock_keeps_others_out(directory: JournalDirectory) -> None:
    with directory.locked():
        (lock,) = directory.path.glob("*.lock")
        with lock.open("rb") as file:
            assert not journal_module._try_lock(file.fileno())


def test_the_lock_stays_while_there_is_a_journal(directory: JournalDirectory) -> None:
    with directory.locked():
        journal = directory.begin("198.51.100.80", CHANGES)
    (lock,) = directory.path.glob("*.lock")
    with lock.open("rb") as file:
        assert journal_module._try_lock(file.fileno())
    with directory.locked():
        journal.remove()
    assert list(directory.path.iterdir()) == []


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(
    directory: JournalDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, removals = fcntl.flock, 2

    def flock(fd: int, operation: int) -> None:
        nonlocal removals
        real(fd, operation)
        if removals:
            removals -= 1
            for lock in directory.path.glob("*.lock"):
                lock.unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with directory.locked():
        assert removals == 0
        assert len(list(directory.path.glob("*.lock"))) == 1


def test_no_directory_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    directory = JournalDirectory(tmp_path / "file" / "omtcp")
    with pytest.raises(SetupError, match="cannot keep a journal in"), directory.locked():
        pass
