"""TUN devices with segmentation offload: one write moves 64 KiB or more, none of it through Python.

A packet that is written here appears to the host as if it had arrived on the device, so rules and
routes decide where it leaves; a packet that the host routes into the device is read here.
"""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Self

from omtcp.errors import LocalError, PathError, SetupError
from omtcp.net import big_tcp, vnet
from omtcp.wire.buffer import Buffer
from omtcp.wire.header import MAX_PAYLOAD, MOST_PAYLOAD
from omtcp.wire.tcp import CWR

PACKET_SIZE = 65_600
"""Room for the largest packet that can be read: IPv6 header and 64 KiB, rounded up."""

DEVICE_NODE = "/dev/net/tun"
IOV_MAX = 1024

_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_TUNSETVNETHDRSZ = 0x400454D8
_IFF_TUN = 0x0001
_IFF_MULTI_QUEUE = 0x0100
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_OFFLOAD_CHECKSUM = 0x01
_OFFLOAD_TSO4 = 0x02
_OFFLOAD_TSO6 = 0x04
_OFFLOAD_TSO_ECN = 0x08
_OFFLOADS = _OFFLOAD_CHECKSUM | _OFFLOAD_TSO4 | _OFFLOAD_TSO6 | _OFFLOAD_TSO_ECN

QUEUE_LENGTH = 5000
"""Packets that wait to be read: a tenth of a second of ACKs at 1 Gbit/s. It takes no memory while
it is empty; the usual 500 overflow whenever the program is busy with something else."""

_SIOCSIFMTU = 0x8922
_SIOCSIFTXQLEN = 0x8943
_INTERFACE_REQUEST = Struct("=16sH22x")
_NUMBER_REQUEST = Struct("=16si20x")

_TCP_FLAGS = 13
"""Where in the TCP header they are."""

_KNOWN_GOOD = vnet.NEEDS_CHECKSUM | vnet.CHECKSUM_VALID

_QUEUE_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_TOO_LONG = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE})
"""What a long packet may be refused with: its memory comes in few pieces, or (before 6.5) many."""
_GONE = frozenset({errno.EBADFD, errno.EBADF, errno.ENODEV, errno.ENXIO})


def most_payload(longest: int) -> int:
    """Payload octets of a super-segment where packets of `longest` octets pass in one piece."""
    return max(min(longest - big_tcp.USUAL + MAX_PAYLOAD, MOST_PAYLOAD), MAX_PAYLOAD)


class PayloadError(LocalError):
    """The payload's memory cannot be read: a mapped file was truncated under the connection."""


