"""The emulator's ends: packet sockets, and what a middlebox behind one lets pass."""

import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from omtcp.lab.frames import ecn_of, is_data, port_to
from omtcp.link.link import DropReason
from omtcp.link.pipe import Pipe

_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_BUFFER_BYTES = 64 << 20
_MAX_FRAME = 65_600
_BATCH = 64
FILTERS: dict[str, Callable[[bytes], bool] | None] = {
    "none": None,
    "all": lambda frame: True,
    "data": is_data,
}
"""What a middlebox swallows, by its name in a link's spec."""


class Port:
    """A packet socket on one veth end; frames that it sends go to `mac`."""

    def __init__(self, device: str, mac: bytes) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
        self.socket.bind((device, _ETH_P_ALL))
        self.socket.setblocking(False)
        self.mac = mac
        self.refused = 0

    def send(self, frame: bytes) -> None:
        try:
            self.socket.send(self.mac + frame[6:])
        except OSError:  # a full or vanished device loses frames, as devices do
            self.refused += 1

    def overruns(self) -> int:
        """Frames that the kernel dropped because we did not read in time."""
        _, drops = struct.unpack("II", self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return int(drops)


@dataclass(slots=True, kw_only=True)
class Inlet:
    """Where frames come from, and the link that they enter unless a middlebox takes them.

    If there are several links, each connection has one of its own.
    """

    receive: Callable[[int], bytes]
    pipes: Sequence[Pipe[bytes]]
    swallows: Callable[[bytes], bool] | None = None
    _flows: dict[bytes, Pipe[bytes]] = field(default_factory=dict)

    def read(self, now: int) -> None:
        """Takes a batch of frames off the device; multicast (discovery) stays on its wire."""
        pipe, swallows = self.pipes[0], self.swallows
        marking = pipe.link.config.mark_bytes is not None
        several = len(self.pipes) > 1
        try:
            for _ in range(_BATCH):
                frame = self.receive(_MAX_FRAME)
                if frame[0] & 1:
                    continue
                if several:
                    pipe = self._own(frame)
                if swallows is not None and swallows(frame):
                    pipe.counters.drop(DropReason.SWALLOWED)
                    continue
                pipe.send(now, frame, len(frame), marking and ecn_of(frame) != 0)
        except BlockingIOError:
            pass

    def _own(self, frame: bytes) -> Pipe[bytes]:
        """The link of the connection that a frame belongs to, told by the client's port."""
        port = port_to(frame)
        if port not in self._flows:
            self._flows[port] = self.pipes[len(self._flows) % len(self.pipes)]
        return self._flows[port]
