"""Micro-benchmarks of the hot functions, with pyperf.

    python -m omtcp.bench.micro [pyperf's own options]

Each takes a number of loops and returns the seconds they took, so that what has to be prepared for
a loop is not in it. pyperf runs this file anew for each process: it must be a program of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import perf_counter

from omtcp.bench.track import CLIENT, CLIENT_PORT, MSS, PORT, SERVER, Track
from omtcp.core.agenda import Agenda
from omtcp.core.config import Config, Mode
from omtcp.core.endpoint import Endpoint
from omtcp.core.ranges import RangeMap, RangeSet
from omtcp.core.timers import Timer, TimerTable
from omtcp.wire.checksum import internet_checksum
from omtcp.wire.header import HeaderWriter
from omtcp.wire.packet import parse_packet
from omtcp.wire.tcp import ACK, SYN, Segment

Timed = Callable[[int], float]

_MANY = 1000
_CONNECTIONS = 10_000


def _ack(sack: tuple[tuple[int, int], ...] = ()) -> memoryview:
    """An ACK as it is read from a device, with timestamps."""
    segment = Segment(CLIENT_PORT, PORT, 1, 2, ACK, 512, sack=sack, timestamps=(3, 4))
    writer = HeaderWriter(CLIENT, SERVER, CLIENT_PORT, PORT)
    return memoryview(writer.packet(segment))


def _parsing(packet: memoryview) -> Timed:
    def timed(loops: int) -> float:
        began = perf_counter()
        for _ in range(loops):
            parse_packet(packet, checksum_valid=True)
        return perf_counter() - began

    return timed


def parse_checked(loops: int) -> float:
    """The same ACK, its checksum verified."""
    packet = _ack()
    began = perf_counter()
    for _ in range(loops):
        parse_packet(packet, checksum_valid=False)
    return perf_counter() - began


def _writing(lengths: tuple[int, int]) -> Timed:
    """Headers of super-segments whose length alternates between two."""

    def timed(loops: int) -> float:
        writer = HeaderWriter(SERVER, CLIENT, PORT, CLIENT_PORT)
        one, two = (
            Segment(PORT, CLIENT_PORT, 1, 2, ACK, 512, timestamps=(3, 4), length=length)
            for length in lengths
        )
        began = perf_counter()
        for _ in range(loops):
            writer.header(one)
            writer.header(two)
        return (perf_counter() - began) / 2

    return timed


def checksum(loops: int) -> float:
    """Over a full frame's payload."""
    data = Random(1).randbytes(MSS)
    began = perf_counter()
    for _ in range(loops):
        internet_checksum(data)
    return perf_counter() - began


def range_map(loops: int) -> float:
    """Cut a range out of a thousand and put it back."""
    ranges = RangeMap[int]()
    for index in range(_MANY):
        ranges.insert(index * 100, index * 100 + 80, index)
    starts = [Random(1).randrange(_MANY) * 100 for _ in range(256)]
    began = perf_counter()
    for turn in range(loops):
        start = starts[turn & 255]
        ranges.cut(start, start + 80)
        ranges.insert(start, start + 80, turn)
    return perf_counter() - began


def range_set(loops: int) -> float:
    """Add to a set of a thousand ranges and drop what is below: a SACK block and an ACK."""
    ranges = RangeSet()
    for index in range(_MANY):
        ranges.add(index * 100, index * 100 + 80)
    began = perf_counter()
    for turn in range(_MANY, _MANY + loops):
        ranges.add(turn * 100, turn * 100 + 80)
        ranges.discard_below((turn - _MANY) * 100 + 90)
    return perf_counter() - began


def agenda(loops: int) -> float:
    """One of ten thousand owners comes due, and is put back."""
    due = Agenda[object]()
    for index in range(_CONNECTIONS):
        due.put(object(), index)
    began = perf_counter()
    for turn in range(_CONNECTIONS, _CONNECTIONS + loops):
        owner = due.pop_due(turn)
        if owner is not None:
            due.put(owner, turn)
    return perf_counter() - began


def timers(loops: int) -> float:
    """A deadline moves later, and the next one is asked for."""
    table = TimerTable()
    table.set(Timer.PRIMARY, 1 << 60)
    began = perf_counter()
    for turn in range(loops):
        table.set(Timer.RETRANSMIT, turn)
        table.next_timeout()
    return perf_counter() - began


def _endpoint() -> Endpoint:
    config = Config(mode=Mode.SINGLE, syn_backlog=1 << 30)
    endpoint = Endpoint(config, SERVER, [1500], secret=bytes(32), random=Random(1).random)
    endpoint.listen(PORT)
    return endpoint


def _stranger(number: int) -> bytes:
    return (0x0A00_0000 + number).to_bytes(4, "big")


def connection(loops: int) -> float:
    """A stranger's SYN: a connection, and its SYN-ACK."""
    endpoint = _endpoint()
    syn = Segment(CLIENT_PORT, PORT, 0, 0, SYN, 64_240, mss=MSS, window_scale=7)
    syn.sack_permitted = True
    strangers = [_stranger(number) for number in range(loops)]
    began = perf_counter()
    for stranger in strangers:
        endpoint.handle_segment(1, stranger, syn)
        for made in endpoint.poll_ready():
            made.poll_transmit(1)
            endpoint.settle(1, made)
    return perf_counter() - began


def _acknowledging(window: int, loss: float) -> Timed:
    """An ACK of two segments taken in by a whole endpoint, and what it lets out."""

    def timed(loops: int) -> float:
        track = Track(window, loss)
        return sum(track.run(loops, warm=2 * window // MSS).ns) / 1e9

    return timed


BENCHMARKS: dict[str, Timed] = {
    "parse ACK": _parsing(_ack()),
    "parse ACK with 3 SACK blocks": _parsing(_ack(((9, 10), (7, 8), (5, 6)))),
    "parse ACK, checksum verified": parse_checked,
    "write header, same length": _writing((64_000, 64_000)),
    "write header, other length": _writing((64_000, 1_460)),
    "checksum of 1460 bytes": checksum,
    "RangeMap cut and insert, 1000 ranges": range_map,
    "RangeSet add and discard, 1000 ranges": range_set,
    "agenda pop and put, 10 000 owners": agenda,
    "timers set and next": timers,
    "connection from a SYN": connection,
    "ACK through the endpoint, 1 MB": _acknowledging(1 << 20, 0.0),
    "ACK through the endpoint, 1 MB, 1 % loss": _acknowledging(1 << 20, 0.01),
}


def main() -> None:
    import pyperf

    runner = pyperf.Runner()
    for name, timed in BENCHMARKS.items():
        runner.bench_time_func(name, timed)


if __name__ == "__main__":
    main()
