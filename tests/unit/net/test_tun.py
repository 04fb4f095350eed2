"""Tun on one end of a socket pair, which keeps the borders between packets as a device does."""

import errno
import mmap
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from omtcp.errors import PathError, SetupError
from omtcp.net import big_tcp, vnet
from omtcp.net import tun as tun_module
from omtcp.net.tun import IOV_MAX, PACKET_SIZE, PayloadError, Tun, most_payload
from omtcp.net.vnet import VnetHeader
from omtcp.wire.header import MAX_PAYLOAD, MOST_PAYLOAD
from omtcp.wire.tcp import CWR

HEADER4 = b"\x45" + bytes(51)
HEADER6 = b"\x60" + bytes(71)
WITH_CWR = HEADER4[:33] + bytes([CWR]) + HEADER4[34:]


class Wire:
    """The other end of a Tun."""

    def __init__(self) -> None:
        ours, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        ours.setblocking(False)
        self.tun = Tun(ours.detach(), "test0", 1500)

    def sent(self) -> tuple[VnetHeader, bytes]:
        """The next packet that was written, with its header apart."""
        packet = self.end.recv(1 << 17, socket.MSG_DONTWAIT)
        return vnet.unpack(packet), packet[vnet.HEADER_LENGTH :]


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.tun.close()
    wire.end.close()


def test_write_sends_header_and_payload_as_one_packet(wire: Wire) -> None:
    payload = memoryview(bytes(range(256)) * 200)
    assert wire.tun.write(HEADER4, [payload[:30000], payload[30000:]], 1448, 20)
    header, packet = wire.sent()
    assert packet == HEADER4 + bytes(payload)
    assert header == VnetHeader(vnet.NEEDS_CHECKSUM, vnet.GSO_TCP4, 52, 1448, 20, 16)


@pytest.mark.parametrize(("length", "cut"), [(1447, False), (1448, False), (1449, True)])
def test_only_what_exceeds_a_segment_is_cut(wire: Wire, length: int, cut: bool) -> None:
    assert wire.tun.write(HEADER6, [bytes(length - 7), bytes(7)], 1448, 40)
    header, _ = wire.sent()
    assert header.gso_type == (vnet.GSO_TCP6 if cut else vnet.GSO_NONE)
    assert header.segment_size == (1448 if cut else 0)
    assert header.checksum_start == 40


def test_a_header_is_not_mistaken_for_another(wire: Wire) -> None:
    """Each of the things that a remembered header depends on is told apart."""
    big = [bytes(3000)]
    cases = [
        (HEADER4, big, 1448, 20),
        (WITH_CWR, big, 1448, 20),
        (HEADER4, big, 1400, 20),
        (HEADER4, [], 1448, 20),
        (HEADER4 + bytes(4), big, 1448, 20),
        (HEADER4 + bytes(4), big, 1448, 24),
        (HEADER6, big, 1448, 40),
    ]
    expected = [
        VnetHeader(1, 1, 52, 1448, 20, 16),
        VnetHeader(1, 0x81, 52, 1448, 20, 16),
        VnetHeader(1, 1, 52, 1400, 20, 16),
        VnetHeader(1, 0, 52, 0, 20, 16),
        VnetHeader(1, 1, 56, 1448, 20, 16),
        VnetHeader(1, 1, 56, 1448, 24, 16),
        VnetHeader(1, 4, 72, 1448, 40, 16),
    ]
    for _ in range(2):
        for case, header in zip(cases, expected, strict=True):
            assert wire.tun.write(*case)
            assert wire.sent()[0] == header


def test_no_peer_makes_us_remember_without_bound(wire: Wire) -> None:
    for size in range(1, 3000):
        assert wire.tun.write(HEADER4, [bytes(size + 1)], size, 20)
        assert wire.sent()[0].segment_size == size
    assert len(wire.tun._headers) <= 1024


def test_more_buffers_than_one_write_takes(wire: Wire) -> None:
    payload = [bytes([number & 0xFF]) * 7 for number in range(3 * IOV_MAX)]
    assert wire.tun.write(HEADER4, payload, 1448, 20)
    assert wire.sent()[1] == HEADER4 + b"".join(payload)


def test_exactly_as_many_buffers_as_one_write_takes(wire: Wire) -> None:
    payload = [b"x"] * (IOV_MAX - 2)
    assert wire.tun.write(HEADER4, payload, 1448, 20)
    assert wire.sent()[1] == HEADER4 + b"x" * (IOV_MAX - 2)


