"""One HTTP/1.1 connection as an asyncio protocol: requests in, responses out, in turn.

What the bytes mean is the framing's business. What is added here is time (a peer may not dawdle),
backpressure in both directions, and bodies that go from a file mapping to the transport without
being touched.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import cast

import h11

from omtcp.apps.contents import WINDOW, FileSlice
from omtcp.apps.downloads import Download, Downloads
from omtcp.apps.http.dates import current_date
from omtcp.apps.http.framing import Framing, Heard, body_size
from omtcp.apps.http.messages import Application, HttpError, Lengthy, Request, Response
from omtcp.apps.http.patience import Deadline, Patience, Timeouts

logger = logging.getLogger("omtcp.http")

MAX_TARGET = 8000
"""RFC 9112 section 3 recommends to support at least this much."""
MAX_REQUEST_BODY = 64 << 10
"""A request's body means nothing here. Up to this size it is read and dropped to keep the
connection; after the response to a larger one the connection is closed."""
MAX_UNREAD = 64 << 10
"""Bytes a peer may send ahead while it is being answered, before we stop reading."""


_TIMEOUTS = Timeouts()


class _Phase(Enum):
    """What the connection waits for; each has its own patience."""

    HEAD = auto()
    IDLE = auto()
    SENDING = auto()
    LINGERING = auto()
    CLOSING = auto()


class HttpProtocol(asyncio.Protocol):
    """Serves the requests of one connection with `application`."""

    __slots__ = (
        "_application",
        "_clock",
        "_deadline",
        "_download",
        "_downloads",
        "_eof",
        "_framing",
        "_loop",
        "_phase",
        "_progress",
        "_read_paused",
        "_timeouts",
        "_transport",
        "_unread",
        "_windows",
        "_working",
        "_write_paused",
        "_written",
    )

    _transport: asyncio.Transport

    def __init__(
        self,
        application: Application,
        *,
        downloads: Downloads,
        timeouts: Timeouts | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`patience` is shared by the connections of one server."""
        self._application = application
        self._downloads = downloads
        self._clock = clock
        self._timeouts = timeouts or _TIMEOUTS
        self._deadline = Deadline(patience or Patience(), self._expired)
        self._phase = _Phase.HEAD
        self._framing = Framing()
        self._working = False
        self._windows: Iterator[bytes | memoryview] | None = None
        self._download: Download | None = None
        self._written = 0
        self._progress = (0, 0.0)  # bytes that had got through, and when they were more than before
        self._unread = 0
        self._write_paused = False
        self._read_paused = False
        self._eof = False

    def peer(self) -> str:
        """Who it is, for people."""
        return format_address(self._transport.get_extra_info("peername"))

    # What the transport reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        # A whole window is in reserve when the next is asked for: the transport never runs dry.
        self._transport.set_write_buffer_limits(high=2 * WINDOW, low=WINDOW)
        self._enter(_Phase.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._phase = _Phase.CLOSING
        self._deadline.end()
        self._windows = None
        if self._download is not None:
            failed = exc is not None or self._download.queued < self._download.total
            self._downloads.finish(self._download, failed=failed)
            self._download = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and answer what is complete."""
        if self._phase in (_Phase.LINGERING, _Phase.CLOSING):
            return
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEAD)
        self._framing.receive(data)
        self._unread += len(data)
        self._advance()
        if self._unread > MAX_UNREAD and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer has said all it will; what it asked for is still sent."""
        self._eof = True
        if self._phase is _Phase.LINGERING:
            self._close()
        elif self._phase is not _Phase.CLOSING:
            self._framing.receive(b"")
            self._advance()
        return True

    def pause_writing(self) -> None:
        """The transport has enough to do."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The transport wants more."""
        self._write_paused = False
        self._advance()

    # Requests and responses.

    def _advance(self) -> None:
        """Go on as far as the received bytes and the room to write allow."""
        try:
            self._run()
        except h11.RemoteProtocolError as error:
            self._refuse(error)
            self._run()

    def _run(self) -> None:
        while not self._write_paused and self._may_go_on():
            if self._windows is not None:
                self._send()
            elif self._framing.must_close:
                self._shut_down()
            elif not self._handle_next_event():
                return

    def _may_go_on(self) -> bool:
        if self._working or self._phase in (_Phase.LINGERING, _Phase.CLOSING):
            return False
        return not self._transport.is_closing()

    def _handle_next_event(self) -> bool:
        """Take in what was asked; False if nothing can be done before more arrives."""
        if self._framing.start_next():
            self._enter(_Phase.HEAD if self._framing.unread else _Phase.IDLE)
        heard = self._framing.next()
        if isinstance(heard, Request):
            self._answer(heard)
        elif heard is Heard.END:
            self._close()
        elif heard is Heard.NOTHING:
            self._listen()
            return False
        return True

    def _answer(self, request: Request) -> None:
        close = body_size(request) > MAX_REQUEST_BODY or self._framing.wants_permission
        self._respond(request, lambda: self._ask(request), close=close)

    def _ask(self, request: Request) -> Response | Lengthy:
        if len(request.target) > MAX_TARGET:
            raise HttpError(HTTPStatus.REQUEST_URI_TOO_LONG)
        if request.headers.get("expect", "100-continue").lower() != "100-continue":
            raise HttpError(HTTPStatus.EXPECTATION_FAILED)
        return self._application(request)

    def _respond(
        self, request: Request, make: Callable[[], Response | Lengthy], *, close: bool
    ) -> None:
        """Begin the response that is made, whatever happens while it is."""
        try:
            response = make()
        except HttpError as error:
            response = error.response()
        except Exception:
            logger.exception("%s: the answer to %r failed", self.peer(), request.target)
            response = HttpError(HTTPStatus.INTERNAL_SERVER_ERROR).response()
        if isinstance(response, Lengthy):
            self._respond_later(request, response, close=close)
            return
        self._begin(response, head=request.method == "HEAD", close=close)
        if logger.isEnabledFor(logging.INFO):
            target = request.target.decode("ascii", "backslashreplace")
            summary = f"{request.method} {target}: {response.status.value}, {response.length} bytes"
            logger.info("%s: %s", self.peer(), summary)

    def _respond_later(self, request: Request, lengthy: Lengthy, *, close: bool) -> None:
        """Make the response in a thread, and go on when it is there."""

        def made(future: asyncio.Future[Response]) -> None:
            self._working = False
            if self._may_go_on():
                self._respond(request, future.result, close=close)
                self._advance()
            elif not future.cancelled():
                future.exception()  # nobody is left who wants to know

        self._working = True
        self._enter(_Phase.SENDING)
        self._loop.run_in_executor(None, lengthy.make).add_done_callback(made)

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is not HTTP, if an answer can still be understood."""
        if self._eof or not self._framing.can_refuse:
            self._close()
            return
        status = HTTPStatus(error.error_status_hint)
        in_request_line = b"\n" not in self._framing.unread
        if status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and in_request_line:
            status = HTTPStatus.REQUEST_URI_TOO_LONG
        logger.info("%s: refused with %d: %s", self.peer(), status, error)
        self._begin(HttpError(status).response(), head=False, close=True)

    def _begin(self, response: Response, *, head: bool, close: bool) -> None:
        """Have the response ready to be sent."""
        fields = [("Date", current_date(self._clock())), ("Server", "omtcp"), *response.headers]
        if response.status is not HTTPStatus.NOT_MODIFIED:
            fields.append(("Content-Length", str(response.length)))
        body = () if head else response.body
        opening = self._framing.send_head(response.status, fields, sum(map(len, body)), close=close)
        self._begin_download(None if head else response.download, response.length)
        self._windows = self._frame(opening, body)
        self._enter(_Phase.SENDING)

    def _begin_download(self, path: str | None, total: int) -> None:
        if self._download is not None:
            self._downloads.finish(self._download, failed=False)
            self._download = None
        if path is not None:
            self._download = Download(
                who=self.peer,
                path=path,
                total=total,
                started_ns=int(self._loop.time() * 1e9),
                backlog=self._transport.get_write_buffer_size,
            )
            self._downloads.add(self._download)

    def _frame(
        self, opening: bytes, body: Sequence[bytes | FileSlice]
    ) -> Iterator[bytes | memoryview]:
        """What to write, in order; bytes are gathered, mapped windows go out as they are."""
        gathered = [opening]
        for part in body:
            if isinstance(part, bytes):
                self._count(part)
                gathered.append(part)
                continue
            yield b"".join(gathered)
            gathered.clear()
            for window in part.windows():
                self._count(window)
                yield window
        if gathered:
            yield b"".join(gathered)

    def _count(self, data: bytes | memoryview) -> None:
        """Have the body held against what was announced."""
        self._framing.count(data)
        if self._download is not None:
            self._download.queued += len(data)

    def _send(self) -> None:
        """Write until the transport has enough or the response is all written."""
        assert self._windows is not None
        for window in self._windows:
            self._written += len(window)
            self._transport.write(window)
            if self._write_paused or not self._may_go_on():
                return
        self._windows = None
        self._framing.finish()
        self._enter(_Phase.HEAD)

    # Waiting and closing.

    def _listen(self) -> None:
        self._unread = 0
        if self._read_paused:
            self._read_paused = False
            self._transport.resume_reading()

    def _shut_down(self) -> None:
        """No further request is taken. What the peer is still sending must be read, or its
        kernel's reset could overtake the response (RFC 9112 section 9.6)."""
        unfinished = self._framing.unfinished
        if self._eof or not (unfinished or self._read_paused or self._framing.unread):
            self._close()
            return
        self._enter(_Phase.LINGERING)
        self._transport.write_eof()
        self._listen()

    def _close(self) -> None:
        """Close when all is sent; the deadline still watches that it gets through."""
        self._enter(_Phase.CLOSING)
        self._transport.close()

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._deadline.set(self._patience(phase))

    def _patience(self, phase: _Phase) -> float:
        if phase is _Phase.HEAD:
            return self._timeouts.head
        if phase is _Phase.IDLE:
            return self._timeouts.idle
        return self._timeouts.linger if phase is _Phase.LINGERING else self._timeouts.stall

    def _expired(self) -> None:
        if self._phase is not _Phase.LINGERING and self._getting_through():
            self._enter(self._phase)
        elif self._phase is _Phase.HEAD and self._framing.unread:
            self._time_out()
        elif self._phase in (_Phase.SENDING, _Phase.CLOSING):
            logger.info("%s: nothing got through for %.0f s", self.peer(), self._timeouts.stall)
            self._transport.abort()
        else:
            self._close()

    def _getting_through(self) -> bool:
        """Whether the peer still takes, or may soon take again, what was written before."""
        backlog = self._transport.get_write_buffer_size()
        if backlog == 0:
            return self._phase is _Phase.SENDING
        sent, since = self._progress
        now = self._loop.time()
        if self._written - backlog > sent:
            self._progress = (self._written - backlog, now)
            return True
        return now - since < self._timeouts.stall and self._phase is not _Phase.SENDING

    def _time_out(self) -> None:
        if not self._framing.asked:
            self._begin(HttpError(HTTPStatus.REQUEST_TIMEOUT).response(), head=False, close=True)
            self._run()
        else:
            self._close()


def format_address(address: object) -> str:
    """A socket address for a log: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if not isinstance(address, tuple) or len(address) < 2:
        return str(address or "?")
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
