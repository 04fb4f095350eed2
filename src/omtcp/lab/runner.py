"""Runs a case: a network, a sender and a receiver per run, always taken down again."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic_ns
from typing import Any

from omtcp.errors import LocalError, SetupError
from omtcp.lab.case import Case, SenderSpec
from omtcp.lab.content import Content
from omtcp.lab.measure import Trace, evaluate, read_events
from omtcp.lab.mptcp import require_mptcp
from omtcp.lab.netns import remove_leftovers, require_host, temporary_directory
from omtcp.lab.network import Network, in_url
from omtcp.lab.receiver import Receiver, begin_together
from omtcp.lab.result import Result, RunResult
from omtcp.lab.rivals import Rivals
from omtcp.lab.senders import PORT, Sender, kernel_uplink, make_sender
from omtcp.lab.sink import Job
from omtcp.lab.switches import Switches

_GRACE_S = 10.0
_MAX_ENDLESS_BYTES = 1 << 30
_DIRECT_ENDLESS_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: bytes so far, the rate since the last report, and the time in the run."""

    sender: str
    run: int
    now_ns: int
    received: int
    rate_bps: float


Watcher = Callable[[Progress], None]


def run(
    case: Case, *, runs: int = 1, watch: Watcher | None = None, keep: Path | None = None
) -> Result:
    """Runs every sender of the case `runs` times, in turn (A B A B), and measures.

    `watch` is called a few times a second; `keep` is a directory for logs and traces, which are
    otherwise thrown away. SetupError if the host cannot run it; a run that goes wrong on the way
    is a result with errors.
    """
    if runs < 1:
        raise LocalError(f"{runs} runs are none")
    require_host()
    if any(spec.kind == "mptcp" for spec in case.senders):
        require_mptcp()
    remove_leftovers()
    result = _blank(case)
    with temporary_directory() as temporary:
        root = Path(temporary) / "files"
        root.mkdir()
        content = Content(root, _content_size(case))
        for number in range(runs):
            for index, spec in enumerate(case.senders):
                base = keep or Path(temporary)
                directory = base / f"run{number}-sender{index}"
                directory.mkdir(parents=True, exist_ok=True)
                one = _Run(case, spec, number, directory, content)
                result.runs.append(one.run(watch))
    return result


