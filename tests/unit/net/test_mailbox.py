"""Packets from one process to all the others."""

from __future__ import annotations

import select

from omtcp.net.mailbox import Mailbox, mailboxes


def three() -> list[Mailbox]:
    boxes = mailboxes(3)
    return [Mailbox(own, [slot for other, slot in boxes if other is not own]) for own, _ in boxes]


def test_what_is_posted_comes_to_all_but_the_sender() -> None:
    first, second, third = three()
    first.post(b"a")
    first.post(b"b")
    assert first.take() is None
    for box in (second, third):
        assert select.select([box], [], [], 0)[0]
        assert [box.take(), box.take(), box.take()] == [b"a", b"b", None]
    for box in (first, second, third):
        box.close()


def test_a_full_box_loses_packets_and_keeps_nobody_waiting() -> None:
    first, second, third = three()
    for _ in range(5000):
        first.post(bytes(1000))
        third.take()
    count = 0
    while second.take() is not None:
        count += 1
    assert 0 < count < 5000
    first.post(b"again")
    assert second.take() == b"again"
    for box in (first, second, third):
        box.close()


def test_a_process_that_is_gone_is_none_to_wait_for() -> None:
    first, second, third = three()
    second.close()
    third.close()
    first.post(b"a")
    first.close()
