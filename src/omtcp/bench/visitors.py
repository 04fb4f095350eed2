"""Many short or many idle connections from the client's kernel, as cheaply as Python can.

    python -m omtcp.bench.visitors JOB

JOB is a `Job` as JSON. `hurry` opens connections, fetches one file on each and waits for the
server to close it, over and over until time is up; the last line of output is the `result`.
`linger` opens `count` connections, fetches one file on each, says `open`, and keeps them until its
standard input ends.
"""

import contextlib
import json
import select
import socket
import statistics
import sys
from dataclasses import dataclass, field
from time import monotonic_ns, sleep

from omtcp.lab.processes import die_with_parent, say

BIN_NS = 10_000_000
_READ = 65_536
_FAILED = select.EPOLLERR
_TRY_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do. Times ns on the monotonic clock.

    concurrency: connections under way at once. size: bytes of body, by which an answer that does
    not end with the connection is known to be complete.
    """

    kind: str
    host: str
    port: int
    path: str
    size: int = 0
    concurrency: int = 64
    count: int = 0
    start_ns: int = 0
    duration_ns: int = 0


@dataclass(slots=True)
class _Visit:
    """One connection: when it began, and what it has heard."""

    socket: socket.socket
    began_ns: int
    asked: bool = False
    heard: int = 0


@dataclass(slots=True)
class Tally:
    """What came of the visits: completions per 10 ms, and how long they took (ns)."""

    start_ns: int
    bins: dict[int, int] = field(default_factory=dict)
    took: list[int] = field(default_factory=list)
    failures: int = 0

    def completed(self, began_ns: int, now: int) -> None:
        index = (now - self.start_ns) // BIN_NS
        self.bins[index] = self.bins.get(index, 0) + 1
        self.took.append(now - began_ns)

    def result(self) -> dict[str, object]:
        return {
            "start_ns": self.start_ns,
            "bins": sorted(self.bins.items()),
            "failures": self.failures,
            "median_ns": statistics.median(self.took) if self.took else None,
        }


class Visitors:
    """Keeps `concurrency` visits under way."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._target = (job.host, job.port)
        self._poll = select.epoll()
        self._visits: dict[int, _Visit] = {}
        close = "close" if job.kind == "hurry" else "keep-alive"
        head = f"GET /{job.path} HTTP/1.1\r\nHost: {job.host}\r\nConnection: {close}\r\n\r\n"
        self._request = head.encode()
        self.tally = Tally(job.start_ns)
        self.kept: list[socket.socket] = []

    def hurry(self) -> None:
        """One visit after the other on each of the places, until time is up."""
        end = self._job.start_ns + self._job.duration_ns
        while (now := monotonic_ns()) < end:
            while len(self._visits) < self._job.concurrency:
                self._begin(now)
            self._handle((end - now) / 1e9)

    def linger(self) -> None:
        """Opens all, and keeps those that were answered."""
        opened = 0
        quiet_since = monotonic_ns()
        while len(self.kept) < self._job.count:
            now = monotonic_ns()
            while len(self._visits) < self._job.concurrency and opened < self._job.count:
                self._begin(now)
                opened += 1
            if self._handle(1.0):
                quiet_since = now
            elif now - quiet_since > _TRY_AGAIN_S * 1e9 or not self._visits:
                break

    def close(self) -> None:
        """Ends whatever is open."""
        for connection in (*self.kept, *(visit.socket for visit in self._visits.values())):
            connection.close()
        self._poll.close()

    def _begin(self, now: int) -> None:
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        connection = socket.socket(socket.AF_INET, kind)
        connection.connect_ex(self._target)
        descriptor = connection.fileno()
        self._visits[descriptor] = _Visit(connection, now)
        # Edges: one registration does for connecting and for reading.
        self._poll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def _handle(self, timeout: float) -> int:
        events = self._poll.poll(timeout, 256)
        for descriptor, what in events:
            visit = self._visits[descriptor]
            try:
                self._advance(descriptor, visit, what)
            except OSError:
                self.tally.failures += 1
                self._end(descriptor, visit)
        return len(events)

    def _advance(self, descriptor: int, visit: _Visit, what: int) -> None:
        if what & _FAILED:
            raise OSError(visit.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        if not visit.asked:
            if not what & select.EPOLLOUT:
                return
            visit.asked = True
            visit.socket.send(self._request)
        if not what & select.EPOLLIN:
            return
        with contextlib.suppress(BlockingIOError):
            while data := visit.socket.recv(_READ):
                visit.heard += len(data)
                if self._job.kind == "linger" and visit.heard > self._job.size:
                    self._keep(descriptor, visit)
                    return
            self._closed(descriptor, visit)

    def _closed(self, descriptor: int, visit: _Visit) -> None:
        if not visit.heard or self._job.kind == "linger":
            raise OSError("closed early")
        self.tally.completed(visit.began_ns, monotonic_ns())
        self._end(descriptor, visit)

    def _keep(self, descriptor: int, visit: _Visit) -> None:
        self._poll.unregister(descriptor)
        del self._visits[descriptor]
        self.kept.append(visit.socket)

    def _end(self, descriptor: int, visit: _Visit) -> None:
        del self._visits[descriptor]
        visit.socket.close()  # which takes it off the epoll, too


def main() -> None:
    die_with_parent()
    job = Job(**json.loads(sys.argv[1]))
    visitors = Visitors(job)
    sleep(max(job.start_ns - monotonic_ns(), 0) / 1e9)
    with contextlib.suppress(KeyboardInterrupt):
        if job.kind == "hurry":
            visitors.hurry()
            say(json.dumps({"result": visitors.tally.result()}))
        else:
            visitors.linger()
            say(f"open {len(visitors.kept)} failed {visitors.tally.failures}")
            sys.stdin.read()


if __name__ == "__main__":
    main()
