"""What the kernel tells about a Multipath TCP connection (RFC 8684, linux/mptcp.h)."""

import ctypes
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from omtcp.errors import SetupError

MAX_UPLINKS = 9
"""One subflow to connect with, and as many as the kernel's path manager adds."""

_SOL_MPTCP = 284
_MPTCP_INFO = 1
_MPTCP_FULL_INFO = 4
_FALLBACK = 1
_FLAGS_AT = 8
_ADDRESS_BYTES = 128
_TCP_INFO_BYTES = 256
_SWITCH = Path("/proc/sys/net/mptcp/enabled")


def require_mptcp() -> None:
    """Raises SetupError if this kernel cannot do it."""
    if not _SWITCH.exists():
        raise SetupError("this kernel has no Multipath TCP (CONFIG_MPTCP)")


def fell_back(connection: socket.socket) -> bool:
    """Whether a connection that was opened as MPTCP is plain TCP by now.

    After a fallback the socket is its one remaining subflow, which does not know the option.
    """
    try:
        info = connection.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _ADDRESS_BYTES)
    except OSError:
        return True
    return bool(int.from_bytes(info[_FLAGS_AT : _FLAGS_AT + 4], "little") & _FALLBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubflowInfo:
    """One subflow: its address at this end, and its raw `struct tcp_info`."""

    local: str
    tcp_info: bytes


class _Subflow(ctypes.Structure):
    _fields_ = (
        ("id", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("local", ctypes.c_ubyte * _ADDRESS_BYTES),
        ("remote", ctypes.c_ubyte * _ADDRESS_BYTES),
    )


class _FullInfo(ctypes.Structure):
    """struct mptcp_full_info: sizes of what we offer, and where the kernel is to put it."""

    _fields_ = (
        ("size_tcpinfo_kernel", ctypes.c_uint32),
        ("size_tcpinfo_user", ctypes.c_uint32),
        ("size_sfinfo_kernel", ctypes.c_uint32),
        ("size_sfinfo_user", ctypes.c_uint32),
        ("num_subflows", ctypes.c_uint32),
        ("size_arrays_user", ctypes.c_uint32),
        ("subflow_info", ctypes.c_uint64),
        ("tcp_info", ctypes.c_uint64),
        ("mptcp_info", ctypes.c_ubyte * _ADDRESS_BYTES),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def subflows(connection: socket.socket) -> list[SubflowInfo]:
    """The subflows that a connection has now; OSError if the kernel does not tell (before 6.5)."""
    addresses = (_Subflow * MAX_UPLINKS)()
    infos = ((ctypes.c_ubyte * _TCP_INFO_BYTES) * MAX_UPLINKS)()
    full = _FullInfo(
        size_tcpinfo_user=_TCP_INFO_BYTES,
        size_sfinfo_user=ctypes.sizeof(_Subflow),
        size_arrays_user=MAX_UPLINKS,
        subflow_info=ctypes.addressof(addresses),
        tcp_info=ctypes.addressof(infos),
    )
    # Python's getsockopt hands in no content, and this option reads before it writes.
    length = ctypes.c_uint32(ctypes.sizeof(full))
    failed = _libc.getsockopt(
        connection.fileno(),
        _SOL_MPTCP,
        _MPTCP_FULL_INFO,
        ctypes.byref(full),
        ctypes.byref(length),
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    count = min(full.num_subflows, MAX_UPLINKS)
    return [
        SubflowInfo(local=_address(bytes(addresses[i].local)), tcp_info=bytes(infos[i]))
        for i in range(count)
    ]


def _address(raw: bytes) -> str:
    """The host part of a socket address."""
    if int.from_bytes(raw[:2], "little") == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24])
    return socket.inet_ntop(socket.AF_INET, raw[4:8])
