"""Downloads of a large file, over and over, by a receiver that throws the bytes away."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from omtcp.bench.case import Figures, Setting, Subject
from omtcp.bench.ground import Ground
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
    process = Process("client", network.client, command, setting.directory / "client.log")
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


def measure(stack: Stack, ground: Ground, setting: Setting, downloads: int = 1) -> Figures:
    """One round: the stack serves, `downloads` clients fetch at once."""
    with ground.network(setting.directory) as network, stack.serving(network, setting) as server:
        schedule = Schedule.of(setting)
        job = Job(
            url=network.url(BIG, PORT),
            start_ns=schedule.start_ns,
            duration_ns=schedule.client_ns,
            downloads=downloads,
            repeat=True,
            verify=False,
        )
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
