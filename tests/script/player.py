"""Plays a packet script against an endpoint, in virtual time; the language is in `language`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import NamedTuple

from omtcp.core.config import Config, Coupling, LossCorrection, Mode, PrimaryRule
from omtcp.core.connection import Connection
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Event
from omtcp.sim.packets import cut
from omtcp.trace.events import Event as TraceEvent
from omtcp.trace.events import MetricsUpdated
from omtcp.wire.icmp import IcmpKind, IcmpMessage
from omtcp.wire.seq import seq_add, seq_diff
from omtcp.wire.tcp import ACK, FIN, RST, SYN, Segment

from .language import MS, Line, Packet, Script, parse

HERE, THERE = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
PORT, PEER_PORT = 80, 40_000
START = 10_000_000_000
IRS = 0xFFFF_F000
"""The peer's initial sequence number: scripts that receive 4 KB cross the wrap."""
FLAGS = {"S": SYN, "F": FIN, "R": RST, ".": ACK}
_ENUMS = {"mode": Mode, "coupling": Coupling, "loss_correction": LossCorrection,
          "primary_rule": PrimaryRule}  # fmt: skip


class Sent(NamedTuple):
    """A packet that left: when, over which path, and what, with relative numbers."""

    now: int
    path: int
    segment: Segment
    seq: int
    length: int
    ack: int


