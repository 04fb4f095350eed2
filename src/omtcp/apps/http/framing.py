"""From bytes to requests, and the heads of responses as bytes.

h11 holds the protocol's state. That takes it some 150 µs per exchange, more than our TCP needs for
a short connection, so the *plain* request, the one that nearly every client sends nearly always, is
read without it: a GET of HTTP/1.1 whose head came whole and alone, with nothing in it that has a
bearing on framing but `Connection`. One expression admits only what h11 admits, and it is read as
h11 would. Everything else goes to h11, which is made when it is needed.
"""

import re
from enum import Enum, auto
from http import HTTPStatus
from typing import cast

import h11

from omtcp.apps.http.messages import Request

MAX_HEAD = 16 << 10
"""Bytes of request line and fields; more is 431, or 414 if it is the target."""

_PLAIN = re.compile(
    rb"GET ([\x21-\x7e]+) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e]*\r\n)+)"
    rb"\r\n"
)
_NOT_PLAIN = frozenset({"content-length", "expect", "transfer-encoding", "upgrade"})


class Heard(Enum):
    """What there was instead of a request."""

    NOTHING = auto()
    """Nothing can be done before more arrives, or before the response is complete."""
    REST = auto()
    """Part of a request's body, which means nothing here."""
    END = auto()
    """The peer will not ask anything more."""


class _Plain(Enum):
    """Where a plain exchange is."""

    NONE = auto()
    ASKED = auto()
    ANSWERED = auto()
    DONE = auto()
    LAST = auto()
    """Over, and the connection with it."""


class Framing:
    """One connection's side of the protocol, as h11.Connection has it, for a server.

    Raises h11.RemoteProtocolError from `next` for what is no HTTP, and h11.LocalProtocolError for a
    response that contradicts itself.
    """

    __slots__ = ("_closing", "_h11", "_left", "_plain", "_request")

    def __init__(self) -> None:
        self._h11: h11.Connection | None = None
        self._plain = _Plain.NONE
        self._request: Request | None = None
        self._left = 0
        """Bytes that a plain response has yet to have."""
        self._closing = False
        """Whether the plain exchange is the last one."""

    # What arrives.

    def receive(self, data: bytes) -> None:
        """More bytes of the peer; none means that it has ended its stream."""
        if self._h11 is None:
            if self._plain is _Plain.NONE:
                self._request = request = read_plain(data)
                if request is not None:
                    self._plain = _Plain.ASKED
                    self._closing = _asks_to_close(request)
                    return
            self._h11 = _h11()
        self._h11.receive_data(data)

    def next(self) -> Request | Heard:
        """The next request, complete but for a body; or why there is none."""
        if self._plain is not _Plain.NONE or self._h11 is None:
            request, self._request = self._request, None
            return request or Heard.NOTHING
        event = self._h11.next_event()
        if isinstance(event, h11.Request):
            request = _translate(event)
            if body_size(request) == 0:
                self._h11.next_event()  # the end of the request: nothing of it is left to read
            return request
        if isinstance(event, h11.ConnectionClosed):
            return Heard.END
        return Heard.REST if isinstance(event, h11.Data | h11.EndOfMessage) else Heard.NOTHING

    def start_next(self) -> bool:
        """If an exchange is complete on both sides, begin the next; whether that was so."""
        if self._plain is _Plain.DONE:
            self._plain = _Plain.NONE
            return True
        if self._h11 is None or self._plain is not _Plain.NONE:
            return False
        if self._h11.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        if self._h11.trailing_data == (b"", False):
            self._h11 = None  # the next request may be a plain one
        else:
            self._h11.start_next_cycle()
        return True

    # What leaves.

    def send_head(
        self, status: HTTPStatus, fields: list[tuple[str, str]], size: int, *, close: bool
    ) -> bytes:
        """The head of a response; `size` bytes of body will follow, and with `close` the end."""
        if self._plain is _Plain.ASKED:
            self._plain = _Plain.ANSWERED
            self._left = size
            self._closing = self._closing or close
            if self._closing:
                fields.append(_CLOSE)
            return _head(status, fields)
        if close:
            fields.append(_CLOSE)
        if self._h11 is None:
            self._h11 = _h11()
        opening = h11.Response(status_code=status, headers=fields, reason=status.phrase.encode())
        return self._h11.send(opening) or b""

    def count(self, data: bytes | memoryview) -> None:
        """Part of the body is being sent; only its size is looked at."""
        if self._plain is _Plain.ANSWERED:
            self._left -= len(data)
            if self._left < 0:
                raise h11.LocalProtocolError("more body than was announced")
            return
        assert self._h11 is not None
        self._h11.send_with_data_passthrough(h11.Data(data=cast(bytes, data)))

    def finish(self) -> None:
        """The response is complete."""
        if self._plain is _Plain.ANSWERED:
            if self._left:
                raise h11.LocalProtocolError("less body than was announced")
            self._plain = _Plain.LAST if self._closing else _Plain.DONE
            return
        assert self._h11 is not None
        self._h11.send(h11.EndOfMessage())

    # How things are.

    @property
    def must_close(self) -> bool:
        """Whether the exchange that is complete was the last one."""
        if self._h11 is None or self._plain is not _Plain.NONE:
            return self._plain is _Plain.LAST
        return self._h11.our_state is h11.MUST_CLOSE

    @property
    def asked(self) -> bool:
        """Whether a request is under way."""
        if self._h11 is None or self._plain is not _Plain.NONE:
            return self._plain not in (_Plain.NONE, _Plain.DONE)
        return self._h11.our_state is not h11.IDLE

    @property
    def can_refuse(self) -> bool:
        """Whether an error response can still be understood as the answer to what came."""
        if self._h11 is None or self._plain is not _Plain.NONE:
            return False
        return self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    @property
    def unread(self) -> bytes:
        """What came and was not looked at yet, or not yet understood."""
        return b"" if self._h11 is None else bytes(self._h11.trailing_data[0])

    @property
    def unfinished(self) -> bool:
        """Whether the peer may still be sending the body of its request, or what is no HTTP."""
        return self._h11 is not None and self._h11.their_state in (h11.SEND_BODY, h11.ERROR)

    @property
    def wants_permission(self) -> bool:
        """Whether the peer waits for a 100 (Continue) before it sends its body."""
        return self._h11 is not None and self._h11.they_are_waiting_for_100_continue


