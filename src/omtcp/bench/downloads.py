"""Downloads of a large file, over and over, by a receiver that throws the bytes away."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from omtcp.bench.case import Figures, Setting, Subject
from omtcp.bench.flood import Job as Flood
from omtcp.bench.ground import Ground
from omtcp.bench.priority import favour
from omtcp.bench.spread import jain
from omtcp.bench.stacks import BIG, Stack
from omtcp.bench.window import Schedule, traffic_figures, watch
from omtcp.errors import SetupError
from omtcp.lab.network import Network
from omtcp.lab.processes import Process, python_module
from omtcp.lab.senders import PORT
from omtcp.lab.sink import BIN_NS, Job

_PATIENCE_S = 15.0


@contextmanager
def client(network: Network, setting: Setting, module: str, job: Any) -> Iterator[Process]:
    """A load generator in the client's namespace."""
    command = python_module(module, json.dumps(asdict(job)))
    name = module.rpartition(".")[2]
    process = Process(name, network.client, command, setting.directory / f"{name}.log")
    favour(process.pid)
    try:
        yield process
    finally:
        process.stop()


def result_of(process: Process) -> dict[str, Any]:
    """The result that a load generator prints last."""
    line = process.wait_for('"result"', timeout=_PATIENCE_S)
    result: dict[str, Any] = json.loads(line)["result"]
    return result


def check(result: dict[str, Any]) -> None:
    """SetupError with the first complaint of a download, if any."""
    for each in result["downloads"]:
        if each["error"]:
            raise SetupError(f"a download failed: {each['error']}")
    if not result["bytes"]:
        raise SetupError("not a byte arrived")


def shares(result: dict[str, Any], size: int) -> list[float]:
    """Body bytes of each download."""
    return [len(one["complete"]) * size + one["partial_bytes"] for one in result["downloads"]]


def fetch(stack: Stack, network: Network, schedule: Schedule, downloads: int) -> Job:
    """What the receiver does: the big file over and over, and no look at its content."""
    return Job(
        url=f"http://{stack.address(network)}:{PORT}/{BIG}",
        start_ns=schedule.start_ns,
        duration_ns=schedule.client_ns,
        downloads=downloads,
        repeat=True,
        verify=False,
        mptcp=stack.mptcp,
    )


def measure(stack: Stack, ground: Ground, setting: Setting, downloads: int = 1) -> Figures:
    """One round: the stack serves, `downloads` clients fetch at once."""
    with ground.network(setting.directory) as network, stack.serving(network, setting) as server:
        schedule = Schedule.of(setting)
        job = fetch(stack, network, schedule, downloads)
        with client(network, setting, "omtcp.lab.sink", job) as process:
            window = watch(server, schedule.opens_ns, schedule.closes_ns)
            result = result_of(process)
    check(result)
    rate = window.counted(result["bins"], result["start_ns"], BIN_NS)
    figures = traffic_figures(window, rate)
    if downloads > 1:
        figures["jain"] = jain(shares(result, (setting.root / BIG).stat().st_size))
    return figures


def subject(stack: Stack, ground: Ground, *, name: str = "", downloads: int = 1) -> Subject:
    """A stack as the subject of a case."""

    def run(setting: Setting) -> Figures:
        return measure(stack, ground, setting, downloads)

    return Subject(name=name or stack.name, measure=run, absent=stack.absent)


FLOOD_RATE = 20_000
_FLOOD_DOWNLOADS = 4
_FLOOD_LEAD_NS = 100_000_000


def under_flood(stack: Stack, setting: Setting) -> Figures:
    """Four downloads, half of the window alone, the other half while SYNs pour in."""
    half = replace(setting, duration_s=setting.duration_s / 2)
    with (
        Ground().network(setting.directory) as network,
        stack.serving(network, setting) as server,
    ):
        quiet = Schedule.of(half)
        width = quiet.closes_ns - quiet.opens_ns
        begin = quiet.closes_ns + _FLOOD_LEAD_NS
        loud = replace(quiet, opens_ns=begin + width // 4, closes_ns=begin + width // 4 + width)
        whole = replace(quiet, closes_ns=loud.closes_ns)
        job = fetch(stack, network, whole, _FLOOD_DOWNLOADS)
        syns = Flood(
            host=stack.address(network),
            port=PORT,
            rate=FLOOD_RATE,
            start_ns=begin,
            duration_ns=loud.closes_ns - begin,
        )
        with (
            client(network, setting, "omtcp.lab.sink", job) as process,
            client(network, setting, "omtcp.bench.flood", syns) as flooder,
        ):
            before = watch(server, quiet.opens_ns, quiet.closes_ns)
            during = watch(server, loud.opens_ns, loud.closes_ns)
            result, sent = result_of(process), result_of(flooder)["sent"]
    check(result)
    bins, start = result["bins"], result["start_ns"]
    quiet_rate = before.counted(bins, start, BIN_NS)
    loud_rate = during.counted(bins, start, BIN_NS)
    return {
        **traffic_figures(during, loud_rate),
        "quiet": quiet_rate * 8 / 1e6,
        "kept": loud_rate / quiet_rate if quiet_rate else 0.0,
        "flood_rate": sent * 1e9 / syns.duration_ns,
    }


def flood_subject(stack: Stack) -> Subject:
    """A stack as the subject of the case with the flood."""
    return Subject(
        name=stack.name, measure=lambda setting: under_flood(stack, setting), absent=stack.absent
    )
