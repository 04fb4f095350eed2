"""Other userspace stacks, each if it is there: from PyPI into this environment, or from Debian."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from omtcp.bench.stacks import Stack
from omtcp.lab.network import Network
from omtcp.lab.processes import python_module
from omtcp.lab.senders import PORT

PMD_PYTCP = "pmd-pytcp"
PYTCP = "PyTCP"
SLIRP = "slirp4netns"
PASTA = "pasta"

_GATEWAY = "192.0.2.254"
_HOST_IN_GUEST = "10.0.2.2"
_GUEST = "10.0.2.100"
_GUEST_DEVICE = "tap0"


def _module(name: str, package: str) -> Callable[[], str | None]:
    def absent() -> str | None:
        if find_spec(name) is None:
            return f"not installed (pip install '{package}')"
        return None

    return absent


def _program(name: str, package: str) -> Callable[[], str | None]:
    def absent() -> str | None:
        if shutil.which(name) is None:
            return f"not installed (apt-get install {package})"
        return None

    return absent


def _python(name: str, module: str, package: str, device: str) -> Stack:
    """A stack in Python that owns the served address behind a TUN or TAP device."""
    kind = device[:3]

    def command(network: Network, root: Path) -> list[str]:
        network.server.sysctl({"net.ipv4.ip_forward": 1})
        network.server.ip([f"tuntap add mode {kind} {device}", f"link set {device} up"])
        if kind == "tap":
            network.server.ip([f"address add {_GATEWAY}/24 dev {device}"])
        else:
            network.server.ip([f"route add {network.served} dev {device}"])
        where = [f"{network.served}/24", _GATEWAY, str(PORT)]
        return python_module(f"omtcp.bench.peers.{module}", device, *where)

    return Stack(name=name, command=command, absent=_module(module, package))


def pmd_pytcp() -> Stack:
    """pmd-pytcp: Python on asyncio, CUBIC, SACK, RACK-TLP; on a TUN device."""
    return _python(PMD_PYTCP, "pmd_pytcp", "pmd-pytcp", "tun7")


def pytcp() -> Stack:
    """PyTCP 2.7: Python with threads; on a TAP device."""
    return _python(PYTCP, "pytcp", "pytcp<3", "tap7")


def _relay(name: str, package: str, arguments: Callable[[str], list[str]]) -> Stack:
    """A stack that stands between the client's namespace and a file server on the host."""

    def command(network: Network, root: Path) -> list[str]:
        guest = network.client.name
        relay = [name, *arguments(f"/run/netns/{guest}")]
        where = [str(root), str(PORT), guest, _GUEST_DEVICE]
        return python_module("omtcp.bench.peers.relay", *where, *relay)

    return Stack(
        name=name,
        command=command,
        absent=_program(name, package),
        address=lambda network: _HOST_IN_GUEST,
    )


def slirp4netns() -> Stack:
    """slirp4netns: libslirp, C, on a TAP device."""

    def arguments(guest: str) -> list[str]:
        options = ["--configure", "--mtu=1500", "--netns-type=path"]
        return [*options, guest, _GUEST_DEVICE]

    return _relay(SLIRP, "slirp4netns", arguments)


def pasta() -> Stack:
    """pasta (passt): C, on a TAP device; it copies the kernel's windows instead of its own."""

    def arguments(guest: str) -> list[str]:
        return [
            *("--foreground", "--quiet", "--runas", "0", "--netns", guest),
            *("--config-net", "--ipv4-only", "--interface", "veth0", "--mtu", "1500"),
            *("--address", _GUEST, "--netmask", "24", "--gateway", _HOST_IN_GUEST),
            *("--ns-ifname", _GUEST_DEVICE),
            *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
        ]

    return _relay(PASTA, "passt", arguments)
