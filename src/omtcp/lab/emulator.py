"""The links of the lab: a process that carries frames between packet sockets in real time.

It runs in a namespace of its own between the server's and the client's veth ends. Frames from
uplink i cross the i-th forward link and, if there is one, the bottleneck to the client; everything
from the client crosses the one return link to the uplink that the client chose, or to the
competitor that it is addressed to. The process is started by `Emulator` (control.py) and speaks
with it over its standard input and output: one pickled `Plan`, then words.
"""

import gc
import json
import os
import pickle
import select
import sys
from dataclasses import replace
from random import Random
from time import monotonic_ns, sleep

from omtcp.lab.frames import destination_of, mark_frame
from omtcp.lab.junction import Junction
from omtcp.lab.plan import COMPETITOR, Plan, rival_links
from omtcp.lab.ports import FILTERS, Inlet, Port
from omtcp.lab.processes import die_with_parent, precise_timers, prefer_over_others, say
from omtcp.lab.revival import Revivals
from omtcp.lab.script import BOTTLENECK, RETURN, Step
from omtcp.link.pipe import Pipe

_SAMPLE_NS = 50_000_000
_IDLE_NS = 20_000_000
_QUANTUM_NS = 100_000
"""The least time between two rounds: waking costs more than a frame, so frames share a round."""
_LATE_NS = 1_000_000


class Emulation:
    """The links between the ports, and the script that changes them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._uplinks = [
            Port(device, mac) for device, mac in zip(plan.uplinks, plan.macs, strict=True)
        ]
        self._client = Port(plan.client, plan.client_mac)
        self._rivals = [Port(rival.device, rival.mac) for rival in plan.rivals]
        self._back_port = self._uplinks[plan.back_on]
        self._pipes: dict[str, Pipe[bytes]] = {
            name: Pipe(config, Random(f"{plan.seed}/{name}"), mark_frame)
            for name, config in plan.links().items()
        }
        self._back = self._pipes[RETURN]
        # Competitors have no series: those of many would be most of a report.
        self._sampled = {n: p for n, p in self._pipes.items() if not n.startswith(COMPETITOR)}
        self._answered = {
            address: port
            for rival, port in zip(plan.rivals, self._rivals, strict=True)
            for address in rival.addresses
        }
        self._join()
        self._inlets = self._make_inlets()
        self._lots = Random(f"{plan.seed}/inlets")
        self._started: int | None = None
        self._pending: list[Step] = []
        self._next_sample = 0
        self._running = True
        self._revivals = Revivals(others=self._answered)
        self.samples: list[tuple[int, list[tuple[int, int, int]]]] = []
        self.applied: list[tuple[int, str]] = []
        self._rounds = self._late = self._worst_ns = 0

    def _join(self) -> None:
        """Which links lead into the bottleneck, and which straight to the client."""
        plan = self._plan
        first = {str(index) for index in plan.behind}
        first |= {name for name in self._pipes if name.startswith(COMPETITOR)}
        self._junction: Junction | None = None
        if BOTTLENECK in self._pipes:
            feeders = {name: self._pipes[name] for name in self._pipes if name in first}
            rng = Random(f"{plan.seed}/junction")
            self._junction = Junction(feeders, self._pipes[BOTTLENECK], rng, self._carried)
        self._last = {
            name: pipe for name, pipe in self._pipes.items() if name not in {*first, RETURN}
        }

    def _make_inlets(self) -> dict[int, Inlet]:
        """Per file descriptor; the uplinks' come first, in order."""
        inlets = {}
        for index, (port, swallow) in enumerate(
            zip(self._uplinks, self._plan.swallow, strict=True)
        ):
            inlets[port.socket.fileno()] = Inlet(
                receive=port.socket.recv,
                pipes=[self._pipes[str(index)]],
                swallows=FILTERS[swallow],
            )
        for index, (port, rival) in enumerate(zip(self._rivals, self._plan.rivals, strict=True)):
            ways = [str(rival.uplink)] if rival.link is None else rival_links(index, rival)
            inlets[port.socket.fileno()] = Inlet(
                receive=port.socket.recv, pipes=[self._pipes[way] for way in ways]
            )
        inlets[self._client.socket.fileno()] = Inlet(
            receive=self._client.socket.recv, pipes=[self._back]
        )
        return inlets

    def run(self, control: int) -> None:
        """Carries frames until `control` says stop or is closed."""
        fds = [control, *self._inlets]
        now = 0
        while self._running:
            early = now + _QUANTUM_NS - monotonic_ns()
            if early > 0:
                sleep(early / 1e9)
            timeout = max(self._deadline() - monotonic_ns(), 0) / 1e9
            ready, _, _ = select.select(fds, [], [], timeout)
            now = monotonic_ns()
            self._lots.shuffle(ready)  # whose frames are read first has them in a link first
            for fd in ready:
                if fd == control:
                    self._obey(os.read(control, 64), now)
                else:
                    self._inlets[fd].read(now)
            self._deliver()
            while self._pending and self._pending[0].at_ns <= now:
                self._apply(self._pending.pop(0))
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

    def _deliver(self) -> None:
        now = monotonic_ns()
        if self._junction is not None:
            self._junction.advance(now)
        for name, pipe in self._last.items():
            self._drain(name, pipe, now)
        self._drain(RETURN, self._back, now)

    def _carried(self, at: int, name: str, frame: bytes) -> None:
        """A frame left a link on its way to the bottleneck."""
        if self._revivals.waiting:
            self._revivals.carried(at, name, frame)

    def _drain(self, name: str, pipe: Pipe[bytes], now: int) -> None:
        due = pipe.next_delivery()
        if due is None or due > now:
            return
        self._rounds += 1
        lateness = now - due
        if lateness > _LATE_NS:
            self._late += 1
            self._worst_ns = max(self._worst_ns, lateness)
        while (frame := pipe.poll_delivery(now)) is not None:
            if pipe is self._back:
                self._answer(frame)
                continue
            if self._revivals.waiting:
                self._revivals.carried(now, name, frame)
            self._client.send(frame)

    def _answer(self, frame: bytes) -> None:
        """A frame from the client goes to the competitor it is for, else to the server."""
        if self._revivals.waiting:
            self._revivals.answered(frame)
        port = self._back_port
        if self._answered:
            port = self._answered.get(destination_of(frame), port)
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

    def _apply(self, step: Step) -> None:
        now = monotonic_ns()
        if step.reroute is not None:
            self._back_port = self._uplinks[step.reroute]
        elif step.swallow is not None:
            port = self._uplinks[int(step.link)]
            self._inlets[port.socket.fileno()].swallows = FILTERS[step.swallow]
        else:
            self._configure(now, step)
        if step.label:
            self.applied.append((now, step.label))

    def _configure(self, now: int, step: Step) -> None:
        pipe = self._pipes[step.link]
        config = replace(pipe.link.config, **step.changes)  # type: ignore[arg-type]
        if config.up and not pipe.link.config.up and step.link != RETURN:
            self._revivals.restored(now, step.link)
        elif not config.up:
            self._revivals.cut(step.link)
        pipe.configure(now, config)

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
                    for pipe in self._sampled.values()
                ],
            )
        )

    def report(self) -> dict[str, object]:
        """What happened, for the lab: samples, changes made, counters per link."""
        ports = [*self._uplinks, self._client, *self._rivals]
        times = os.times()
        return {
            "links": list(self._sampled),
            "samples": self.samples,
            "applied": self.applied,
            "revived": self._revivals.found,
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
