"""What a segment says about our own data: its ACK, its SACK blocks and its window."""

from __future__ import annotations

from omtcp.core.composer import Composer
from omtcp.core.sender import Sender
from omtcp.wire.tcp import FIN, Segment


class AckIntake:
    """Takes acknowledgments apart for the sender of an established connection."""

    __slots__ = (
        "_composer",
        "_sender",
        "_window_ack",
        "_window_seq",
    )

    def __init__(self, composer: Composer, sender: Sender) -> None:
        self._composer = composer
        self._sender = sender
        self._window_seq = 0
        self._window_ack = 0

    def take(self, now: int, start: int, segment: Segment) -> bool:
        """Pass on what `segment`, which begins at offset `start` of the peer's stream, says.

        False for an ACK of what was never sent, or of what is long past: both are answered with
        a challenge and the segment is ignored (RFC 5961 section 5.2).
        """
        sender, composer = self._sender, self._composer
        board, window = sender.board, sender.window
        una = board.una
        ack = composer.sent_offset(segment.ack, una)
        if not una - window.largest <= ack <= board.nxt:
            return False
        if ack < una and not segment.sack:
            return True
        blocks = [
            (composer.sent_offset(left, una), composer.sent_offset(right, una))
            for left, right in segment.sack
        ]
        old_right = window.right
        self.update_window(segment, start, ack)
        if sender.plain is not None and self._is_duplicate(segment, ack, una, old_right):
            sender.on_duplicate_ack(now)
        sender.on_ack(now, max(ack, una), [block for block in blocks if block[0] < block[1]])
        return True

    def _is_duplicate(self, segment: Segment, ack: int, una: int, old_right: int) -> bool:
        """RFC 5681 section 2."""
        return (
            ack == una
            and bool(self._sender.board.flights)
            and segment.length == 0
            and not segment.flags & FIN
            and self._sender.window.right == old_right
        )

    def update_window(self, segment: Segment, start: int, ack: int, *, scaled: bool = True) -> None:
        """RFC 9293 section 3.10.7.4: SND.WL1 and SND.WL2 keep old segments from undoing new.

        The window of a SYN is not scaled (RFC 7323 section 2.2).
        """
        agreement = self._composer.agreement
        assert agreement is not None
        if (start, ack) < (self._window_seq, self._window_ack):
            return
        self._window_seq, self._window_ack = start, ack
        size = segment.window << (agreement.send_shift if scaled else 0)
        window = self._sender.window
        window.largest = max(window.largest, size)
        window.right = ack + size
