"""How often what makes no sense is answered (RFC 5961 section 7).

An answer tells a peer that has forgotten us where we are, but who sends such segments from
elsewhere must not make us send as many. The count is each connection's own: one for all of them
would tell a stranger how much the others are being asked (CVE-2016-5696).
"""

from __future__ import annotations

from omtcp.core.config import SECOND

MOST = 10
WINDOW_NS = 5 * SECOND
"""Answers in so much time, as the RFC suggests."""


class Challenges:
    """Of one connection."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._count = 0
        self._since = 0

    def allow(self, now: int) -> bool:
        """Whether another answer may go out; if so it is counted."""
        if now - self._since >= WINDOW_NS:
            self._since = now
            self._count = 0
        self._count += 1
        return self._count <= MOST
