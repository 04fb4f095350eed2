"""The measuring receiver: downloads through the kernel's TCP and notes when bytes arrive.

    python -m omtcp.lab.sink JOB

JOB is a `Job` as JSON. Progress goes to standard output, one JSON object a line, the last of which
is the `result`. The process knows nothing of omtcp: it is a plain HTTP client on TCP or
Multipath TCP, or reads curl's output.
"""

import hashlib
import json
import selectors
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from fcntl import F_SETPIPE_SZ, fcntl
from time import monotonic_ns, sleep
from typing import IO, Protocol
from urllib.parse import urlsplit

import h11

from omtcp.lab.mptcp import fell_back
from omtcp.lab.processes import die_with_parent, say, say_last

BIN_NS = 10_000_000
_BUFFER_BYTES = 1 << 20
_PROGRESS_NS = 200_000_000
_SILENCES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to fetch: `downloads` at once from `start_ns` (monotonic) for at most `duration_ns`.

    start_ns: 0 to be told once it can begin: it says `ready` and reads it from its standard input.
    repeat: ask again on the same connection when a body is complete. verify: hash the bodies.
    each: tell the arrivals of each download, not only of all together.
    program: `sink`, a kernel socket of this process, or `curl`. mptcp: a Multipath TCP socket.
    """

    url: str
    start_ns: int = 0
    duration_ns: int
    downloads: int = 1
    repeat: bool = False
    verify: bool = True
    program: str = "sink"
    mptcp: bool = False
    each: bool = False


class Gaps:
    """The longest silences of a stream, after its first byte."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last = 0
        self.longest: list[tuple[int, int]] = []
        self._least = 1_000_000

    def heard(self, now: int) -> None:
        if self.first is None:
            self.first = now
        elif now - self.last > self._least:
            self.longest.append((now - self.last, self.last))
            if len(self.longest) > 4 * _SILENCES:
                self.longest = sorted(self.longest, reverse=True)[:_SILENCES]
                self._least = self.longest[-1][0]
        self.last = now


class Stream(Protocol):
    """One download in progress."""

    done: bool

    def fileno(self) -> int: ...

    def read(self, buffer: memoryview) -> int:
        """Reads what is there; the bytes of body in it. May set `done`."""

    def outcome(self) -> dict[str, object]: ...

    def close(self) -> None: ...


class _Body:
    """Counts and hashes bodies: the complete ones and the one under way."""

    def __init__(self, verify: bool) -> None:
        self._verify = verify
        self.complete: list[str] = []
        self.received = 0
        self._hash = hashlib.sha256()

    def add(self, data: memoryview) -> None:
        self.received += len(data)
        if self._verify:
            self._hash.update(data)

    def finish(self) -> None:
        self.complete.append(self._hash.hexdigest() if self._verify else "")
        self.received = 0
        self._hash = hashlib.sha256()

    def outcome(self, error: str | None) -> dict[str, object]:
        return {
            "complete": self.complete,
            "partial_bytes": self.received,
            "partial_digest": self._hash.hexdigest() if self._verify else "",
            "error": error,
        }


class SocketStream:
    """HTTP GET on a kernel socket; bodies must have a Content-Length."""

    def __init__(self, job: Job) -> None:
        target = urlsplit(job.url)
        assert target.hostname is not None
        family = socket.AF_INET6 if ":" in target.hostname else socket.AF_INET
        self._mptcp = job.mptcp
        protocol = socket.IPPROTO_MPTCP if job.mptcp else socket.IPPROTO_TCP
        self._socket = socket.socket(family, socket.SOCK_STREAM, protocol)
        self._socket.setblocking(False)
        self._socket.connect_ex((target.hostname, target.port))
        self._target, self._host = target.path, target.netloc
        self._repeat = job.repeat
        self._body = _Body(job.verify)
        self._left: int | None = None
        self._head = b""
        self._asked = False
        self._error: str | None = None
        self.done = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def _ask(self) -> None:
        request = f"GET {self._target} HTTP/1.1\r\nHost: {self._host}\r\n\r\n"
        self._socket.send(request.encode())
        self._left, self._head = None, b""

    def writable(self) -> None:
        """Connected, or not: the first call sends the request."""
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "connect")
        self._asked = True
        self._ask()

    def fail(self, error: str) -> None:
        self._error = error
        self.done = True

    def read(self, buffer: memoryview) -> int:
        try:
            count = self._socket.recv_into(buffer)
        except BlockingIOError:
            return 0
        if count == 0:
            self.fail("closed by the server")
        return self._take(buffer[:count])

    def _take(self, data: memoryview) -> int:
        body = 0
        while data and not self.done:
            if self._left is None:
                data = self._take_head(data)
                continue
            part = data[: self._left]
            self._body.add(part)
            body += len(part)
            self._left -= len(part)
            data = data[len(part) :]
            if self._left == 0:
                self._next()
        return body

    def _take_head(self, data: memoryview) -> memoryview:
        """Eats response headers; what follows them."""
        self._head += bytes(data)
        head, found, _ = self._head.partition(b"\r\n\r\n")
        if not found:
            return data[:0]
        eaten = len(head) + 4 - (len(self._head) - len(data))
        parser = h11.Connection(our_role=h11.CLIENT)
        parser.send(h11.Request(method="GET", target=self._target, headers=[("Host", self._host)]))
        parser.receive_data(head + found)
        response = parser.next_event()
        if not isinstance(response, h11.Response) or response.status_code != 200:
            self.fail(f"unexpected answer: {response!r}")
            return data[:0]
        self._left = int(dict(response.headers)[b"content-length"])
        return data[eaten:]

    def _next(self) -> None:
        self._body.finish()
        if self._repeat:
            self._ask()
        else:
            self.done = True

    def outcome(self) -> dict[str, object]:
        return self._body.outcome(self._error)

    def close(self) -> None:
        if self._mptcp and self._error is None and fell_back(self._socket):
            self._error = "the connection fell back to plain TCP"
        self._socket.close()


