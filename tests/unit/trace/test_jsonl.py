"""Events as JSON lines."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from omtcp.errors import SetupError
from omtcp.trace import events, jsonl
from omtcp.trace.events import (
    ConnectionOpened,
    Event,
    PathChosen,
    PathRestored,
    PathSuspect,
    WindowChanged,
)
from omtcp.trace.jsonl import JsonLines, event_name


def lines(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [
        json.loads(line, parse_constant=refuse)
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def every_event() -> list[Event]:
    """One of each kind."""
    samples: dict[object, object] = {
        int: 1,
        str: "x",
        float: 0.5,
        bool: True,
        tuple[float, ...]: (1.0, 2.0),
        tuple[int, ...]: (0, 1),
        tuple[tuple[int, ...], ...]: ((0, 1), (2,)),
    }
    kinds = Event.__subclasses__()
    assert len(kinds) >= 13
    return [kind(*(samples[field.type] for field in fields(kind))) for kind in kinds]


def test_the_first_line_describes_the_file(tmp_path: Path) -> None:
    JsonLines(tmp_path / "e", paths=["veth0@10.0.0.1", "veth1"]).close()
    assert lines(tmp_path / "e") == [
        {
            "format": "omtcp-events",
            "version": 1,
            "time_unit": "ns",
            "paths": ["veth0@10.0.0.1", "veth1"],
        }
    ]


def test_an_event_is_a_line(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "e", paths=[])
    sink(17, 3, PathChosen(path=1, previous=0, reason="capacity", scores=(1.5, 2.0)))
    sink.close()
    assert lines(tmp_path / "e")[1:] == [
        {
            "time_ns": 17,
            "connection": 3,
            "name": "path_chosen",
            "data": {"path": 1, "previous": 0, "reason": "capacity", "scores": [1.5, 2.0]},
        }
    ]


def test_every_kind_of_event_can_be_written(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "e", paths=[])
    everything = every_event()
    for event in everything:
        sink(0, 0, event)
    sink.close()
    written = lines(tmp_path / "e")[1:]
    assert [line["name"] for line in written] == [event_name(type(e)) for e in everything]
    for line, event in zip(written, everything, strict=True):
        assert list(line["data"]) == [field.name for field in fields(event)]


def test_names() -> None:
    assert event_name(WindowChanged) == "window_changed"
    assert event_name(PathSuspect) == "path_suspect"
    assert all(event_name(kind).isidentifier() for kind in Event.__subclasses__())
    assert events.Event not in Event.__subclasses__()


def test_numbers_beyond_json_are_null(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "e", paths=[])
    scores = (1.0, float("inf"), float("nan"))
    sink(0, 0, PathChosen(path=0, previous=0, reason="", scores=scores))
    sink.close()
    assert lines(tmp_path / "e")[1]["data"]["scores"] == [1.0, None, None]


def test_text_stays_one_line(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "e", paths=[])
    sink(0, 0, ConnectionOpened(peer='"\n\u2028\udc80', paths=1))
    sink.close()
    assert len((tmp_path / "e").read_bytes().split(b"\n")) == 3


def test_nothing_is_written_before_flush_or_a_full_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "PENDING_MAX", 3)
    sink = JsonLines(tmp_path / "e", paths=[])
    counts = []
    for number in range(7):
        sink(number, 0, PathRestored(path=0))
        counts.append(len(lines(tmp_path / "e")) - 1)
    assert counts == [0, 0, 3, 3, 3, 6, 6]
    sink.flush()
    assert [line["time_ns"] for line in lines(tmp_path / "e")[1:]] == list(range(7))
    sink.flush()
    sink.close()
    assert len(lines(tmp_path / "e")) == 8


def test_closing_twice_and_events_after_it_do_no_harm(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "e", paths=[])
    sink.close()
    sink(0, 0, PathRestored(path=0))
    sink.flush()
    sink.close()
    assert len(lines(tmp_path / "e")) == 1


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("old\n" * 100)
    JsonLines(tmp_path / "e", paths=[]).close()
    assert len(lines(tmp_path / "e")) == 1


@pytest.mark.parametrize("name", ["none/e", "", ".", "a\0b"])
def test_a_file_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match=r"cannot write events to .*: "):
        JsonLines(f"{tmp_path}/{name}", paths=[])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_reported_once_and_ends_the_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = JsonLines("/dev/full", paths=[])
    for _ in range(3):
        sink(0, 0, PathRestored(path=0))
        sink.flush()
    sink.close()
    [record] = caplog.records
    assert record.getMessage() == (
        "no more events are written to /dev/full: No space left on device"
    )


def test_short_writes_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = JsonLines(tmp_path / "e", paths=[])
    assert sink._file is not None
    write = sink._file.write

    class Slow:
        """Takes seven bytes at a time."""

        def write(self, data: memoryview) -> int:
            return write(data[:7]) or 0

        def close(self) -> None:
            assert file is not None
            file.close()

    file = sink._file
    monkeypatch.setattr(sink, "_file", Slow())
    for number in range(5):
        sink(number, 0, PathRestored(path=0))
    sink.close()
    assert [line["time_ns"] for line in lines(tmp_path / "e")[1:]] == list(range(5))