@pytest.mark.parametrize("pieces", [1, 2 * IOV_MAX])
def test_a_truncated_file_is_the_payloads_fault(wire: Wire, tmp_path: Path, pieces: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 16384)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    view = memoryview(mapped)
    os.truncate(path, 4096)
    payload = [view[8192:]] * pieces if pieces == 1 else [view[8192:8200]] * pieces
    with pytest.raises(PayloadError, match="truncated"):
        wire.tun.write(HEADER4, payload, 1448, 20)
    assert wire.tun.write(HEADER4, [b"next"], 1448, 20)  # nobody else suffers
    assert wire.sent()[1] == HEADER4 + b"next"
    payload.clear()
    view.release()
    mapped.close()


def test_a_full_queue_drops(wire: Wire) -> None:
    for _ in range(10_000):
        if not wire.tun.write(HEADER4, [bytes(1000)], 1448, 20):
            break
    else:
        pytest.fail("the queue never filled up")
    assert not wire.tun.write_packet(bytes(1000))
    wire.sent()
    assert wire.tun.write(HEADER4, [bytes(1000)], 1448, 20)


def test_write_packet_leaves_everything_as_it_is(wire: Wire) -> None:
    assert wire.tun.write_packet(b"\x45 and so on")
    assert wire.sent() == (VnetHeader(0, 0, 0, 0, 0, 0), b"\x45 and so on")


@pytest.mark.parametrize(
    ("flags", "known"),
    [(0, False), (vnet.NEEDS_CHECKSUM, True), (vnet.CHECKSUM_VALID, True), (0x04, False)],
)
def test_read(wire: Wire, flags: int, known: bool) -> None:
    buffer = bytearray(PACKET_SIZE)
    wire.end.send(vnet.pack(VnetHeader(flags, 0, 0, 0, 0, 0)) + b"packet")
    assert wire.tun.read_into(buffer) == (6, known)
    assert buffer[:6] == b"packet"
    assert wire.tun.read_into(buffer) is None


def test_read_of_a_super_packet(wire: Wire) -> None:
    packet = os.urandom(65535)
    wire.end.send(vnet.COMPLETE + packet)
    buffer = bytearray(PACKET_SIZE)
    assert wire.tun.read_into(memoryview(buffer)) == (65535, False)
    assert buffer[:65535] == packet


def test_a_closed_device_is_gone(wire: Wire) -> None:
    wire.tun.close()
    wire.tun.close()
    assert wire.tun.fileno() == -1
    with pytest.raises(PathError, match="test0 is gone"):
        wire.tun.write(HEADER4, [], 1448, 20)
    with pytest.raises(PathError, match="test0 is gone"):
        wire.tun.write_packet(HEADER4)
    with pytest.raises(PathError, match="test0 is gone"):
        wire.tun.read_into(bytearray(10))


def test_a_bug_of_ours_is_not_hidden(wire: Wire) -> None:
    wire.end.close()
    with pytest.raises(ConnectionRefusedError):
        wire.tun.write_packet(HEADER4)


def test_no_device_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tun_module, "DEVICE_NODE", str(tmp_path / "tun"))
    with pytest.raises(SetupError, match=r"^there is no .*tun: load the kernel module tun$"):
        Tun.open()


def test_a_device_node_of_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tun_module, "DEVICE_NODE", "/dev/null")
    with pytest.raises(SetupError, match=r"^cannot make the TUN device omtcp%d: "):
        Tun.open()


def test_a_usual_device_takes_what_fits_64_kib(wire: Wire) -> None:
    assert wire.tun.most == most_payload(0) == MAX_PAYLOAD
    assert most_payload(1 << 30) == MOST_PAYLOAD
    assert most_payload(big_tcp.USUAL + 100) == MAX_PAYLOAD + 100


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE])
def test_what_finds_no_memory_is_shorter_from_then_on(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    tun = Tun(-1, "test0", 1500, 200_000)
    assert tun.most == most_payload(200_000)
    monkeypatch.setattr(os, "writev", refuse)
    for expected in (most_payload(200_000) // 2, MAX_PAYLOAD):
        assert not tun.write(HEADER4, [bytes(3000)], 1448, 20)
        assert tun.most == expected