class CurlStream:
    """What curl writes to its standard output."""

    def __init__(self, job: Job) -> None:
        command = ["curl", "--silent", "--show-error", "--fail", "--http1.1", "--globoff"]
        self._child = subprocess.Popen(
            [*command, "--output", "-", job.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._child.stdout is not None
        self._pipe: IO[bytes] = self._child.stdout
        fcntl(self._pipe.fileno(), F_SETPIPE_SZ, _BUFFER_BYTES)
        self._body = _Body(job.verify)
        self._error: str | None = None
        self.done = False

    def fileno(self) -> int:
        return self._pipe.fileno()

    def fail(self, error: str) -> None:
        self._error = error
        self.done = True

    def read(self, buffer: memoryview) -> int:
        count = self._pipe.readinto1(buffer)  # type: ignore[attr-defined]
        if count:
            self._body.add(buffer[:count])
            return int(count)
        assert self._child.stderr is not None
        complaint = self._child.stderr.read().decode(errors="replace").strip()
        if self._child.wait() == 0:
            self._body.finish()
            self.done = True
        else:
            self.fail(complaint)
        return 0

    def outcome(self) -> dict[str, object]:
        return self._body.outcome(self._error)

    def close(self) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        self._child.communicate()


class Measurement:
    """All downloads of a job, read as they come."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._end = job.start_ns + job.duration_ns
        self._bins: Counter[int] = Counter()
        self._each: dict[int, Counter[int]] = {}
        self._bytes = 0
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        kind = CurlStream if job.program == "curl" else SocketStream
        self._streams = [(kind(job), Gaps()) for _ in range(job.downloads)]
        for stream, gaps in self._streams:
            events = selectors.EVENT_READ
            if isinstance(stream, SocketStream):
                events = selectors.EVENT_WRITE
            self._selector.register(stream, events, (stream, gaps))

    def run(self) -> dict[str, object]:
        """Downloads until all is there, time is up, or it is told to stop; the result."""
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        next_progress = 0
        now = monotonic_ns()
        while now < self._end and self._selector.get_map() and not self._stopped:
            timeout = min(self._end - now, _PROGRESS_NS) / 1e9
            for key, events in self._selector.select(timeout):
                stream, gaps = key.data
                self._serve(stream, gaps, events, buffer)
            now = monotonic_ns()
            if now >= next_progress:
                next_progress = now + _PROGRESS_NS
                say(json.dumps({"now_ns": now, "bytes": self._bytes}))
        return self._result(now)

    def stop(self, *_: object) -> None:
        """Whoever asked has seen enough; may be called by a signal."""
        self._stopped = True

    def _serve(
        self, stream: SocketStream | CurlStream, gaps: Gaps, events: int, buffer: memoryview
    ) -> None:
        try:
            if events & selectors.EVENT_WRITE and isinstance(stream, SocketStream):
                stream.writable()
                self._selector.modify(stream, selectors.EVENT_READ, (stream, gaps))
                return
            count = stream.read(buffer)
        except OSError as error:
            count = 0
            stream.fail(error.strerror or repr(error))
        if count:
            now = monotonic_ns()
            gaps.heard(now)
            index = (now - self._job.start_ns) // BIN_NS
            self._bins[index] += count
            if self._job.each:
                self._each.setdefault(id(stream), Counter())[index] += count
            self._bytes += count
        if stream.done:
            self._selector.unregister(stream)

    def _result(self, now: int) -> dict[str, object]:
        for stream, gaps in self._streams:
            if not stream.done and gaps.first is not None:
                gaps.heard(now)  # a stream that ended in silence was silent
            stream.close()
        silences = [silence for _, gaps in self._streams for silence in gaps.longest]
        firsts = [gaps.first for _, gaps in self._streams if gaps.first is not None]
        lasts = [gaps.last for _, gaps in self._streams if gaps.first is not None]
        return {
            "start_ns": self._job.start_ns,
            "end_ns": max(lasts) if all(s.done for s, _ in self._streams) and lasts else now,
            "first_byte_ns": min(firsts, default=None),
            "bytes": self._bytes,
            "bins": sorted(self._bins.items()),
            "silences": sorted(silences, reverse=True)[:_SILENCES],
            "downloads": [
                stream.outcome() | {"bins": sorted(self._each.get(id(stream), {}).items())}
                for stream, _ in self._streams
            ],
        }


def main() -> None:
    die_with_parent()
    job = Job(**json.loads(sys.argv[1]))
    if not job.start_ns:
        say("ready")
        job = replace(job, start_ns=int(sys.stdin.readline()))
    sleep(max(job.start_ns - monotonic_ns(), 0) / 1e9)
    measurement = Measurement(job)
    signal.signal(signal.SIGINT, measurement.stop)
    say_last(json.dumps({"result": measurement.run()}))


if __name__ == "__main__":
    main()
