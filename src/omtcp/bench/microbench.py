"""Runs the micro-benchmarks in processes of their own, and reads what came of them."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omtcp.bench.spread import Spread
from omtcp.errors import LocalError, SetupError

_PROGRAM = Path(__file__).with_name("micro.py")
_HASTE = ("--processes=3", "--values=3", "--warmups=1", "--min-time=0.05")
_QUICK = ("--processes=1", "--values=1", "--warmups=0", "--min-time=0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Micro:
    """A function and what one call of it takes, nanoseconds."""

    name: str
    ns: Spread


def run(*, quick: bool = False) -> list[Micro]:
    """Measures all. SetupError if pyperf is not there; LocalError if a benchmark fails."""
    if find_spec("pyperf") is None:
        raise SetupError(
            "micro-benchmarks need the Python package pyperf: `make bench` installs it"
        )
    with tempfile.TemporaryDirectory(prefix="omtcp-micro-") as directory:
        file = Path(directory) / "micro.json"
        command = [sys.executable, str(_PROGRAM), "--quiet", f"--output={file}"]
        done = subprocess.run(
            [*command, *(_QUICK if quick else _HASTE)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise LocalError(f"a micro-benchmark failed: {last}")
        return parse(json.loads(file.read_text()))


def parse(suite: dict[str, Any]) -> list[Micro]:
    """What pyperf's JSON says: values are seconds per loop, one list per process."""
    found = []
    default = suite.get("metadata", {}).get("name", "")
    for benchmark in suite["benchmarks"]:
        name = benchmark.get("metadata", {}).get("name", default)
        values = [value * 1e9 for run in benchmark["runs"] for value in run.get("values", ())]
        spread = Spread.of(values)
        if spread is not None:
            found.append(Micro(name=name, ns=spread))
    return found
