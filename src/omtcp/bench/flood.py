"""A flood of SYNs from addresses that do not answer, at a set rate, for a set time.

    python -m omtcp.bench.flood JOB

JOB is a `Job` as JSON. The last line of output is the `result`. It runs in the client's namespace;
the sources are of 198.18.0.0/15, which RFC 2544 sets aside for benchmarks and nobody routes.
"""

import json
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from random import Random
from time import monotonic_ns, sleep
from typing import Protocol

from omtcp.lab.processes import die_with_parent, say
from omtcp.wire.header import HeaderWriter
from omtcp.wire.tcp import SYN, Segment

_SOURCES = int(IPv4Address("198.18.0.0"))
_TICK_NS = 1_000_000
_VARIANTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Where to, how many a second, and when: ns on the monotonic clock."""

    host: str
    port: int
    rate: int
    start_ns: int
    duration_ns: int


def packets(job: Job, count: int, random: Random) -> list[bytes]:
    """SYNs as clients send them, no two from one address and port."""
    target = IPv4Address(job.host).packed
    made = []
    for number in range(count):
        source = struct.pack("!I", _SOURCES + 1 + number)
        port = random.randrange(1024, 65_536)
        segment = Segment(
            source_port=port,
            destination_port=job.port,
            seq=random.getrandbits(32),
            ack=0,
            flags=SYN,
            window=64_240,
            mss=1460,
            window_scale=7,
            sack_permitted=True,
        )
        made.append(HeaderWriter(source, target, port, job.port).packet(segment))
    return made


class Raw(Protocol):
    """What is needed of a raw socket."""

    def sendto(self, data: bytes, address: tuple[str, int], /) -> int: ...


def flood(job: Job, send: Raw) -> int:
    """Sends until time is up; how many."""
    made = packets(job, _VARIANTS, Random(1))
    target = (job.host, 0)
    sent = 0
    end = job.start_ns + job.duration_ns
    while (now := monotonic_ns()) < end:
        due = job.rate * (now - job.start_ns) // 1_000_000_000
        # A source that was behind does not catch up with a burst.
        for _ in range(min(due - sent, job.rate // 100)):
            send.sendto(made[sent % _VARIANTS], target)
            sent += 1
        sleep(_TICK_NS / 1e9)
    return sent


def main() -> None:
    die_with_parent()
    job = Job(**json.loads(sys.argv[1]))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        sleep(max(job.start_ns - monotonic_ns(), 0) / 1e9)
        say(json.dumps({"result": {"sent": flood(job, raw)}}))


if __name__ == "__main__":
    main()