_CLOSE = ("Connection", "close")


def _h11() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)


def read_plain(data: bytes) -> Request | None:
    """The request that `data` is if it is a plain one, and nothing else."""
    match = _PLAIN.fullmatch(data) if len(data) <= MAX_HEAD else None
    if match is None:
        return None
    target, fields = match.groups()
    headers: dict[str, str] = {}
    for line in fields.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers or name in _NOT_PLAIN:
            return None
        headers[name] = value.strip(" \t")
    if "host" not in headers:  # an error, and h11 has the words for it
        return None
    return Request(method="GET", target=target, headers=headers)


def _asks_to_close(request: Request) -> bool:
    """Whether its Connection field has the option `close` (RFC 9112 section 9.6)."""
    options = request.headers.get("connection")
    if options is None:
        return False
    return "close" in [option.strip() for option in options.lower().split(",")]


def _head(status: HTTPStatus, fields: list[tuple[str, str]]) -> bytes:
    """A response's head; LocalProtocolError if a field would break out of its line."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in fields]
    head = "\r\n".join(lines)
    if head.count("\n") != len(fields) or head.count("\r") != len(fields) or "\0" in head:
        raise h11.LocalProtocolError("a field of the response has more than one line")
    return f"{head}\r\n\r\n".encode("ascii")


def _translate(event: h11.Request) -> Request:
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(method=event.method.decode(), target=event.target, headers=headers)


def body_size(request: Request) -> float:
    """Bytes that the request's body has; infinite if it does not say."""
    if "transfer-encoding" in request.headers:
        return float("inf")
    # h11 has checked that it is a number, and that repeated ones agree.
    return float(request.headers.get("content-length", "0").split(",")[0])