def _content_size(case: Case) -> int:
    """Bytes of the file: as asked, or enough for the links and the duration."""
    if case.size is not None:
        return case.size
    if case.direct:
        return _DIRECT_ENDLESS_BYTES
    rate = sum(config.rate_bps or 10**9 for config in case.forward_configs())
    return min(rate * case.duration_ns // 8_000_000_000 + (1 << 20), _MAX_ENDLESS_BYTES)


def _blank(case: Case) -> Result:
    """The result before the first run."""
    labels: dict[str, str] = {}
    for spec in case.senders:
        labels.setdefault(spec.kind, spec.label)
    return Result(
        case=case.name,
        about=case.about,
        description=describe(case),
        environment={
            "kernel": platform.release(),
            "python": platform.python_version(),
            "processors": str(os.cpu_count()),
        },
        reference=labels.get("kernel"),
        mptcp=labels.get("mptcp"),
        events=[(step.at_ns / 1e9, step.label) for step in case.script() if step.label],
    )


def describe(case: Case) -> dict[str, Any]:
    """The case as plain values."""
    return {
        "uplinks": ["veth without emulation" if case.direct else u.text for u in case.uplinks],
        "swallow": [uplink.swallow for uplink in case.uplinks],
        "links": [] if case.direct else [_plain(c) for c in case.forward_configs()],
        "return": {"uplink": case.return_index()}
        | ({} if case.direct else _plain(case.return_config())),
        "duration_s": case.duration_ns / 1e9,
        "size": case.size,
        "downloads": case.downloads,
        "client": asdict(case.client),
        "family": case.family,
        "seed": case.seed,
        "events": list(case.events),
        "bottleneck": _shared(case),
        "competitors": [asdict(group) for group in case.competitors],
        "fair_from_s": case.fair_from_ns / 1e9,
        "kernel_uplink": kernel_uplink(case, SenderSpec(kind="kernel")),
    }


def _shared(case: Case) -> dict[str, Any] | None:
    config = case.bottleneck_config()
    return None if config is None else {"uplinks": list(case.behind()), **_plain(config)}


def _plain(config: Any) -> dict[str, Any]:
    values = asdict(config)
    values["loss"] = repr(config.loss) if config.loss else None
    return values


class _Run:
    """One sender, once."""

    def __init__(
        self, case: Case, spec: SenderSpec, number: int, directory: Path, content: Content
    ) -> None:
        self._case = case
        self._spec = spec
        self._number = number
        self._directory = directory
        self._content = content
        self._errors: list[str] = []

    def run(self, watch: Watcher | None) -> RunResult:
        with (
            Network(self._case, self._directory) as network,
            Rivals(network, self._content) as rivals,
        ):
            sender = make_sender(network, self._content.path.parent, self._spec)
            try:
                sender.start()
                sink = self._download(network, sender, rivals, watch)
                others = rivals.finish()
                report = network.emulator.finish() if network.emulator else {}
                cpu = sender.cpu_seconds()
                problem = sender.problem()
            finally:
                sender.stop()
            trace = Trace(read_events(sender.events), sink["start_ns"])
            name = self._spec.label
            result = evaluate(self._case, name, self._number, sink, trace, report, others)
            result.cpu_s = cpu
            self._judge(result, sink, problem)
            return result

    def _job(self, url: str) -> Job:
        case = self._case
        return Job(
            url=url,
            duration_ns=case.duration_ns,
            downloads=case.downloads,
            repeat=case.size is None,
            verify=not (case.direct and case.size is None),  # hashing is slower than a veth
            program=case.client.program,
            mptcp=self._spec.kind == "mptcp",
        )

    def _download(
        self, network: Network, sender: Sender, rivals: Rivals, watch: Watcher | None
    ) -> dict[str, Any]:
        job = self._job(f"http://{in_url(sender.address)}:{PORT}/{self._content.path.name}")
        receiver = Receiver("sink", network.client, job, self._directory / "sink.log")
        try:
            job = replace(job, start_ns=begin_together([receiver, *rivals.receivers]))
            if network.emulator:
                network.emulator.start(job.start_ns)
            with Switches(sender.control, self._spec.switches, job.start_ns) as switches:
                result = self._follow(receiver, job, watch)
            self._errors = switches.errors
            return result
        finally:
            receiver.stop()

    def _follow(self, receiver: Receiver, job: Job, watch: Watcher | None) -> dict[str, Any]:
        """Reads the sink's progress until its result."""
        received, before = 0, job.start_ns
        deadline = job.start_ns + job.duration_ns + int(_GRACE_S * 1e9)
        while (left := (deadline - monotonic_ns()) / 1e9) > 0:
            line = receiver.line(left)
            if line is None:
                break
            message: dict[str, Any] = json.loads(line)
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
            if watch is not None:
                now, total = message["now_ns"], message["bytes"]
                rate = (total - received) * 8e9 / max(now - before, 1)
                received, before = total, now
                watch(
                    Progress(
                        sender=self._spec.label,
                        run=self._number,
                        now_ns=now - job.start_ns,
                        received=total,
                        rate_bps=rate,
                    )
                )
        raise SetupError(f"the receiver gave no result: {receiver.complaint()}")

    def _judge(self, result: RunResult, sink: dict[str, Any], problem: str | None) -> None:
        """Whether all bytes were right, and what went wrong."""
        downloads = sink["downloads"]
        result.checksum_ok = all(self._right(download) for download in downloads)
        size = self._case.size
        result.complete = size is None or all(download["complete"] for download in downloads)
        errors = {download["error"] for download in downloads if download["error"]}
        result.errors = [*([problem] if problem else []), *self._errors, *sorted(errors)]
        if not sink["bytes"]:
            result.errors.append("nothing arrived")
        elif not result.complete:
            result.errors.append("the download did not end in time")
        if not result.checksum_ok:
            result.errors.append("wrong bytes arrived")

    def _right(self, download: dict[str, Any]) -> bool:
        """Whether the complete bodies and the one under way are what was served."""
        if any(digest not in ("", self._content.digest) for digest in download["complete"]):
            return False
        partial: int = download["partial_bytes"]
        if not download["partial_digest"] or not partial:
            return True
        return bool(self._content.prefix_digest(partial) == download["partial_digest"])


def write_json(result: Result, path: Path) -> None:
    """The result as one JSON file."""
    try:
        path.write_text(json.dumps(result.to_json(), indent=1) + "\n")
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}") from None


def sender_labels(specs: Sequence[SenderSpec]) -> str:
    return ", ".join(spec.label for spec in specs)
