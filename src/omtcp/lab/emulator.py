"""The links of the lab: a process that carries frames between packet sockets in real time.

It runs in a namespace of its own between the server's and the client's veth ends. Frames from
uplink i cross the i-th forward link to the client; everything from the client crosses the one
return link to the uplink that the client chose. The process is started by `Emulator` (control.py)
and speaks with it over its standard input and output: one pickled `Plan`, then words.
"""

import gc
import json
import os
import pickle
import select
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from time import monotonic_ns, sleep

from omtcp.lab.processes import die_with_parent, precise_timers, prefer_over_others, say
from omtcp.lab.script import RETURN, Step
from omtcp.link.config import LinkConfig
from omtcp.link.pipe import Pipe

_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_BUFFER_BYTES = 64 << 20
_MAX_FRAME = 65_600
_BATCH = 64
_SAMPLE_NS = 50_000_000
_IDLE_NS = 20_000_000
_QUANTUM_NS = 100_000
"""The least time between two rounds: waking costs more than a frame, so frames share a round."""
_LATE_NS = 1_000_000
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_CE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the emulator is to do.

    uplinks and macs: the device towards the server per uplink, and the address of the server's end.
    client and client_mac: the same for the client. forward, back: the links. back_on: the uplink
    that the return traffic takes. script: changes, timed from the start signal.
    """

    uplinks: tuple[str, ...]
    macs: tuple[bytes, ...]
    client: str
    client_mac: bytes
    forward: tuple[LinkConfig, ...]
    back: LinkConfig
    back_on: int
    script: tuple[Step, ...]
    seed: int


class Port:
    """A packet socket on one veth end; frames that it sends go to `mac`."""

    def __init__(self, device: str, mac: bytes) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
        self.socket.bind((device, _ETH_P_ALL))
        self.socket.setblocking(False)
        self.mac = mac
        self.refused = 0

    def send(self, frame: bytes) -> None:
        try:
            self.socket.send(self.mac + frame[6:])
        except OSError:  # a full or vanished device loses frames, as devices do
            self.refused += 1

    def overruns(self) -> int:
        """Frames that the kernel dropped because we did not read in time."""
        _, drops = struct.unpack("II", self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return int(drops)


def ecn_of(frame: bytes) -> int:
    """The ECN codepoint of an Ethernet frame, 0 if it carries neither IPv4 nor IPv6."""
    if frame[12:14] == _IPV4:
        return frame[15] & 3
    if frame[12:14] == _IPV6:
        return frame[15] >> 4 & 3
    return 0


def mark_frame(frame: bytes) -> bytes:
    """The frame with congestion experienced set (RFC 3168), the IPv4 checksum adjusted."""
    marked = bytearray(frame)
    if frame[12:14] == _IPV6:
        marked[15] |= _CE << 4
        return bytes(marked)
    old = frame[15]
    marked[15] = old | _CE
    # RFC 1624: HC' = ~(~HC + ~m + m'), the word's upper byte unchanged
    (checksum,) = struct.unpack_from("!H", frame, 24)
    total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + marked[15]
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", marked, 24, ~total & 0xFFFF)
    return bytes(marked)


class Emulation:
    """The links between the ports, and the script that changes them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._uplinks = [
            Port(device, mac) for device, mac in zip(plan.uplinks, plan.macs, strict=True)
        ]
        self._client = Port(plan.client, plan.client_mac)
        self._back_port = self._uplinks[plan.back_on]
        self._pipes: dict[str, Pipe[bytes]] = {
            name: Pipe(config, Random(f"{plan.seed}/{name}"), mark_frame)
            for name, config in zip(
                [*map(str, range(len(plan.forward))), RETURN],
                [*plan.forward, plan.back],
                strict=True,
            )
        }
        self._back = self._pipes[RETURN]
        self._forward = [self._pipes[str(index)] for index in range(len(plan.forward))]
        self._inputs: dict[int, tuple[Callable[[int], bytes], Pipe[bytes]]] = {
            port.socket.fileno(): (port.socket.recv, pipe)
            for port, pipe in zip(
                [*self._uplinks, self._client], [*self._forward, self._back], strict=True
            )
        }
        self._started: int | None = None
        self._pending: list[Step] = []
        self._next_sample = 0
        self._running = True
        self.samples: list[tuple[int, list[tuple[int, int, int]]]] = []
        self.applied: list[tuple[int, str]] = []
        self._rounds = self._late = self._worst_ns = 0

    def run(self, control: int) -> None:
        """Carries frames until `control` says stop or is closed."""
        fds = [control, *self._inputs]
        now = 0
        while self._running:
            early = now + _QUANTUM_NS - monotonic_ns()
            if early > 0:
                sleep(early / 1e9)
            timeout = max(self._deadline() - monotonic_ns(), 0) / 1e9
            ready, _, _ = select.select(fds, [], [], timeout)
            now = monotonic_ns()
            for fd in ready:
                if fd == control:
                    self._obey(os.read(control, 64), now)
                else:
                    self._read(*self._inputs[fd], now)
            self._deliver()
            if self._pending and self._pending[0].at_ns <= now:
                self._apply(now)
            if self._started is not None and self._next_sample <= now:
                self._sample(now)

    def _deadline(self) -> int:
        deadline = monotonic_ns() + _IDLE_NS
        for pipe in self._pipes.values():
            due = pipe.next_delivery()
            if due is not None and due < deadline:
                deadline = due
        if self._pending:
            deadline = min(deadline, self._pending[0].at_ns)
        return deadline

    def _read(self, receive: Callable[[int], bytes], pipe: Pipe[bytes], now: int) -> None:
        """Takes a batch of frames off one device; multicast (discovery) stays on its wire."""
        marking = pipe.link.config.mark_bytes is not None
        try:
            for _ in range(_BATCH):
                frame = receive(_MAX_FRAME)
                if not frame[0] & 1:
                    ect = marking and ecn_of(frame) != 0
                    pipe.send(now, frame, len(frame), ect)
        except BlockingIOError:
            pass

    def _deliver(self) -> None:
        now = monotonic_ns()
        for pipe in self._forward:
            self._drain(pipe, self._client, now)
        self._drain(self._back, self._back_port, now)

    def _drain(self, pipe: Pipe[bytes], port: Port, now: int) -> None:
        due = pipe.next_delivery()
        if due is None or due > now:
            return
        self._rounds += 1
        lateness = now - due
        if lateness > _LATE_NS:
            self._late += 1
            self._worst_ns = max(self._worst_ns, lateness)
        while (frame := pipe.poll_delivery(now)) is not None:
            port.send(frame)

    def _obey(self, order: bytes, now: int) -> None:
        """`start TIME` begins the script, `stop` or the end of the input ends everything."""
        if order.startswith(b"start"):
            self._started = int(order.split()[1])
            self._next_sample = self._started
            self._pending = [
                replace(step, at_ns=step.at_ns + self._started) for step in self._plan.script
            ]
            self._rounds = self._late = self._worst_ns = 0
        else:
            self._running = False
            self._sample(now)

    def _apply(self, now: int) -> None:
        step = self._pending.pop(0)
        if step.reroute is not None:
            self._back_port = self._uplinks[step.reroute]
        else:
            pipe = self._pipes[step.link]
            config = replace(pipe.link.config, **step.changes)  # type: ignore[arg-type]
            pipe.configure(now, config)
        if step.label:
            self.applied.append((now, step.label))

    def _sample(self, now: int) -> None:
        self._next_sample = now + _SAMPLE_NS
        self.samples.append(
            (
                now,
                [
                    (
                        pipe.counters.delivered_bytes,
                        pipe.link.backlog(now),
                        sum(pipe.counters.dropped.values()),
                    )
                    for pipe in self._pipes.values()
                ],
            )
        )

    def report(self) -> dict[str, object]:
        """What happened, for the lab: samples, changes made, counters per link."""
        ports = [*self._uplinks, self._client]
        times = os.times()
        return {
            "links": list(self._pipes),
            "samples": self.samples,
            "applied": self.applied,
            "counters": {
                name: {
                    "offered_packets": pipe.counters.offered_packets,
                    "offered_bytes": pipe.counters.offered_bytes,
                    "delivered_packets": pipe.counters.delivered_packets,
                    "delivered_bytes": pipe.counters.delivered_bytes,
                    "marked": pipe.counters.marked,
                    "peak_backlog": pipe.counters.peak_backlog,
                    "dropped": pipe.counters.dropped,
                }
                for name, pipe in self._pipes.items()
            },
            "overruns": sum(port.overruns() for port in ports),
            "refused": sum(port.refused for port in ports),
            "late_share": self._late / max(self._rounds, 1),
            "worst_lateness_ns": self._worst_ns,
            "cpu_s": times.user + times.system,
        }


def main() -> None:
    die_with_parent()
    precise_timers()
    plan = pickle.load(sys.stdin.buffer)
    emulation = Emulation(plan)
    prefer_over_others()
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection is a pause of every link at once; nothing here makes cycles
    say("ready")
    emulation.run(sys.stdin.fileno())
    say(json.dumps(emulation.report()))


if __name__ == "__main__":
    main()
