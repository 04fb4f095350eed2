"""SYN cookies: a handshake of which we remember nothing until it is complete (RFC 4987 3.6).

What has to be known then is in the numbers that the peer's ACK repeats. The initial sequence number
has five bits of the time, three that name the peer's MSS in a table, and 24 that nobody else can
have computed for this flow, the peer's own number, the time and the MSS:

    | 5 time | 3 MSS | 24 keyed hash |

A guess is right once in 2^23 times, for two values of the time are accepted. The other options
survive only if the peer has timestamps: the last bits of our TSval, which it echoes, are its window
scale (15 for none) and whether it sent SACK-permitted, an idea of Linux:

    | 27 clock | 1 SACK-permitted | 4 window scale |

The clock of a flow has an offset that depends on the flow alone, so that the TSvals which follow
are never older than the one in the cookie (RFC 7323 section 5). Without timestamps the connection
has neither window scale nor SACK, and so one path only.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from typing import NamedTuple

from omtcp.core.config import SECOND
from omtcp.core.handshake import DEFAULT_MSS
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import SYN, Segment

TICK_NS = 64 * SECOND
"""How long a cookie has one value; it is accepted for one to two of it."""
MSS_TABLE = (64, 216, 536, 1220, 1360, 1440, 1460, 8940)
"""The sizes that links have, less 40 or 60; the peer is given the next one that is not larger."""

_TIME_BITS = 5
_MSS_BITS = 3
_HASH_BITS = 24
_OPTION_BITS = 5
_OPTIONS = (1 << _OPTION_BITS) - 1
_NO_SCALE = 15
_SACK = 1 << 4
_MODULUS = 1 << 32


class Answer(NamedTuple):
    """What a SYN-ACK that is a cookie has of its own."""

    iss: int
    mss: int
    """Of the peer, as far as it will be remembered."""
    stamp: int | None
    """The TSval, if the peer has timestamps."""


class Cookies:
    """Makes cookies for the flows of one address, and recognises them."""

    __slots__ = ("_last_at", "_secret", "_version", "accepted", "sent")

    def __init__(self, secret: bytes, version: int) -> None:
        """`secret` is 16 to 64 random bytes, kept while the host is up; `version` is of IP."""
        self._secret = secret
        self._version = version
        self._last_at = -2 * TICK_NS
        self.sent = 0
        self.accepted = 0

    def bake(self, now: int, flow: bytes, syn: Segment) -> Answer:
        """The cookie that answers `syn`; `flow` is its addresses and ports, in any fixed form."""
        self._last_at = now
        self.sent += 1
        mss = syn.mss if syn.mss is not None else DEFAULT_MSS[self._version]
        index = max(bisect_right(MSS_TABLE, mss) - 1, 0)
        iss = self._number(now // TICK_NS, index, flow, syn.seq)
        stamp = None
        if syn.timestamps is not None:
            options = _NO_SCALE if syn.window_scale is None else min(syn.window_scale, 14)
            options |= _SACK * syn.sack_permitted
            stamp = self._clock(now, flow) & ~_OPTIONS | options
            if stamp > self._clock(now, flow):
                stamp -= 1 << _OPTION_BITS
            stamp %= _MODULUS
        return Answer(iss, MSS_TABLE[index], stamp)

    def taste(self, now: int, flow: bytes, ack: Segment) -> Segment | None:
        """The SYN whose cookie `ack` brings back, as far as it is known; None if it is none."""
        if now - self._last_at >= 2 * TICK_NS:  # none is on its way
            return None
        iss, irs = seq_add(ack.ack, -1), seq_add(ack.seq, -1)
        index = iss >> _HASH_BITS & (1 << _MSS_BITS) - 1
        ticks = now // TICK_NS
        for tick in (ticks, ticks - 1):
            if self._number(tick, index, flow, irs) == iss:
                break
        else:
            return None
        self.accepted += 1
        syn = Segment(ack.source_port, ack.destination_port, irs, 0, SYN, 0, mss=MSS_TABLE[index])
        if ack.timestamps is not None:
            options = ack.timestamps[1] & _OPTIONS
            syn.timestamps = (ack.timestamps[0], 0)
            syn.sack_permitted = bool(options & _SACK)
            scale = options & ~_SACK
            syn.window_scale = None if scale == _NO_SCALE else scale
        return syn

    def stamp_base(self, flow: bytes) -> int:
        """The offset of the flow's clock, for the timestamps that follow its cookie."""
        return int.from_bytes(self._digest(b"clock" + flow), "big")

    def _clock(self, now: int, flow: bytes) -> int:
        return self.stamp_base(flow) + now // 1_000_000

    def _number(self, tick: int, index: int, flow: bytes, irs: int) -> int:
        tick %= 1 << _TIME_BITS
        head = tick << _MSS_BITS | index
        digest = self._digest(flow + irs.to_bytes(4, "big") + head.to_bytes(1, "big"))
        return head << _HASH_BITS | int.from_bytes(digest, "big") >> 32 - _HASH_BITS

    def _digest(self, what: bytes) -> bytes:
        return blake2b(what, key=self._secret, digest_size=4, person=b"omtcp cookie").digest()
