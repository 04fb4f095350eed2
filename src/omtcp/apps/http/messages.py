"""Requests and responses as values; how they are framed is h11's business."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from omtcp.apps.contents import FileSlice
from omtcp.errors import PeerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of a request. Field names are lower case, repeated fields joined by commas."""

    method: str
    target: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A final response; Content-Length, Date, Server and Connection are the protocol's to add."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[bytes | FileSlice, ...] = ()
    download: str | None = None
    """What is being downloaded, if the body is worth showing as a download."""

    size: int | None = None
    """Bytes that the body of a GET has, where `body` is left out because this is a HEAD."""

    @property
    def length(self) -> int:
        """The value of Content-Length."""
        return sum(map(len, self.body)) if self.size is None else self.size


@dataclass(frozen=True, slots=True)
class Lengthy:
    """A response that takes so long to make that other connections would notice.

    `make` is called in a thread; it returns the response or raises HttpError.
    """

    make: Callable[[], Response]


Application = Callable[[Request], Response | Lengthy]
"""Answers a request; raises HttpError to refuse it."""


class HttpError(PeerError):
    """The request gets an error response."""

    def __init__(self, status: HTTPStatus, reason: str = "", *headers: tuple[str, str]) -> None:
        super().__init__(reason or status.phrase)
        self.status = status
        self.headers = headers

    def response(self) -> Response:
        """The response that says so, in one line of plain text."""
        text = f"{self.status.value} {self.status.phrase}\n"
        if str(self) != self.status.phrase:
            text = f"{self.status.value} {self.status.phrase}: {self}\n"
        headers = (("Content-Type", "text/plain; charset=utf-8"), *self.headers)
        return Response(status=self.status, headers=headers, body=(text.encode(),))
