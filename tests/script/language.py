"""Packet scripts: a dialogue with an endpoint as text, one file per example.

A line is a time and what happens then. Times are milliseconds since the line before, `+40`, or
since the start, `@1500`; a line without a time follows at once. Lines:

    config time_wait=2s mode=pooled        options of the endpoint; before anything else
    paths 2                                how many; `paths 1500 1400` gives their MTUs
    < S 0 <mss 1460,wscale 7,sack>         inject: flags, sequence range, ack, window, options
    < . 1:1001(1000) ack 1 win 512
    < F. 1 ack 1001                        a FIN or SYN takes a number that its range omits
    > [1] S. 0 ack 1 <mss 1460>            expect, over path 1
    > . 1001:2001 ack 1 <sack 3001:4001>   a range may be cut or gathered in any way
    > . 5 ack 1                            no length: none
    - 200                                  expect nothing for so many ms
    ~ 20                                   let so many ms pass, whatever is sent
    ! write 1000; ! read 5; ! close; ! abort; ! connect
    ! too_big 1:1461 1300                  ICMP: the packet with that range, the MTU it met
    = ESTABLISHED                          the state
    = event Readable                       that event came since the last such line
    = trace PathSuspect path=1             that trace event came since the last such line
    = no trace Retransmission              none since the last `= trace` or `= no trace`

Flags are as tcpdump has them: S F R P and `.` for ACK; P is not compared. Numbers are relative:
the peer's SYN and ours are 0 in their own directions. Options that a script does not name are not
compared; `nots`, `nosack` say that the option must be absent. `*` stands for any number, `win >=N`
compares the window announced, in bytes. `ts 100` is a TSval and `ts 100 7` adds a TSecr; ours
count from the SYN's.

What an expectation does not mention must not be sent: at each line with a time, and at the end,
nothing may be left over. Segments are expected in the order in which they are sent, unless the
line says `>~`: then it may come at any place of those that are due.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

MS = 1_000_000

_LINE = re.compile(
    r"(?:(?P<when>[+@][\d.]+)\s+)?"
    r"(?P<verb>config|paths|<|>~?|-|~|!|=)\s*(?P<rest>.*)"
)
_SEGMENT = re.compile(
    r"(?:\[(?P<path>\d+)\]\s*)?"
    r"(?P<flags>[SFRP.]+)\s+"
    r"(?P<seq>\*|-?\d+)(?::(?P<end>-?\d+))?(?:\(\d+\))?"
    r"(?:\s+ack\s+(?P<ack>\*|-?\d+))?"
    r"(?:\s+win\s+(?P<win>(?:>=)?\d+))?"
    r"(?:\s+<(?P<options>[^>]*)>)?\s*"
)


class ScriptError(Exception):
    """A script that cannot be understood."""


@dataclass(slots=True, kw_only=True)
class Packet:
    """A segment as written; None for what was left open."""

    path: int | None = None
    flags: str = "."
    seq: int | None = 0
    end: int = 0
    ack: int | None = None
    any_ack: bool = False
    window: int | None = None
    window_least: bool = False
    mss: int | None = None
    scale: int | None = None
    sack_permitted: bool | None = None
    sack: tuple[tuple[int, int], ...] | None = None
    timestamps: tuple[int, int | None] | None = None
    without: frozenset[str] = frozenset()


class Line(NamedTuple):
    """One line: where it stands, when it happens (ms), and what."""

    number: int
    text: str
    at: float | None
    relative: bool
    verb: str
    rest: str
    packet: Packet | None


@dataclass(slots=True)
class Script:
    """A parsed file."""

    name: str
    lines: list[Line] = field(default_factory=list)


def parse(name: str, text: str) -> Script:
    """Read a script; ScriptError names the line that is wrong."""
    script = Script(name)
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.split("#", 1)[0].strip()
        if not stripped:
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ScriptError(f"{name}:{number}: cannot read {raw!r}")
        when, verb, rest = match["when"], match["verb"], match["rest"].strip()
        packet = None
        if verb in ("<", ">", ">~"):
            packet = parse_packet(rest, f"{name}:{number}")
        at = float(when[1:]) if when else None
        script.lines.append(
            Line(number, stripped, at, bool(when) and when[0] == "+", verb, rest, packet)
        )
    return script


def parse_packet(text: str, where: str) -> Packet:
    """One segment."""
    match = _SEGMENT.fullmatch(text)
    if match is None:
        raise ScriptError(f"{where}: cannot read the segment {text!r}")
    packet = Packet(flags="".join(sorted(match["flags"].replace("P", ""))))
    packet.path = int(match["path"]) if match["path"] else None
    packet.seq = None if match["seq"] == "*" else int(match["seq"])
    packet.end = int(match["end"]) if match["end"] else (packet.seq or 0)
    if match["ack"] == "*":
        packet.any_ack = True
    elif match["ack"]:
        packet.ack = int(match["ack"])
    if match["win"]:
        packet.window_least = match["win"].startswith(">=")
        packet.window = int(match["win"].removeprefix(">="))
    without = set()
    for option in filter(None, (part.strip() for part in (match["options"] or "").split(","))):
        word, _, value = option.partition(" ")
        if word == "mss":
            packet.mss = int(value)
        elif word == "wscale":
            packet.scale = int(value)
        elif word == "sack" and not value:
            packet.sack_permitted = True
        elif word == "sack":
            packet.sack = tuple(_edges(block, where) for block in value.split())
        elif word == "ts":
            first, _, second = value.partition(" ")
            packet.timestamps = (int(first), int(second) if second else None)
        elif word in ("nots", "nosack"):
            without.add(word)
        else:
            raise ScriptError(f"{where}: no such option {option!r}")
    packet.without = frozenset(without)
    return packet


def _edges(text: str, where: str) -> tuple[int, int]:
    left, colon, right = text.partition(":")
    if not colon:
        raise ScriptError(f"{where}: a SACK block is LEFT:RIGHT, not {text!r}")
    return int(left), int(right)
