"""The stacks that serve: each is a command line in the server's namespace that says `ready`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omtcp.bench.case import Setting, present
from omtcp.bench.priority import favour
from omtcp.errors import SetupError
from omtcp.lab.kernel_server import Service
from omtcp.lab.mptcp import require_mptcp
from omtcp.lab.network import Network
from omtcp.lab.processes import Process, python_module
from omtcp.lab.senders import PORT

BIG = "big"
"""A file of 256 MB, fetched over and over."""
SMALL = "small"
"""A file of 1 KB."""
OMTCP = "omtcp"
POOLED = "omtcp pooled"
KERNEL = "kernel CUBIC"
MPTCP = "kernel MPTCP"
ASYNCIO = "kernel asyncio"


def _served(network: Network) -> str:
    return network.served


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """command: prepares the network for the stack and tells what to run there.

    address: where clients find it. mptcp: whether clients must speak Multipath TCP.
    """

    name: str
    command: Callable[[Network, Path], list[str]]
    absent: Callable[[], str | None] = present
    address: Callable[[Network], str] = _served
    mptcp: bool = False

    @contextmanager
    def serving(self, network: Network, setting: Setting) -> Iterator[Process]:
        """The process, while it serves the setting's files on PORT. SetupError if it does not."""
        log = setting.directory / "server.log"
        command = self.command(network, setting.root)
        process = Process(self.name, network.server, command, log)
        favour(process.pid)
        try:
            process.wait_for("ready", timeout=15.0)
            yield process
        finally:
            process.stop()


def omtcp(name: str = OMTCP, mode: str = "single", *, workers: int = 1) -> Stack:
    """`omtcp serve` over all uplinks, as a user runs it, without a trace."""

    def command(network: Network, root: Path) -> list[str]:
        family = network.case.family
        paths = [f"--path={up.device}@{up.gateway[family]}" for up in network.uplinks]
        where = ["--address", network.served, "--port", str(PORT)]
        how = ["--mode", mode, "--workers", str(workers)]
        return python_module("omtcp", "serve", str(root), *where, *how, *paths)

    return Stack(name=name, command=command)


def kernel(name: str = KERNEL, cc: str = "cubic") -> Stack:
    """The kernel's TCP over the first uplink, with sendfile: nothing sends files cheaper."""

    def command(network: Network, root: Path) -> list[str]:
        network.default_uplink(0)
        network.own_address()
        family = network.case.family
        service = Service(root=str(root), address=network.served, port=PORT, cc=cc, family=family)
        return service.command()

    return Stack(name=name, command=command)


def kernel_mptcp(name: str = MPTCP) -> Stack:
    """The kernel's Multipath TCP over all uplinks, at both ends, with sendfile."""

    def command(network: Network, root: Path) -> list[str]:
        network.multihome(0)
        service = Service(root=str(root), address="", port=PORT, mptcp=True)
        return service.command()

    def address(network: Network) -> str:
        return network.uplinks[0].address[network.case.family]

    def absent() -> str | None:
        try:
            require_mptcp()
        except SetupError as error:
            return str(error)
        return None

    return Stack(name=name, command=command, absent=absent, address=address, mptcp=True)


def kernel_asyncio(name: str = ASYNCIO) -> Stack:
    """The kernel's TCP under asyncio with our own HTTP code: only the stack differs from ours."""

    def command(network: Network, root: Path) -> list[str]:
        network.default_uplink(0)
        network.own_address()
        return python_module("omtcp.bench.asyncio_server", str(root), network.served, str(PORT))

    return Stack(name=name, command=command)
