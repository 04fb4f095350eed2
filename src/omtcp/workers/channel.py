"""What supervisor and worker talk over: whole messages, some with descriptors.

Both ends are ours and no one else has them, so messages are pickled.
"""

from __future__ import annotations

import pickle
import socket
from array import array
from collections.abc import Sequence
from contextlib import suppress

from omtcp.workers.messages import Message

BUFFER = 4 << 20
"""Octets that may be under way; far more than there ever are, unless one end hangs."""
MOST_DESCRIPTORS = 253
"""Of one message: SCM_MAX_FD of the kernel."""
_SO_SNDBUFFORCE = 32
_INT = array("i").itemsize


class ChannelClosedError(Exception):
    """The other end is gone."""


def channels() -> tuple[Channel, Channel]:
    """The two ends of a new one."""
    kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    for end in (one, other):
        with suppress(PermissionError):
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER)
    return Channel(one), Channel(other)


class Channel:
    """One end. Nothing blocks: when `fileno()` is readable, `receive` until there is None."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._end.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Send a message; False if the other end is gone, or has long read nothing."""
        octets = pickle.dumps(message)
        try:
            socket.send_fds(self._end, [octets], descriptors)
        except (BlockingIOError, ConnectionError, BrokenPipeError):
            return False
        return True

    def receive(self) -> tuple[Message, list[int]] | None:
        """The next message and the descriptors that came with it; None if there is none yet.

        Raises:
            ChannelClosedError: none will come.
        """
        try:
            octets, ancillary, _, _ = self._end.recvmsg(
                BUFFER, socket.CMSG_SPACE(MOST_DESCRIPTORS * _INT), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except ConnectionError:
            raise ChannelClosedError from None
        if not octets:
            raise ChannelClosedError
        message: Message = pickle.loads(octets)
        descriptors = array("i")
        for _, _, data in ancillary:  # SCM_RIGHTS: there is nothing else on such sockets
            descriptors.frombytes(data[: len(data) // _INT * _INT])
        return message, descriptors.tolist()

    def close(self) -> None:
        """Hang up; a second call does nothing."""
        self._end.close()