class Player:
    """One endpoint, the peer that the script plays, and the clock."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.now = START
        self._mark = START
        self._config = Config(keepalive_ns=0)
        self._mtus = [1500]
        self._endpoint: Endpoint | None = None
        self._connection: Connection | None = None
        self._iss: int | None = None
        self._sent: list[Sent] = []
        self._events: list[Event] = []
        self._trace: list[TraceEvent] = []
        self._window_shift = 0
        self._first_timestamp = 0
        self._written = 0
        self._line: Line | None = None

    def play(self) -> None:
        """Run the whole script; AssertionError tells the line that did not hold."""
        for line in self.script.lines:
            self._line = line
            if line.verb in ("config", "paths"):
                self._configure(line)
                continue
            if line.at is not None:
                self._advance(line)
            self._do(line)
        self._nothing_left("at the end")

    def _do(self, line: Line) -> None:
        if line.verb == "<":
            assert line.packet is not None
            self._inject(line.packet)
        elif line.verb in (">", ">~"):
            assert line.packet is not None
            self._expect(line.packet, anywhere=line.verb == ">~")
        elif line.verb == "-":
            self._nothing_left("before the silence")
            self._run_until(self.now + int(float(line.rest) * MS))
            self._nothing_left("during the silence")
            self._mark = self.now
        elif line.verb == "~":
            self._run_until(self.now + int(float(line.rest) * MS))
            self._mark = self.now
        elif line.verb == "!":
            for verb in line.rest.split(";"):
                self._apply(verb.strip().removeprefix("!").split())
        else:
            self._check(line.rest)

    def _fail(self, why: str) -> AssertionError:
        line = self._line
        where = f"{self.script.name}:{line.number}: {line.text}" if line else self.script.name
        seen = "\n".join(f"    {self._show(sent)}" for sent in self._sent) or "    nothing"
        return AssertionError(f"{where}\n  {why}\n  sent and not yet expected:\n{seen}")

    @staticmethod
    def _show(sent: Sent) -> str:
        segment = sent.segment
        flags = "".join(name for name, bit in FLAGS.items() if segment.flags & bit)
        extra = f" sack {segment.sack}" if segment.sack else ""
        extra += f" ts {segment.timestamps}" if segment.timestamps else ""
        return (
            f"{(sent.now - START) / MS:.3f} ms [{sent.path}] {flags}"
            f" {sent.seq}:{sent.seq + sent.length} ack {sent.ack} win {segment.window}{extra}"
        )

    # Time

    def _configure(self, line: Line) -> None:
        if line.verb == "paths":
            numbers = [int(word) for word in line.rest.split()]
            self._mtus = [1500] * numbers[0] if numbers[0] < 100 else numbers
            return
        for word in line.rest.split():
            name, _, text = word.partition("=")
            options = _option(name, text)
            self._config = replace(self._config, **options)  # type: ignore[arg-type]  # as written

    def _advance(self, line: Line) -> None:
        assert line.at is not None
        base = self._mark if line.relative else START
        at = base + int(line.at * MS)
        expects = line.verb in (">", ">~")
        self._nothing_left("before this line")
        if not expects:
            self._run_until(at)
            self._nothing_left("before this line's time")
        else:  # deadlines of that very instant are what is expected
            self._run_until(at - 1)
            self._nothing_left("before this line's time")
            self._run_until(at)
        self._mark = at

    def _run_until(self, end: int) -> None:
        endpoint = self.endpoint
        for _ in range(10_000):
            at = endpoint.poll_timeout()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            endpoint.handle_timeout(self.now)
            self._drain()
        else:
            raise self._fail("deadlines without end")
        self.now = max(self.now, end)

    @property
    def endpoint(self) -> Endpoint:
        """Made when it is first needed, after all `config` lines."""
        if self._endpoint is None:
            self._endpoint = Endpoint(
                self._config,
                HERE,
                self._mtus,
                secret=b"0123456789abcdef",
                random=Random(self.script.name).random,
                sink=self._sink,
            )
            self._endpoint.listen(PORT)
        return self._endpoint

    def _sink(self, now: int, connection: int, event: TraceEvent) -> None:
        if not isinstance(event, MetricsUpdated):
            self._trace.append(event)

    # What happens

    def _inject(self, packet: Packet) -> None:
        iss = self._iss or 0
        flags = sum(FLAGS[flag] for flag in packet.flags)
        assert packet.seq is not None
        length = packet.end - packet.seq
        data = bytes((packet.seq + i) % 251 for i in range(length))
        segment = Segment(
            PEER_PORT,
            self._port,
            seq_add(IRS, packet.seq),
            seq_add(iss, packet.ack or 0) if flags & ACK else 0,
            flags,
            0xFFFF if packet.window is None else packet.window,
            mss=packet.mss,
            window_scale=packet.scale,
            sack_permitted=bool(packet.sack_permitted),
            sack=tuple((seq_add(iss, a), seq_add(iss, b)) for a, b in packet.sack or ()),
            timestamps=(packet.timestamps[0], packet.timestamps[1] or 0)
            if packet.timestamps
            else None,
            payload=(data,) if data else (),
            length=length,
        )
        self.endpoint.handle_segment(self.now, THERE, segment)
        self._drain()

    @property
    def _port(self) -> int:
        return self._connection.flow.local_port if self._connection else PORT

    def _apply(self, words: list[str]) -> None:
        verb, *arguments = words
        connection = self._connection
        if verb == "connect":
            self._connection = self.endpoint.connect(self.now, THERE, PEER_PORT)
        else:
            assert connection is not None, "no connection yet"
            verbs: dict[str, Callable[[], object]] = {
                "write": lambda: self._write(connection, int(arguments[0])),
                "read": lambda: self._read(connection, int(arguments[0])),
                "close": connection.close,
                "abort": connection.abort,
                "too_big": lambda: self._too_big(arguments[0], int(arguments[1])),
            }
            if verb not in verbs:
                raise self._fail(f"no such verb: {verb}")
            verbs[verb]()
            self.endpoint.touch(connection)
        self._drain()

    def _write(self, connection: Connection, size: int) -> None:
        connection.write(bytes((1 + self._written + i) % 251 for i in range(size)))
        self._written += size

    def _read(self, connection: Connection, size: int) -> None:
        got = connection.read(1 << 20)
        if len(got) != size:
            raise self._fail(f"read {len(got)} bytes, not {size}")

    def _too_big(self, span: str, mtu: int) -> None:
        first = int(span.partition(":")[0])
        message = IcmpMessage(
            kind=IcmpKind.TOO_BIG,
            version=4,
            code=4,
            source=HERE,
            destination=THERE,
            source_port=self._port,
            destination_port=PEER_PORT,
            seq=seq_add(self._iss or 0, first),
            mtu=mtu,
        )
        self.endpoint.handle_icmp(self.now, message)

    def _drain(self) -> None:
        endpoint = self.endpoint
        while (accepted := endpoint.poll_accept()) is not None:
            self._connection = accepted
        for _ in range(100):
            ready = endpoint.poll_ready()
            while (reply := endpoint.poll_reply()) is not None:
                self._note(0, reply.segment)
            if not ready:
                return
            for connection in ready:
                while (transmit := connection.poll_transmit(self.now)) is not None:
                    for piece in cut(transmit.segment, transmit.segment_size):
                        self._note(transmit.path, piece)
                while (event := connection.poll_event()) is not None:
                    self._events.append(event)
                endpoint.settle(self.now, connection)
            while (accepted := endpoint.poll_accept()) is not None:
                self._connection = accepted
        raise self._fail("the endpoint is never done")

    def _note(self, path: int, segment: Segment) -> None:
        if segment.flags & SYN:
            self._iss = segment.seq
            self._window_shift = segment.window_scale or 0
            self._first_timestamp = segment.timestamps[0] if segment.timestamps else 0
            # A new connection's own numbers start again.
            self._written = 0 if segment.flags & ACK else self._written
        self._sent.append(
            Sent(
                self.now,
                path,
                segment,
                seq_diff(segment.seq, self._iss) if self._iss is not None else segment.seq,
                segment.length,
                seq_diff(segment.ack, IRS) if segment.flags & ACK else 0,
            )
        )

    # What is expected

    def _nothing_left(self, when: str) -> None:
        if self._sent:
            raise self._fail(f"something was sent that nobody expected {when}")

    def _expect(self, packet: Packet, *, anywhere: bool) -> None:
        why = "nothing was sent"
        for index in range(len(self._sent) if anywhere else min(len(self._sent), 1)):
            found = self._gather(index, packet)
            why = self._differs(found, packet)
            if not why:
                del self._sent[index : index + len(found)]
                self._check_data(found)
                return
        raise self._fail(why)

    def _gather(self, index: int, packet: Packet) -> list[Sent]:
        """The packets from `index` on that together cover the range expected."""
        first = self._sent[index]
        found = [first]
        if packet.seq is None:
            return found
        while found[-1].seq + found[-1].length < packet.end and index + len(found) < len(
            self._sent
        ):
            following = self._sent[index + len(found)]
            last = found[-1]
            if following.path != last.path or following.seq != last.seq + last.length:
                break
            found.append(following)
        return found

    def _differs(self, found: list[Sent], packet: Packet) -> str:
        """Why what was found is not what is expected; empty if it is."""
        first, last = found[0], found[-1]
        segment = last.segment
        flags = "".join(sorted(name for name, bit in FLAGS.items() if segment.flags & bit))
        ack_matters = "." in packet.flags and not packet.any_ack
        checks: list[tuple[str, object, object]] = [
            ("flags", packet.flags, flags),
            ("start", packet.seq, first.seq if packet.seq is not None else None),
            ("end", packet.end, last.seq + last.length if packet.seq is not None else packet.end),
            ("path", packet.path, first.path if packet.path is not None else None),
            ("ack", packet.ack, last.ack if ack_matters else packet.ack),
        ]
        for name in ("mss", "window_scale", "sack", "timestamps"):
            wanted = getattr(packet, {"window_scale": "scale"}.get(name, name))
            if wanted is None:
                continue
            got = getattr(segment, name)
            if name == "sack":
                got = tuple((seq_diff(a, IRS), seq_diff(b, IRS)) for a, b in got)
            if name == "timestamps" and got is not None:
                value = seq_diff(got[0], self._first_timestamp)
                got = (value, None if wanted[1] is None else got[1])
            checks.append((name, wanted, got))
        if packet.sack_permitted:
            checks.append(("sack permitted", True, segment.sack_permitted))
        if packet.without:
            present = {"nots": segment.timestamps is not None,
                       "nosack": bool(segment.sack) or segment.sack_permitted}  # fmt: skip
            checks += [(name, False, present[name]) for name in packet.without]
        if packet.window is not None:
            window = segment.window << (0 if segment.flags & SYN else self._window_shift)
            least = packet.window_least and window >= packet.window
            checks.append(("window", packet.window, packet.window if least else window))
        wrong = [f"{name} {got}, not {wanted}" for name, wanted, got in checks if wanted != got]
        return "; ".join(wrong)

    def _check_data(self, found: list[Sent]) -> None:
        """Every byte on the wire is the byte that was written, wherever it is cut."""
        for sent in found:
            if sent.segment.flags & SYN or sent.seq < 1:
                continue
            data = b"".join(sent.segment.payload)
            if data != bytes((sent.seq + i) % 251 for i in range(sent.length)):
                raise self._fail(f"wrong bytes at {sent.seq}")

    def _check(self, text: str) -> None:
        words = text.split()
        if words[0] == "event":
            names = [type(event).__name__ for event in self._events]
            if words[1] not in names:
                raise self._fail(f"no event {words[1]}, only {names}")
            del self._events[: names.index(words[1]) + 1]
        elif words[:2] == ["no", "trace"]:
            found = [event for event in self._trace if type(event).__name__ == words[2]]
            if found:
                raise self._fail(f"there was {found[0]}")
            self._trace.clear()
        elif words[0] == "trace":
            self._check_trace(words[1], [word.partition("=")[::2] for word in words[2:]])
        else:
            state = self._connection.state.name if self._connection else "CLOSED"
            if state != words[0]:
                raise self._fail(f"the state is {state}")

    def _check_trace(self, name: str, fields: list[tuple[str, str]]) -> None:
        for index, event in enumerate(self._trace):
            if type(event).__name__ != name:
                continue
            if all(str(getattr(event, key)) == value for key, value in fields):
                del self._trace[: index + 1]
                return
        raise self._fail(f"not in the trace: {self._trace}")


def _option(name: str, text: str) -> dict[str, object]:
    """A keyword of Config from its text: `time_wait=2s` is time_wait_ns."""
    for unit, factor in (("ms", MS), ("s", 1000 * MS)):
        digits = text.removesuffix(unit)
        if text.endswith(unit) and digits.isdigit():
            return {f"{name}_ns": int(digits) * factor}
    if name in _ENUMS:
        return {name: _ENUMS[name](text)}
    if text in ("yes", "no"):
        return {name: text == "yes"}
    return {name: int(text) if text.isdigit() else text}


def play(name: str, text: str) -> None:
    """Parse and run."""
    Player(parse(name, text)).play()
