"""Rounds with many connections: short ones in a hurry, and idle ones."""

from time import sleep

from omtcp.bench.case import Figures, Setting, Subject
from omtcp.bench.downloads import client, result_of
from omtcp.bench.ground import Ground
from omtcp.bench.stacks import SMALL, Stack
from omtcp.bench.usage import kernel_memory, observe
from omtcp.bench.visitors import BIN_NS, Job
from omtcp.bench.window import Schedule, watch
from omtcp.errors import SetupError
from omtcp.lab.network import Network
from omtcp.lab.senders import PORT

IDLE = 10_000
IDLE_QUICK = 1_000
_CONCURRENCY = 64
_OPENING_S = 120.0
_SETTLE_S = 1.0
_MODULE = "omtcp.bench.visitors"


def _many_ports(network: Network) -> None:
    network.client.sysctl({"net.ipv4.ip_local_port_range": "1024 65535"})


def hurry(stack: Stack, setting: Setting) -> Figures:
    """Connections that fetch 1 KB and are closed by the server, as many as it can."""
    with (
        Ground().network(setting.directory) as network,
        stack.serving(network, setting) as server,
    ):
        _many_ports(network)
        schedule = Schedule.of(setting)
        job = Job(
            kind="hurry",
            host=network.served,
            port=PORT,
            path=SMALL,
            concurrency=_CONCURRENCY,
            start_ns=schedule.start_ns,
            duration_ns=schedule.client_ns,
        )
        with client(network, setting, _MODULE, job) as process:
            before = observe(process.pid)
            window = watch(server, schedule.opens_ns, schedule.closes_ns)
            after = observe(process.pid)
            result = result_of(process)
    if result["failures"]:
        raise SetupError(f"{result['failures']} connections failed")
    served = window.counted(result["bins"], result["start_ns"], BIN_NS)
    if not served:
        raise SetupError("no connection was answered")
    return {
        "served": served,
        "served_per_core": served * window.seconds / max(window.cpu_s, 1e-9),
        "core": 100 * window.cpu_s / window.seconds,
        "latency_ms": result["median_ns"] / 1e6,
        "memory_mb": window.peak / 1e6,
        "others": window.others,
        "client_core": 100 * (after.cpu_s - before.cpu_s) / (setting.warmup_s + setting.duration_s),
    }


def idle(stack: Stack, setting: Setting, uplinks: int = 1) -> Figures:
    """Connections that fetched 1 KB and then stay open and silent."""
    count = IDLE_QUICK if setting.quick else IDLE
    with (
        Ground(uplinks=uplinks).network(setting.directory) as network,
        stack.serving(network, setting) as server,
    ):
        _many_ports(network)
        sleep(_SETTLE_S / 2)
        empty, slab = observe(server.pid), kernel_memory()
        size = (setting.root / SMALL).stat().st_size
        job = Job(kind="linger", host=network.served, port=PORT, path=SMALL, size=size, count=count)
        with client(network, setting, _MODULE, job) as process:
            words = process.wait_for("open", timeout=_OPENING_S).split()
            full = observe(server.pid)
            opened = int(words[1])
            if opened < count:
                raise SetupError(f"only {opened} of {count} connections opened")
            sleep(_SETTLE_S)  # what the opening left to do is not idleness
            window = watch(server, 0, observe(server.pid).at_ns + round(setting.duration_s * 1e9))
            slab_full = kernel_memory()
    return {
        "opened": opened,
        "opened_per_s": opened / ((full.at_ns - empty.at_ns) / 1e9),
        "per_connection_kb": (window.after.memory - empty.memory) / opened / 1e3,
        "slab_kb": (slab_full - slab) / opened / 1e3,
        "idle_core": 100 * window.cpu_s / window.seconds,
        "memory_mb": window.peak / 1e6,
        "others": window.others,
    }


def hurry_subject(stack: Stack, *, name: str = "") -> Subject:
    """A stack as the subject of a case about short connections."""
    return Subject(
        name=name or stack.name, measure=lambda setting: hurry(stack, setting), absent=stack.absent
    )


def idle_subject(stack: Stack, uplinks: int = 1) -> Subject:
    """A stack as the subject of a case about idle connections."""
    return Subject(
        name=stack.name, measure=lambda setting: idle(stack, setting, uplinks), absent=stack.absent
    )
