"""From what the sink, the sender and the emulator noted to what a run showed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from omtcp.lab.case import Case
from omtcp.lab.fairness import Bins, Share, share
from omtcp.lab.result import PathSeries, Recovery, RunResult, Series
from omtcp.lab.script import BOTTLENECK, RETURN, Step
from omtcp.lab.sink import BIN_NS
from omtcp.link.config import LinkConfig

_WINDOW_BINS = 20
_SHARE = 0.9
_REUSE_SHARE = 0.5
_SECOND = 1_000_000_000
_TOLERANCE_NS = 50_000_000
"""The emulator makes a change within a round of its time, late only if the host is busy."""


def goodput_series(bins: Bins, end_ns: int, width_ns: int = 100_000_000) -> Series:
    """Mbit/s per whole interval of `width_ns`; each point stands at the middle of its interval."""
    count = max(end_ns // width_ns, 1)
    sums = [0] * count
    for index, size in bins:
        slot = index * BIN_NS // width_ns
        if 0 <= slot < count:
            sums[slot] += size
    seconds = width_ns / 1e9
    return [((i + 0.5) * seconds, total * 8 / 1e6 / seconds) for i, total in enumerate(sums)]


def time_back(bins: Bins, at_ns: int, until_ns: int, target_bps: float) -> int | None:
    """Nanoseconds from `at_ns` until the next 200 ms carry 90 % of `target_bps`, None if never."""
    first, last = -(-at_ns // BIN_NS), until_ns // BIN_NS
    need = _SHARE * target_bps * _WINDOW_BINS * BIN_NS / 8e9
    sizes = {index: size for index, size in bins if first <= index < last}
    window = sum(sizes.get(i, 0) for i in range(first, first + _WINDOW_BINS))
    for start in range(first, last - _WINDOW_BINS + 1):
        if window >= need:
            return max(start * BIN_NS - at_ns, 0)
        window += sizes.get(start + _WINDOW_BINS, 0) - sizes.get(start, 0)
    return None


def configs_after(case: Case, steps: Iterable[Step]) -> dict[str, LinkConfig]:
    """The links, by name, once these steps have been made."""
    configs = {str(i): config for i, config in enumerate(case.forward_configs())}
    configs[RETURN] = case.return_config()
    if (shared := case.bottleneck_config()) is not None:
        configs[BOTTLENECK] = shared
    for step in steps:
        if step.changes:
            configs[step.link] = replace(configs[step.link], **step.changes)  # type: ignore[arg-type]
    return configs


def best_after(case: Case, at_ns: int) -> float:
    """What the best uplink carries once the script has been followed up to `at_ns`."""
    configs = configs_after(case, (step for step in case.script() if step.at_ns <= at_ns))
    if not configs.pop(RETURN).up:
        return 0.0
    shared = configs.pop(BOTTLENECK, None)
    return max(case.expected_bps(int(name), config, shared) for name, config in configs.items())


def recoveries(
    case: Case,
    sink: Mapping[str, Any],
    uplinks: Mapping[str, Series],
    pings: Sequence[tuple[int, int]],
    revived: Sequence[tuple[str, int, int]],
) -> list[Recovery]:
    """How the run took each event of the script, until the next one.

    pings: (path, monotonic ns) as the sender's trace tells; revived: as `Revivals.found`.
    """
    start = sink["start_ns"]
    end = sink["end_ns"] - start
    steps = [step for step in case.script() if step.at_ns < end]
    labelled = [step for step in steps if step.label]
    found = []
    ends = [*(step.at_ns for step in labelled[1:]), end]
    for step, until in zip(labelled, ends, strict=False):
        target = best_after(case, step.at_ns)
        found.append(
            Recovery(
                label=step.label,
                at_ns=step.at_ns,
                target_bps=target,
                back_ns=time_back(sink["bins"], step.at_ns, until, target) if target else None,
                reuse_ns=_reuse(case, step, uplinks),
                ping_ns=_first_after(pings, step, start),
                data_ns=_revived_after(revived, step, start),
                silence_ns=_silence_after(sink["silences"], start + step.at_ns, start + until),
            )
        )
    return found


def _silence_after(silences: Iterable[tuple[int, int]], begin: int, end: int) -> int:
    """The longest silence that ended after `begin` and began before `end`."""
    return max((length for length, at in silences if at + length > begin and at < end), default=0)


def _reuse(case: Case, step: Step, uplinks: Mapping[str, Series]) -> int | None:
    """Until a restored uplink carried half of its rate again."""
    if step.kind != "restore" or step.link not in uplinks or step.link == RETURN:
        return None
    rate = case.forward_configs()[int(step.link)].rate_bps
    if rate is None:
        return None
    for second, mbps in uplinks[step.link]:
        if second * 1e9 > step.at_ns and mbps * 1e6 >= _REUSE_SHARE * rate:
            return round(second * 1e9) - step.at_ns
    return None


def _first_after(pings: Iterable[tuple[int, int]], step: Step, start_ns: int) -> int | None:
    """Until the first ping on a restored uplink after it came back."""
    if step.kind != "restore" or step.link == RETURN:
        return None
    begin = start_ns + step.at_ns
    times = [at - begin for path, at in pings if path == int(step.link) and at >= begin]
    return min(times, default=None)


def _revived_after(
    revived: Iterable[tuple[str, int, int]], step: Step, start_ns: int
) -> int | None:
    """Until data came out of a restored uplink, None if it did not before its next cut."""
    if step.kind != "restore":
        return None
    times = [
        carried - restored
        for link, restored, carried in revived
        if link == step.link and abs(restored - start_ns - step.at_ns) < _TOLERANCE_NS
    ]
    return min(times, default=None)


def link_series(report: Mapping[str, Any], start_ns: int) -> dict[str, Series]:
    """Mbit/s per link, from the emulator's samples of delivered bytes."""
    series: dict[str, Series] = {name: [] for name in report.get("links", ())}
    for (before, old), (after, new) in pairwise(report.get("samples", ())):
        if after <= before:
            continue
        for name, (was, *_), (now, *_) in zip(series, old, new, strict=True):
            mbps = (now - was) * 8e3 / (after - before)
            series[name].append(((after - start_ns) / 1e9, mbps))
    return series


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a trace; a last line that was cut short is left out."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                return


