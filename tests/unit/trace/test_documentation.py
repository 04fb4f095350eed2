"""docs/serve.md tells of every event and every field, and of no others."""

import re
from dataclasses import fields
from pathlib import Path

from omtcp.trace import events
from omtcp.trace.events import Event
from omtcp.trace.jsonl import FORMAT, VERSION, event_name

DOCUMENT = Path(__file__).parents[3] / "docs" / "serve.md"


def kinds() -> dict[str, list[str]]:
    """Fields of every event, by its name in the file."""
    found = [kind for kind in vars(events).values() if isinstance(kind, type)]
    return {
        event_name(kind): [field.name for field in fields(kind)]
        for kind in found
        if issubclass(kind, Event) and kind is not Event
    }


def test_the_table_and_the_classes_are_in_step() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*) \| [^|]+ \|$", text, re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", listed) for name, listed in rows}
    assert documented == kinds()


def test_the_header_is_the_one_that_is_written() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f'{{"format": "{FORMAT}", "version": {VERSION}, "time_unit": "ns", "paths":' in text
