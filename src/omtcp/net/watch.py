"""Watching the uplinks: told by the kernel at once when one goes down, comes back or changes.

The kernel forgets routes over an interface that is set down or loses its addresses, and does not
put them back; people and programs remove them too, and default routes move to other gateways. This
notices, has the plumbing repaired, and tells which paths went or came. The messages are rtnetlink's
(linux/rtnetlink.h). Of those about routes the kernel passes on only the few that may concern us
(net/routefilter.py): a router hears thousands.
"""

import socket
import sys
from collections.abc import Iterator
from struct import Struct
from typing import Self

from omtcp.net.netlink import MAIN_TABLE
from omtcp.net.plumbing import Plumbing
from omtcp.net.routefilter import DELETE_ROUTE, NEW_ROUTE, attach_route_filter

_MESSAGE = Struct("=IHHII")
_LINK = Struct("=BxHiII")
_ADDRESS = Struct("=BBBBI")
_ROUTE_SIZE = 12
_ATTRIBUTE = Struct("=HH")

_NEW_LINK, _DELETE_LINK = 16, 17
_NEW_ADDRESS, _DELETE_ADDRESS = 20, 21
_DELETE_RULE = 33
_IFLA_IFNAME = 3
_RTA_TABLE = 15
_IFF_UP = 0x1
_IFF_LOWER_UP = 0x10000
_GROUPS = 0x1 | 0x10 | 0x100 | 0x80 | 0x40000  # links, addresses 4 and 6, rules 4 and 6
_ROUTE_GROUPS = 0x40 | 0x400  # 4 and 6

_RECEIVE_SIZE = 1 << 16


class UplinkWatch:
    """Wait for `fileno()` to become readable, then call `handle_readable`."""

    def __init__(self, plumbing: Plumbing) -> None:
        """Watch the uplinks of `plumbing`, which is open."""
        self._plumbing = plumbing
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0
        )
        attach_route_filter(self._socket)
        self._socket.bind((0, _GROUPS | _ROUTE_GROUPS))
        self._up: dict[str, bool] = {}
        """By uplink; several paths may share one."""
        self._told: dict[int, bool] = {}
        """By path."""
        self._tuns: dict[str, bool] = {}
        self._indices: set[int] = set()
        self.follow()

    def follow(self) -> None:
        """Paths were added or removed: watch what they are now."""
        paths = self._plumbing.paths
        self._up = {
            path.uplink.device: self._up.get(path.uplink.device, path.uplink.carrier)
            for path in paths.values()
        }
        self._told = {
            index: self._told.get(index, path.uplink.carrier) for index, path in paths.items()
        }
        self._tuns = {path.tun.name: self._tuns.get(path.tun.name, True) for path in paths.values()}
        self._indices = {path.uplink.index for path in paths.values()}

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop watching; a second call does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle_readable(self) -> list[tuple[int, bool]]:
        """Read what there is, repair what is to be, tell the paths that changed: (path, is up).

        SetupError if a repair fails; `poll_changes` tells the changes all the same.
        """
        damaged = False
        for kind, body in self._messages():
            damaged |= self._handle_message(kind, body)
        if damaged:
            for index, up in self._plumbing.repair().items():
                self._up[self._plumbing.paths[index].uplink.device] = up
        return self.poll_changes()

    def poll_changes(self) -> list[tuple[int, bool]]:
        """The paths that changed since they were last told of: (path, is up)."""
        changes = []
        for index, path in self._plumbing.paths.items():
            up = self._up[path.uplink.device]
            if self._told[index] != up:
                self._told[index] = up
                changes.append((index, up))
        return changes

    def _handle_message(self, kind: int, body: memoryview) -> bool:
        """Whether something of ours may have been damaged."""
        if kind in (_NEW_LINK, _DELETE_LINK):
            return self._handle_link(kind, body)
        if kind in (_NEW_ADDRESS, _DELETE_ADDRESS):
            return _ADDRESS.unpack_from(body)[4] in self._indices
        if kind in (NEW_ROUTE, DELETE_ROUTE):
            return self._handle_route(kind, body)
        return kind in (_DELETE_RULE, _LOST)

    def _handle_route(self, kind: int, body: memoryview) -> bool:
        """Whether it was a route of ours, or one by which gateways are found."""
        table = _attribute(body[_ROUTE_SIZE:], _RTA_TABLE)
        number = int.from_bytes(table, sys.byteorder) if table else 0
        paths = self._plumbing.paths.values()
        if number == MAIN_TABLE:
            return any(path.spec.gateway is None for path in paths)
        return kind == DELETE_ROUTE and any(path.table == number for path in paths)

    def _handle_link(self, kind: int, body: memoryview) -> bool:
        _, _, index, flags, _ = _LINK.unpack_from(body)
        name = _interface_name(body[_LINK.size :])
        states = self._tuns if name in self._tuns else self._up
        if name not in states:
            return False
        if states is self._up:
            self._indices.add(index)  # a tunnel that was set up again has a new one
        up = kind == _NEW_LINK and bool(flags & _IFF_UP) and bool(flags & _IFF_LOWER_UP)
        changed = up != states[name]
        states[name] = up
        return changed and up

    def _messages(self) -> Iterator[tuple[int, memoryview]]:
        """Type and body of each message; _LOST where the kernel had no room to keep some."""
        while True:
            try:
                data = memoryview(self._socket.recv(_RECEIVE_SIZE))
            except BlockingIOError:
                return
            except OSError:
                yield _LOST, memoryview(b"")
                continue
            while len(data) >= _MESSAGE.size:
                length, kind, *_ = _MESSAGE.unpack_from(data)
                if length < _MESSAGE.size:
                    break
                yield kind, data[_MESSAGE.size : length]
                data = data[_aligned(length) :]


_LOST = -1


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _interface_name(attributes: memoryview) -> str:
    value = _attribute(attributes, _IFLA_IFNAME)
    return value.rstrip(b"\0").decode(sys.getfilesystemencoding(), "surrogateescape")


def _attribute(attributes: memoryview, wanted: int) -> bytes:
    """The value of the first attribute of that kind, empty if there is none."""
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if length < _ATTRIBUTE.size:
            break
        if kind == wanted:
            return bytes(attributes[_ATTRIBUTE.size : length])
        attributes = attributes[_aligned(length) :]
    return b""
