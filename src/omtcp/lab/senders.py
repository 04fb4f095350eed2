"""Who sends in a run. All senders serve one directory on port 8080."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from omtcp.errors import LocalError
from omtcp.lab.case import Case, SenderSpec
from omtcp.lab.kernel_server import Service
from omtcp.lab.network import Network
from omtcp.lab.processes import Process, python_module

PORT = 8080


class Sender(Protocol):
    """A server in the server's namespace.

    `events` is its trace, as JSON lines; `control` its control socket, None if it has none.
    """

    events: Path
    control: Path | None

    @property
    def address(self) -> str:
        """Where clients find it."""

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

    control: Path | None = None

    def __init__(self, network: Network, root: Path, spec: SenderSpec) -> None:
        self.events = network.directory / "events.jsonl"
        self._network = network
        self._root = root
        self._spec = spec
        self._process: Process | None = None

    @property
    def address(self) -> str:
        return self._network.served

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


class _KernelSender(_ProcessSender):
    """What the senders on the kernel's own sockets share: the program that serves."""

    def _service(self, *, address: str, uplinks: dict[str, int], mptcp: bool = False) -> list[str]:
        service = Service(
            root=str(self._root),
            address=address,
            port=PORT,
            cc=self._spec.cc,
            events=str(self.events),
            uplinks=uplinks,
            family=self._network.case.family,
            mptcp=mptcp,
        )
        return service.command()


class KernelTcp(_KernelSender):
    """The kernel's TCP over one uplink: what everybody has today."""

    def _command(self) -> list[str]:
        uplink = kernel_uplink(self._network.case, self._spec)
        self._network.default_uplink(uplink)
        self._network.own_address()
        return self._service(address=self.address, uplinks={self.address: uplink})


class KernelMptcp(_KernelSender):
    """The kernel's Multipath TCP over all uplinks, with a client that speaks it too.

    It has an address on each uplink, as a multihomed server has that no one-address scheme serves.
    """

    @property
    def address(self) -> str:
        """That of the better uplink; the client learns the others from it."""
        first = self._network.uplinks[self._first]
        return first.address[self._network.case.family]

    @property
    def _first(self) -> int:
        return kernel_uplink(self._network.case, self._spec)

    def _command(self) -> list[str]:
        self._network.multihome(self._first)
        return self._service(address="", uplinks=self._network.uplink_addresses(), mptcp=True)


class Omtcp(_ProcessSender):
    """`omtcp serve` over all uplinks."""

    def __init__(self, network: Network, root: Path, spec: SenderSpec) -> None:
        super().__init__(network, root, spec)
        self.control = network.directory / "control.sock"

    def _command(self) -> list[str]:
        family = self._network.case.family
        paths = [f"--path={up.device}@{up.gateway[family]}" for up in self._network.uplinks]
        options = ["--mode", self._spec.mode, "--cc", self._spec.cc, "--events", str(self.events)]
        options += ["--control", str(self.control)]
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
    kinds: dict[str, Callable[[Network, Path, SenderSpec], Sender]] = {
        "kernel": KernelTcp,
        "mptcp": KernelMptcp,
        "omtcp": Omtcp,
    }
    if spec.kind not in kinds:
        raise LocalError(f"no such sender: {spec.kind!r}")
    return kinds[spec.kind](network, root, spec)