class Tun:
    """One queue of one TUN device, non-blocking, gone when closed.

    Whoever waits for `fileno()` to become readable calls `read_into` until it says None.
    """

    __slots__ = ("_fd", "_headers", "_read_header", "most", "mtu", "name")

    def __init__(self, fd: int, name: str, mtu: int, longest: int = big_tcp.USUAL) -> None:
        """`longest` is the longest packet that passes in one piece wherever it goes from here."""
        self._fd = fd
        self.name = name
        self.mtu = mtu
        self.most = most_payload(longest)
        """Payload octets of the longest super-segment; fewer once memory was short of that."""
        self._headers: dict[tuple[int, int, int, int, int], bytes] = {}
        self._read_header = bytearray(vnet.HEADER_LENGTH)

    @classmethod
    def open(
        cls,
        name: str = "omtcp%d",
        *,
        mtu: int = 1500,
        longest: int = big_tcp.USUAL,
        multi_queue: bool = False,
    ) -> Self:
        """Make the device `name`; a `%d` in it becomes the first number that is free.

        With `multi_queue`, opening the same name again adds a queue. Raises SetupError with one
        line for the terminal when the host does not let us.
        """
        flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR | (_IFF_MULTI_QUEUE if multi_queue else 0)
        fd = _open_node()
        try:
            request = _INTERFACE_REQUEST.pack(name.encode(), flags)
            answer = fcntl.ioctl(fd, _TUNSETIFF, request)
            given = _INTERFACE_REQUEST.unpack(answer)[0].rstrip(b"\0").decode()
            fcntl.ioctl(fd, _TUNSETVNETHDRSZ, vnet.HEADER_LENGTH.to_bytes(4, sys.byteorder))
            fcntl.ioctl(fd, _TUNSETOFFLOAD, _OFFLOADS)
            _set_number(given, _SIOCSIFMTU, mtu)
            _set_number(given, _SIOCSIFTXQLEN, QUEUE_LENGTH)
        except OSError as error:
            os.close(fd)
            raise _setup_error(name, error) from error
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, given, mtu, longest)

    def fileno(self) -> int:
        """The descriptor to wait on; -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Give the queue back, and with the last one the device; a second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(
        self,
        header: Buffer,
        payload: Sequence[Buffer],
        segment_size: int,
        ip_header_length: int,
    ) -> bool:
        """Send one TCP packet, of any length; False when the host has no room for it.

        `header` is IP and TCP header with the pseudo-header's sum in the checksum field; the kernel
        cuts `payload` into segments of at most `segment_size` bytes.
        A packet for which False is returned is lost like one dropped by a queue on the way. Raises
        PayloadError if the payload cannot be read (only its connection is to blame), PathError if
        the device is gone.
        """
        return not self.write_all(((header, payload),), segment_size, ip_header_length)[1]

    def write_all(
        self,
        packets: Iterable[tuple[Buffer, Sequence[Buffer]]],
        segment_size: int,
        ip_header_length: int,
    ) -> tuple[int, int]:
        """Send the packets of one run, each as `write` does; how many there were, and were lost.

        Where a header is the one before, its packet is cut like the one before.
        """
        writev, fd = os.writev, self._fd
        count = lost = 0
        before: Buffer | None = None
        vnet_header = b""
        for header, payload in packets:
            count += 1
            if header is not before:
                before = header
                vnet_header = self._vnet_header(header, payload, segment_size, ip_header_length)
            if len(payload) > IOV_MAX - 2:
                payload = (_gather(payload),)
            try:
                writev(fd, (vnet_header, header, *payload))
            except OSError as error:
                lost += not self._failed(error)
        return count, lost

    def _vnet_header(
        self, header: Buffer, payload: Sequence[Buffer], segment_size: int, ip_header_length: int
    ) -> bytes:
        length = len(payload[0]) if len(payload) == 1 else sum(map(len, payload))
        if length <= segment_size:
            segment_size = 0
        cwr = header[ip_header_length + _TCP_FLAGS] & CWR
        key = (header[0], ip_header_length, len(header), segment_size, cwr)
        return self._headers.get(key) or self._remember(key)

    def write_packet(self, packet: Buffer) -> bool:
        """Send a packet that is complete, checksums included; the rest as for `write`."""
        try:
            os.writev(self._fd, (vnet.COMPLETE, packet))
        except OSError as error:
            return self._failed(error)
        return True

    def read_into(self, buffer: bytearray | memoryview) -> tuple[int, bool] | None:
        """Read one packet: its length and whether its TCP checksum is known to be right.

        The checksum is known when the packet never left this host or its sender's kernel left it
        to the hardware, and when the network card has checked it. None when there is nothing to
        read. `buffer` should have PACKET_SIZE bytes; a longer packet is cut short. Raises
        PathError if the device is gone.
        """
        try:
            length = os.readv(self._fd, (self._read_header, buffer))
        except BlockingIOError:
            return None
        except OSError as error:
            self._failed(error)
            return None
        flags = self._read_header[0]
        return length - vnet.HEADER_LENGTH, flags & _KNOWN_GOOD != 0

    def _remember(self, key: tuple[int, int, int, int, int]) -> bytes:
        first_octet, ip_header_length, header_length, segment_size, cwr = key
        packed = vnet.tcp_header(
            version=first_octet >> 4,
            ip_header_length=ip_header_length,
            header_length=header_length,
            segment_size=segment_size,
            ecn=cwr != 0,
        )
        if len(self._headers) >= 1024:  # a peer cannot make us remember without bound
            self._headers.clear()
        self._headers[key] = packed
        return packed

    def _failed(self, error: OSError) -> bool:
        """False for what TCP takes for a lost packet, a raise for the rest."""
        if error.errno in _TOO_LONG and self.most > MAX_PAYLOAD:
            self.most = max(self.most // 2, MAX_PAYLOAD)
            return False
        if error.errno in _QUEUE_FULL:
            return False
        if error.errno == errno.EIO:  # somebody set the device down: the path is silent
            return False
        if error.errno == errno.EFAULT:
            raise PayloadError("the file was truncated while it was being sent") from error
        if error.errno in _GONE:
            raise PathError(f"device {self.name} is gone") from error
        raise error  # EINVAL: the packet is malformed, which is a bug of ours


def _open_node() -> int:
    try:
        return os.open(DEVICE_NODE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SetupError(f"there is no {DEVICE_NODE}: load the kernel module tun") from error
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENXIO):
            raise SetupError(f"{DEVICE_NODE}: this kernel has no TUN devices") from error
        raise SetupError(f"cannot open {DEVICE_NODE}: {error.strerror}") from error


def _set_number(name: str, request: int, value: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request, _NUMBER_REQUEST.pack(name.encode(), value))


def _setup_error(name: str, error: OSError) -> SetupError:
    if error.errno == errno.EPERM:
        return SetupError("making a TUN device needs root or CAP_NET_ADMIN")
    if error.errno == errno.EBUSY:
        return SetupError(f"the TUN device {name} is in use")
    return SetupError(f"cannot make the TUN device {name}: {error.strerror}")


def _gather(payload: Sequence[Buffer]) -> bytes:
    """One buffer from more than writev takes; copied by the kernel, which survives bad memory."""
    fd = os.memfd_create("omtcp")
    try:
        for start in range(0, len(payload), IOV_MAX):
            os.writev(fd, payload[start : start + IOV_MAX])
        return os.pread(fd, sum(map(len, payload)), 0)
    except OSError as error:
        if error.errno == errno.EFAULT:
            raise PayloadError("the file was truncated while it was being sent") from error
        raise
    finally:
        os.close(fd)
