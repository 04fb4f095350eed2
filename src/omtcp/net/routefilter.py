"""A filter in the kernel for what a netlink socket hears about routes.

A host with the Internet's routes sees thousands of changes a minute, next to none of which concern
us. A socket filter (linux/filter.h, classic BPF) lets pass: routes removed from tables above 255,
where ours are; default routes of the main table; and all that is not about routes.
"""

import ctypes
import socket
from struct import Struct

NEW_ROUTE, DELETE_ROUTE = 24, 25

_SO_ATTACH_FILTER = 26
_INSTRUCTION = Struct("=HBBI")
_TYPE_AT = 4
"""Of struct nlmsghdr, which has 16 bytes; struct rtmsg follows."""
_PREFIX_LENGTH_AT = 17
_TABLE_AT = 20
_TABLE_COMPAT = 252
"""Stands in a byte for a table above 255."""
_TABLE_MAIN = 254

_LOAD_HALF, _LOAD_BYTE, _JUMP_EQUAL, _RETURN = 0x28, 0x30, 0x15, 0x06
_EVERYTHING = 0xFFFF_FFFF


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def attach_route_filter(netlink: socket.socket) -> None:
    """Let only the messages pass that the module tells of; before the socket joins groups."""
    program = [
        (_LOAD_HALF, 0, 0, _TYPE_AT),
        (_JUMP_EQUAL, 3, 0, _swapped(NEW_ROUTE)),  # to the second load of the table
        (_JUMP_EQUAL, 0, 6, _swapped(DELETE_ROUTE)),  # not about routes: pass
        (_LOAD_BYTE, 0, 0, _TABLE_AT),
        (_JUMP_EQUAL, 4, 1, _TABLE_COMPAT),
        (_LOAD_BYTE, 0, 0, _TABLE_AT),
        (_JUMP_EQUAL, 0, 3, _TABLE_MAIN),
        (_LOAD_BYTE, 0, 0, _PREFIX_LENGTH_AT),
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _EVERYTHING),
        (_RETURN, 0, 0, 0),
    ]
    code = b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = _Program(len(program), ctypes.cast(buffer, ctypes.c_void_p))
    netlink.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(described))


def _swapped(number: int) -> int:
    """A 16-bit number of the host's byte order as a filter, which reads big-endian, sees it."""
    return int.from_bytes(Struct("=H").pack(number), "big")
