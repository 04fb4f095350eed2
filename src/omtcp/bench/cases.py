"""The bench's cases by name."""

from omtcp.bench.case import Case, Ratio
from omtcp.bench.downloads import subject
from omtcp.bench.ground import Ground
from omtcp.bench.stacks import ASYNCIO, KERNEL, OMTCP, kernel, kernel_asyncio, omtcp
from omtcp.bench.visits import hurry_subject, idle_subject
from omtcp.errors import LocalError

_BULK = ("goodput", "cpu_per_gb", "user_per_gb", "core", "acks_per_mb", "calls_per_mb", "memory_mb")


def _against(metric: str, of: str = OMTCP, to: str = KERNEL) -> Ratio:
    return Ratio(metric=metric, of=of, to=to)


def _bulk() -> Case:
    ground = Ground()
    return Case(
        name="bulk",
        about="one connection, one path, veth with its offloads",
        subjects=(subject(omtcp(), ground), subject(kernel(), ground)),
        metrics=_BULK,
        ratios=(_against("goodput"), _against("cpu_per_gb")),
    )


def _bulk_frames() -> Case:
    ground = Ground(frames=True)
    return Case(
        name="bulk-frames",
        about="the same with offloads off: MTU-sized frames on the wire",
        subjects=(subject(omtcp(), ground), subject(kernel(), ground)),
        metrics=_BULK,
        ratios=(_against("goodput"), _against("cpu_per_gb")),
    )


def _idle() -> Case:
    return Case(
        name="idle",
        about="10 000 connections that fetched 1 KB and stay open",
        subjects=(idle_subject(omtcp()), idle_subject(kernel_asyncio())),
        metrics=(
            "opened",
            "per_connection_kb",
            "slab_kb",
            "idle_core",
            "opened_per_s",
            "memory_mb",
        ),
        ratios=(_against("per_connection_kb", to=ASYNCIO), _against("opened_per_s", to=ASYNCIO)),
        rounds=1,
    )


def _handshakes() -> Case:
    return Case(
        name="handshakes",
        about="connect, GET of 1 KB, answer, close, 64 at a time",
        subjects=(hurry_subject(omtcp()), hurry_subject(kernel_asyncio())),
        metrics=("served", "served_per_core", "core", "latency_ms", "client_core", "memory_mb"),
        ratios=(_against("served", to=ASYNCIO), _against("served_per_core", to=ASYNCIO)),
    )


CASES: dict[str, Case] = {
    case.name: case for case in (_bulk(), _bulk_frames(), _idle(), _handshakes())
}


def find_case(name: str) -> Case:
    """The case of that name; LocalError if there is none."""
    try:
        return CASES[name]
    except KeyError:
        raise LocalError(f"no such case: {name!r}; `--case list` shows them") from None
