"""Plays every packet script of tests/script/packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from .language import ScriptError, parse
from .player import play

SCRIPTS = sorted((Path(__file__).parent / "packets").glob("*.pkt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    play(path.name, path.read_text(encoding="utf-8"))


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 40


@pytest.mark.parametrize(
    "text",
    ["what?", "< X 0", "> S", "< . 1 <mss>", "< . 1 <colour 3>", "> . 1 <sack 5>", "+ 5 < . 1"],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises((ScriptError, ValueError)):
        parse("nonsense", text)


HANDSHAKE = "< S 0 <mss 1460,sack>\n> S. 0 ack 1\n< . 1 ack 1\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("> . 1 ack 1", "nothing was sent"),
        ("! write 10\n> . 1:12 ack 1", "end 11, not 12"),
        ("! write 10\n> F. 1:11 ack 1", "flags"),
        ("! write 10\n> . 1:11 ack 2", "ack 1, not 2"),
        ("! write 10\n> [1] . 1:11 ack 1", "path 0, not 1"),
        ("! write 10", "nobody expected at the end"),
        ("! write 10\n+1 < . 1 ack 11", "nobody expected before this line"),
        ("! write 10\n- 10", "before the silence"),
        ("= CLOSED", "the state is ESTABLISHED"),
        ("= trace PathSuspect", "not in the trace"),
        ("= no trace ConnectionOpened", "there was"),
        ("= event Closed", "no event Closed"),
        ("! read 5", "read 0 bytes"),
    ],
)
def test_what_does_not_hold_is_told(line: str, complaint: str) -> None:
    """A runner that accepts everything would test nothing."""
    with pytest.raises(AssertionError, match=complaint):
        play("example", HANDSHAKE + line)
