"""When a restored uplink carried data again: pings are none."""

import dpkt

from omtcp.lab.revival import Revivals

SERVER, CLIENT, OTHER = b"\xc0\0\2\1", b"\x0a\x08\0\2", b"\x0a\x0a\0\1"
MS = 1_000_000


def frame(source: bytes, target: bytes, *, seq: int = 0, ack: int = 0, size: int = 0) -> bytes:
    ports = (8080, 40_000) if target == CLIENT else (40_000, 8080)
    segment = dpkt.tcp.TCP(
        sport=ports[0], dport=ports[1], seq=seq % (1 << 32), ack=ack % (1 << 32),
        flags=dpkt.tcp.TH_ACK, data=bytes(size),
    )  # fmt: skip
    packet = dpkt.ip.IP(src=source, dst=target, p=6, data=segment)
    packet.len = 40 + size
    return bytes(12) + b"\x08\x00" + bytes(packet)


def data(seq: int, size: int, source: bytes = SERVER) -> bytes:
    return frame(source, CLIENT, seq=seq, size=size)


def answer(ack: int) -> bytes:
    return frame(CLIENT, SERVER, ack=ack)


def test_bytes_that_were_acknowledged_are_no_data() -> None:
    revivals = Revivals()
    revivals.restored(5 * MS, "0")
    assert revivals.waiting
    revivals.answered(answer(2000))
    revivals.carried(6 * MS, "0", data(1999, 1))
    revivals.carried(7 * MS, "0", data(540, 1460))  # as large as a segment, but old
    assert revivals.found == []
    revivals.carried(8 * MS, "0", data(541, 1460))
    assert revivals.found == [("0", 5 * MS, 8 * MS)]
    assert not revivals.waiting


def test_sequence_numbers_wrap() -> None:
    revivals = Revivals()
    revivals.restored(0, "0")
    revivals.answered(answer(100))
    revivals.carried(1, "0", data(-1000, 1000))
    assert revivals.waiting
    revivals.carried(2, "0", data(-1000, 1200))
    assert not revivals.waiting


def test_before_the_first_answer_a_single_byte_is_a_ping() -> None:
    revivals = Revivals()
    revivals.restored(0, "0")
    revivals.carried(1, "0", data(0, 1))
    revivals.carried(2, "0", data(0, 0))
    assert revivals.waiting
    revivals.carried(3, "0", data(0, 100))
    assert not revivals.waiting


def test_other_links_and_other_servers_do_not_count() -> None:
    revivals = Revivals(others={OTHER})
    revivals.restored(0, "0")
    revivals.carried(1, "1", data(0, 1000))
    revivals.carried(1, "0", data(0, 1000, source=OTHER))
    revivals.carried(1, "0", bytes(60))
    assert revivals.waiting


def test_a_link_that_is_cut_again_was_not_used() -> None:
    revivals = Revivals()
    revivals.restored(0, "0")
    revivals.restored(0, "1")
    revivals.cut("0")
    revivals.carried(1, "0", data(0, 1000))
    assert revivals.waiting
    revivals.cut("1")
    assert not revivals.waiting
    assert revivals.found == []
