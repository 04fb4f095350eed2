"""Who sends in a run. All senders serve one directory from the served address, port 8080."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from omtcp.errors import LocalError
from omtcp.lab.case import Case, SenderSpec
from omtcp.lab.network import Network
from omtcp.lab.processes import Process, python_module

PORT = 8080


class Sender(Protocol):
    """A server in the server's namespace. `events` is its trace, as JSON lines."""

    events: Path

    def start(self) -> None:
        """Returns when a SYN will be answered; SetupError, one line, if that fails."""

    def cpu_seconds(self) -> float | None:
        """Processor time used so far, None if unknown."""

    def problem(self) -> str | None:
        """What went wrong if the sender is gone, None while it runs."""

    def stop(self) -> None:
        """Ends it as a user would (SIGINT); harmless if it does not run."""


class _ProcessSender(ABC):
    """What the senders share: one child process that says `ready`."""

    def __init__(self, network: Network, root: Path, spec: SenderSpec) -> None:
        self.events = network.directory / "events.jsonl"
        self._network = network
        self._root = root
        self._spec = spec
        self._process: Process | None = None

    @abstractmethod
    def _command(self) -> list[str]:
        """What to run in the server's namespace."""

    def start(self) -> None:
        log = self._network.directory / "sender.log"
        command = self._command()
        self._process = Process(self._spec.label, self._network.server, command, log)
        self._process.wait_for("ready", timeout=15.0)

    def cpu_seconds(self) -> float | None:
        return self._process.cpu_seconds() if self._process else None

    def problem(self) -> str | None:
        if self._process is None or self._process.running:
            return None
        return f"{self._spec.label} ended during the run: {self._process.complaint()}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class KernelTcp(_ProcessSender):
    """The kernel's TCP over one uplink: what everybody has today."""

    def _command(self) -> list[str]:
        uplink = kernel_uplink(self._network.case, self._spec)
        self._network.default_uplink(uplink)
        self._network.own_address()
        return python_module(
            "omtcp.lab.kernel_server",
            str(self._root),
            self._network.served,
            str(PORT),
            self._spec.cc,
            str(uplink),
            str(self.events),
        )


class Omtcp(_ProcessSender):
    """`omtcp serve` over all uplinks."""

    def _command(self) -> list[str]:
        family = self._network.case.family
        paths = [f"--path={up.device}@{up.gateway[family]}" for up in self._network.uplinks]
        options = ["--mode", self._spec.mode, "--cc", self._spec.cc, "--events", str(self.events)]
        return python_module(
            "omtcp",
            "serve",
            str(self._root),
            "--address",
            self._network.served,
            "--port",
            str(PORT),
            *paths,
            *options,
            *self._spec.extra,
        )


def kernel_uplink(case: Case, spec: SenderSpec) -> int:
    """The uplink that a kernel sender uses: its own, the case's reference, or the better one."""
    for uplink in (spec.uplink, case.reference):
        if uplink is not None:
            return uplink
    return case.better_uplink()


def make_sender(network: Network, root: Path, spec: SenderSpec) -> Sender:
    """The sender that `spec` names, not yet started."""
    if spec.kind == "kernel":
        return KernelTcp(network, root, spec)
    if spec.kind == "omtcp":
        return Omtcp(network, root, spec)
    raise LocalError(f"no such sender: {spec.kind!r}")
