"""What moving bytes through a TUN device costs when nothing else is done: the floor under omtcp.

Root, about a minute: python bench/floor.py [ROUNDS [PICTURE.svg]]

Three servers in turn on the ground of `omtcp bench --case bulk`: omtcp, the kernel's CUBIC, and a
loop that borrows a connection from omtcp once it is established and then only writes super-segments
from a mapped file until the receive window is full, reads ACKs, and goes on. It knows of no loss,
no round trip, no timer, no second connection. What it needs is what no sender over a TUN device can
save; what omtcp needs beyond is ours.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from struct import Struct
from tempfile import TemporaryDirectory

from omtcp import aio
from omtcp.aio.transport import Transport
from omtcp.bench.case import Setting
from omtcp.bench.downloads import measure
from omtcp.bench.ground import Ground
from omtcp.bench.stacks import BIG, KERNEL, OMTCP, Stack, kernel, omtcp
from omtcp.core.config import Config, Mode
from omtcp.core.connection import Connection
from omtcp.lab.netns import remove_leftovers, require_host
from omtcp.lab.network import Network
from omtcp.lab.senders import PORT
from omtcp.net import vnet
from omtcp.wire.header import HeaderWriter
from omtcp.wire.tcp import ACK, Segment
from omtcp.wire.train import super_segment_size

FLOOR = "bare loop"
BATCH = 16
"""Super-segments between two looks at what came back, as omtcp has it."""
FILE_SIZE = 256 << 20
LEAD = 32 << 20
"""What omtcp sends before it lends the connection: the receive window has grown by then."""
_MASK = 0xFFFF_FFFF
_PATIENCE_MS = 1000
_SEQ, _ACK_AND_WINDOW = Struct("!I"), Struct("!I2xH")
_IPV4, _SEQ_AT, _ACK_AT = 20, 4, 8


def flood(connection: Connection, fd: int, content: memoryview) -> None:
    """Send for ever on an established connection over IPv4 whose data is all acknowledged."""
    flow, sender, composer = connection.flow, connection.sender, connection._composer
    assert sender is not None
    assert composer.agreement is not None
    shift, mss = composer.agreement.send_shift, sender.best.mss
    size = super_segment_size(mss)
    first = composer._segment(sender.board.nxt, ACK)
    last_sent, last_heard = connection._timestamps.now(connection._now), composer._timestamps.recent
    stamps = (last_sent, last_heard) if composer.agreement.timestamps else None
    whole = Segment(0, 0, first.seq, first.ack, ACK, first.window, timestamps=stamps, length=size)
    writer = HeaderWriter(flow.local, flow.remote, flow.local_port, flow.remote_port)
    header = bytearray(writer.header(whole))
    prefix = vnet.tcp_header(
        version=4, ip_header_length=_IPV4, header_length=len(header), segment_size=mss, ecn=False
    )
    came = (bytearray(vnet.HEADER_LENGTH), bytearray(2048))
    seq = acked = first.seq
    window = sender.window.size
    at = 0
    while True:
        for _ in range(BATCH):
            if (seq - acked & _MASK) + size > window:
                break
            _SEQ.pack_into(header, _IPV4 + _SEQ_AT, seq)
            os.writev(fd, (prefix, header, content[at : at + size]))
            seq = seq + size & _MASK
            at = at + size if at + 2 * size <= len(content) else 0
        else:
            if not select.select([fd], [], [], 0)[0]:
                continue
        if not select.select([fd], [], [], _PATIENCE_MS / 1000)[0]:
            return  # the receiver is gone, or something was lost
        try:
            while True:
                os.readv(fd, came)
                acked, raw_window = _ACK_AND_WINDOW.unpack_from(came[1], _IPV4 + _ACK_AT)
                window = raw_window << shift
        except BlockingIOError:
            pass


class Lender(asyncio.Protocol):
    """Answers a request with a beginning, and lends its connection once that is acknowledged."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._transport: Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        assert self._transport is not None
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000\r\n\r\n")
        self._transport.write(self._content[:LEAD])
        self._lend()

    def _lend(self) -> None:
        assert self._transport is not None
        connection = self._transport.get_extra_info("omtcp")
        if connection.sender.window.busy:
            asyncio.get_running_loop().call_later(0.01, self._lend)
            return
        (fd,) = (int(name) for name in os.listdir("/proc/self/fd") if _is_tun(name))
        flood(connection, fd, self._content)


def _is_tun(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}") == "/dev/net/tun"
    except FileNotFoundError:
        return False


async def lend(file: str, address: str, port: str, *paths: str) -> None:
    """The bare loop's server process."""
    with open(file, "rb") as opened:
        content = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    config = Config(mode=Mode.SINGLE)
    async with aio.serve(lambda: Lender(content), address, int(port), paths, config=config):
        print("ready", flush=True)
        await asyncio.Event().wait()


def bare() -> Stack:
    """The loop as a server of the bench."""

    def command(network: Network, root: Path) -> list[str]:
        paths = [f"{up.device}@{up.gateway[network.case.family]}" for up in network.uplinks]
        where = [network.served, str(PORT)]
        return [sys.executable, __file__, "--lend", str(root / BIG), *where, *paths]

    return Stack(name=FLOOR, command=command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians: goodput, and processor seconds per GB in the two places."""

    gbits: float
    python: float
    kernel: float

    @classmethod
    def of(cls, rows: list[Mapping[str, float]]) -> Row:
        """Of the rounds."""
        goodput, cpu, user = (
            median(row[key] for row in rows) for key in ("goodput", "cpu_per_gb", "user_per_gb")
        )
        return cls(gbits=goodput / 1e3, python=user, kernel=cpu - user)


def main(rounds: int, picture: str | None) -> None:
    """Measure, and print a table of medians."""
    require_host()
    remove_leftovers()
    figures: dict[str, list[Mapping[str, float]]] = {OMTCP: [], FLOOR: [], KERNEL: []}
    with TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        root.mkdir()
        (root / BIG).write_bytes(os.urandom(FILE_SIZE))
        for number in range(rounds):
            for stack in (omtcp(), bare(), kernel()):
                directory = Path(temporary) / f"{number}{stack.name}".replace(" ", "-")
                directory.mkdir()
                setting = Setting(
                    directory=directory, root=root, duration_s=2.0, warmup_s=1.0, quick=False
                )
                figures[stack.name].append(measure(stack, Ground(), setting))
    found = {name: Row.of(rows) for name, rows in figures.items()}
    print(f"{'':14}{'Gbit/s':>8}{'CPU s/GB':>10}{'Python':>8}{'kernel':>8}")
    for name, row in found.items():
        total = row.python + row.kernel
        print(f"{name:14}{row.gbits:8.1f}{total:10.3f}{row.python:8.3f}{row.kernel:8.3f}")
    if picture is not None:
        draw(found, picture)


def draw(found: dict[str, Row], picture: str) -> None:
    """Bars of processor time."""
    from matplotlib import pyplot  # only whoever wants a picture needs it

    names = list(reversed(found))
    python = [found[name].python for name in names]
    _, axes = pyplot.subplots(figsize=(7, 2.2), layout="constrained")
    axes.barh(names, python, label="user mode (Python)", color="#3572a5")
    axes.barh(names, [found[n].kernel for n in names], left=python, label="kernel", color="#b0b0b0")
    axes.set_xlabel("processor seconds of the sender per GB")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    pyplot.savefig(picture)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--lend"]:
        asyncio.run(lend(*sys.argv[2:]))
    else:
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else 3,
            sys.argv[2] if len(sys.argv) > 2 else None,
        )
