"""What is said to those who are no connection: resets and SYN cookies.

Nothing is remembered of them but the answers that wait to be sent, and of these not many: strangers
can be as many as somebody likes.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from omtcp.core.config import Config
from omtcp.core.cookies import Cookies
from omtcp.core.flow import Flow
from omtcp.core.handshake import scale_for
from omtcp.core.paths import Paths
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, FIN, RST, SYN, Segment

REPLIES_MOST = 256
"""Segments to those who are no connection that wait to be sent; to more, nothing is answered."""


class Reply(NamedTuple):
    """A segment that belongs to no connection: the RST to a stray one, or a cookie."""

    flow: Flow
    segment: Segment
    path: int = 0


class Strangers:
    """Those who knock at one address."""

    def __init__(self, config: Config, version: int, paths: Paths, secret: bytes) -> None:
        """`version` is that of IP, and `secret` the key of the cookies."""
        self._config = config
        self._paths = paths
        self.cookies = Cookies(secret, version)
        self._replies: deque[Reply] = deque()

    def poll_reply(self) -> Reply | None:
        """The next answer to be sent."""
        return self._replies.popleft() if self._replies else None

    def offer_cookie(self, now: int, flow: Flow, syn: Segment, path: int) -> None:
        """Too many handshakes are under way to remember another one: let the peer do that."""
        order = self._paths.rotation(path)
        if not order or len(self._replies) >= REPLIES_MOST:
            return
        config = self._config
        if not config.timestamps:
            syn.timestamps = None
        iss, _, stamp = self.cookies.bake(now, flow.octets, syn)
        answer = Segment(
            source_port=flow.local_port,
            destination_port=flow.remote_port,
            seq=iss,
            ack=seq_add(syn.seq, 1),
            flags=SYN | ACK,
            window=min(config.receive_buffer, 0xFFFF),
            mss=self._paths[order[0]].size,
        )
        if stamp is not None and syn.timestamps is not None:
            answer.timestamps = (stamp, syn.timestamps[0])
            answer.sack_permitted = config.sack and syn.sack_permitted
            if syn.window_scale is not None:
                answer.window_scale = scale_for(config.receive_buffer_max)
        self._replies.append(Reply(flow, answer, order[0]))

    def refuse(self, flow: Flow, segment: Segment, path: int) -> None:
        """RST to a segment that belongs to nobody (RFC 9293 section 3.10.7.1)."""
        flags = segment.flags
        if flags & RST or len(self._replies) >= REPLIES_MOST:
            return
        length = segment.length + bool(flags & SYN) + bool(flags & FIN)
        answer = Segment(
            source_port=flow.local_port,
            destination_port=flow.remote_port,
            seq=segment.ack if flags & ACK else 0,
            ack=0 if flags & ACK else seq_add(segment.seq, length),
            flags=RST if flags & ACK else RST | ACK,
            window=0,
        )
        order = self._paths.rotation(path)
        if order:
            self._replies.append(Reply(flow, answer, order[0]))
