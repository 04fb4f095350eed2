"""Who is a stranger, and how much time strangers get."""

from __future__ import annotations

import pytest

from omtcp.net.doorman import IDLE_SHARE, SAVED_MOST_NS, SHARE, Doorman, is_syn
from omtcp.wire.header import HeaderWriter
from omtcp.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, Segment

V4, V6 = bytes(4), bytes(16)
SECOND = 1_000_000_000


def packet(flags: int, address: bytes = V4) -> bytes:
    return HeaderWriter(address, address, 1000, 80).packet(Segment(1000, 80, 7, 0, flags, 1000))


@pytest.mark.parametrize("address", [V4, V6])
class TestGlance:
    @pytest.mark.parametrize("flags", [SYN, SYN | ECE | CWR, SYN | PSH])
    def test_who_asks_for_a_connection(self, flags: int, address: bytes) -> None:
        assert is_syn(packet(flags, address))
        assert is_syn(memoryview(packet(flags, address)))

    @pytest.mark.parametrize("flags", [ACK, SYN | ACK, SYN | RST, SYN | FIN, FIN | ACK, RST, 0])
    def test_who_does_not(self, flags: int, address: bytes) -> None:
        assert not is_syn(packet(flags, address))

    def test_other_protocols(self, address: bytes) -> None:
        octets = bytearray(packet(SYN, address))
        octets[9 if address == V4 else 6] = 17
        assert not is_syn(octets)

    def test_what_is_cut_short(self, address: bytes) -> None:
        whole = packet(SYN, address)
        for length in range(len(whole)):
            assert not is_syn(whole[:length])


def test_ipv4_options_take_a_closer_look() -> None:
    octets = bytearray(packet(SYN))
    octets[0] = 0x46
    assert not is_syn(octets)


class Clock(Doorman):
    """Whose processor time passes as the test says."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        super().__init__()
        self.now = 0

    def busy_ns(self) -> int:
        return self.now


def exhausted() -> Clock:
    clock = Clock()
    assert clock.look(0)
    assert not clock.spend(SAVED_MOST_NS)
    return clock


def served(clock: Clock, elapsed: int, busy: int) -> int:
    """How long strangers are served in so much time, ns, if a look takes place every ms."""
    total = 0
    for at in range(0, elapsed, 1_000_000):
        clock.now = at * busy // elapsed
        if clock.look(at):
            total += 10_000
            while clock.spend(10_000):
                total += 10_000
    return total


def test_who_is_busy_gives_a_small_part_of_the_time() -> None:
    part = served(exhausted(), SECOND, SECOND) / SECOND
    assert part == pytest.approx(1 / SHARE, rel=0.05)


def test_of_idle_time_there_is_more() -> None:
    part = served(exhausted(), SECOND, SECOND // 2) / SECOND
    assert part == pytest.approx(1 / SHARE + 0.5 / IDLE_SHARE, rel=0.05)


def test_a_burst_is_served_and_time_is_not_saved_up_for_ever() -> None:
    clock = exhausted()
    clock.look(1000 * SECOND)
    assert clock.spend(SAVED_MOST_NS - 1)
    assert not clock.spend(1)