class Trace:
    """What a sender's trace says about the run that began at `start_ns`."""

    def __init__(self, lines: Iterable[Mapping[str, Any]], start_ns: int) -> None:
        self.paths: dict[int, PathSeries] = {}
        self.primary: Series = []
        self.counts: dict[str, int] = {}
        self.pings: list[tuple[int, int]] = []
        self.moves = 0
        self.retransmitted: int | None = None
        self._start = start_ns
        self._kernel: dict[tuple[int, int], int] = {}
        self._connection: int | None = None
        for line in lines:
            self._take(line)
        if self._kernel:
            self.retransmitted = sum(self._kernel.values())
        elif self.counts and self.retransmitted is None:
            self.retransmitted = 0

    def _take(self, line: Mapping[str, Any]) -> None:
        if "name" not in line:
            return  # the first line tells the format
        name, data, at = line["name"], line["data"], line["time_ns"]
        self.counts[name] = self.counts.get(name, 0) + 1
        second = (at - self._start) / 1e9
        if name == "metrics_updated":
            self._metrics(second, line["connection"], data)
        elif name == "path_chosen":
            self.moves += data.get("previous", -1) not in (-1, data["path"])
            self.primary.append((second, data["path"]))
        elif name == "retransmission":
            self.retransmitted = (self.retransmitted or 0) + data["end"] - data["start"]
        elif name == "ping_sent":
            self.pings.append((data["path"], at))

    def _metrics(self, second: float, connection: int, data: Mapping[str, Any]) -> None:
        if "retransmitted" in data:
            self._kernel[connection, data["path"]] = data["retransmitted"]
        if self._connection is None:
            self._connection = connection
        if connection != self._connection:
            return  # of many downloads the plots show the first
        path = self.paths.setdefault(data["path"], PathSeries())
        path.cwnd.append((second, data["cwnd"]))
        path.srtt_ms.append((second, data["srtt_ns"] / 1e6))
        if data["primary"] and (not self.primary or self.primary[-1][1] != data["path"]):
            self.primary.append((second, data["path"]))


def _shares(case: Case, bins: Bins, rivals: Sequence[Bins], until_ns: int) -> list[Share]:
    """Of the whole run and, if the case names another time, from there on."""
    times = sorted({0, case.fair_from_ns}) if rivals else []
    return [
        share(bins, rivals, downloads=case.downloads, from_ns=at, until_ns=until_ns)
        for at in times
        if at < until_ns
    ]


def evaluate(
    case: Case, sender: str, number: int, sink: Mapping[str, Any], trace: Trace,
    report: Mapping[str, Any], rivals: Sequence[Bins] = (),
) -> RunResult:  # fmt: skip
    """Everything that one run showed, but for its checksums and errors."""
    start, end = sink["start_ns"], sink["end_ns"]
    uplinks = link_series(report, start)
    elapsed = max(end - start, 1)
    return RunResult(
        sender=sender,
        run=number,
        goodput_bps=sink["bytes"] * 8 * _SECOND / elapsed,
        received=sink["bytes"],
        elapsed_ns=elapsed,
        first_byte_ns=sink["first_byte_ns"] and sink["first_byte_ns"] - start,
        longest_silence_ns=max((length for length, _ in sink["silences"]), default=0),
        checksum_ok=False,
        complete=False,
        errors=[],
        retransmitted=trace.retransmitted,
        primary_moves=trace.moves if trace.counts.get("path_chosen") else None,
        recoveries=recoveries(case, sink, uplinks, trace.pings, report.get("revived", ())),
        shares=_shares(case, sink["bins"], rivals, elapsed),
        goodput=goodput_series(sink["bins"], elapsed),
        uplinks=uplinks,
        paths=trace.paths,
        primary=trace.primary,
        event_counts=trace.counts,
        emulator={k: v for k, v in report.items() if k not in ("samples", "links")},
    )
