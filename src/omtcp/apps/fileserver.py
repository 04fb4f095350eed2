"""A directory over HTTP: GET and HEAD, ranges, conditional requests, listings.

`FileServer` answers requests and knows neither sockets nor time; `FileServer.protocol` makes the
asyncio protocol that puts it on a connection.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

from omtcp.apps.contents import Content, Contents, FileChangedError, FileSlice, cut
from omtcp.apps.downloads import Downloads
from omtcp.apps.http.conditional import (
    Validators,
    Verdict,
    evaluate,
    file_validators,
    range_applies,
)
from omtcp.apps.http.messages import HttpError, Lengthy, Request, Response
from omtcp.apps.http.patience import Patience, Timeouts
from omtcp.apps.http.protocol import HttpProtocol
from omtcp.apps.http.ranges import Span, UnsatisfiableRangeError, select_ranges
from omtcp.apps.keepsakes import Keepsake, Keepsakes, state_of
from omtcp.apps.listing import render_listing
from omtcp.apps.media_types import media_type
from omtcp.apps.tree import OpenFile, Tree

logger = logging.getLogger("omtcp.files")

INDEX = b"index.html"
MAX_LISTED = 10_000
"""Entries on a directory's page; a page of more helps nobody, and takes long to make."""

_OTHER_METHODS = {"CONNECT", "DELETE", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
_MALFORMED_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ORIGIN = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)

_Body = tuple[bytes | FileSlice, ...]


class _Found(Protocol):
    """What a response needs of a file; `load` comes last, for its content may not be wanted."""

    @property
    def validators(self) -> Validators: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def media(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def name(self) -> str: ...
    def load(self) -> Content: ...


class _Opened(NamedTuple):
    """A file that is open now."""

    validators: Validators
    headers: tuple[tuple[str, str], ...]
    media: str
    size: int
    name: str
    load: Callable[[], Content]


class FileServer:
    """Answers requests for what lies under a directory."""

    def __init__(
        self,
        root: str,
        *,
        clock: Callable[[], float] = time.time,
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """Serve `root`; `clock` tells seconds since the epoch, `boundary` separates parts.

        Raises:
            SetupError: root is not a directory that can be read.
        """
        self.downloads = Downloads()
        self._tree = Tree(root)
        self._contents = Contents()
        self._keepsakes = Keepsakes()
        self._clock = clock
        self._boundary = boundary
        self._patience = Patience()

    def protocol(self, timeouts: Timeouts | None = None) -> asyncio.Protocol:
        """A protocol for one connection."""
        return HttpProtocol(
            self.respond,
            downloads=self.downloads,
            timeouts=timeouts,
            patience=self._patience,
            clock=self._clock,
        )

    def respond(self, request: Request) -> Response | Lengthy:
        """Answer a request.

        Raises:
            HttpError: the answer is an error response.
        """
        if request.method not in ("GET", "HEAD"):
            if request.method in _OTHER_METHODS:
                raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "", ("Allow", "GET, HEAD"))
            raise HttpError(HTTPStatus.NOT_IMPLEMENTED)
        kept = self._keepsakes.find(request.target)
        if kept is not None:
            return self._answer(request, kept)
        segments, query = split_target(request.target)
        names_directory = not segments or segments[-1] == b""
        segments = [segment for segment in segments if segment]
        real = self._tree.resolve(segments)
        if not self._tree.is_directory(real):
            if names_directory:
                raise HttpError(HTTPStatus.NOT_FOUND)
            return self._file(request, real, segments, segments)
        if not names_directory:
            return _redirect_to_directory(segments, query)
        return self._directory(request, real, segments)

    def _directory(
        self, request: Request, real: bytes, segments: Sequence[bytes]
    ) -> Response | Lengthy:
        inside = [*segments, INDEX]
        try:
            index = self._tree.resolve(inside)
            if not self._tree.is_directory(index):
                return self._file(request, index, inside, segments)
        except HttpError as error:
            if error.status is not HTTPStatus.NOT_FOUND:
                raise
        return Lengthy(lambda: self._listing(real, segments))

    def _listing(self, real: bytes, segments: Sequence[bytes]) -> Response:
        """Called in a thread."""
        entries = self._tree.entries(real, MAX_LISTED)
        page = render_listing(segments, entries[:MAX_LISTED], truncated=len(entries) > MAX_LISTED)
        return Response(
            status=HTTPStatus.OK,
            headers=(("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache")),
            body=(page,),
        )

    def _file(
        self, request: Request, real: bytes, segments: Sequence[bytes], shown: Sequence[bytes]
    ) -> Response:
        """Answer with the file at `real`, found at `segments` and called `shown` to people."""
        with self._tree.open(real) as file:
            found = self._found(request.target, file, self._tree.path(segments), shown)
            return self._answer(request, found)

    def _found(self, target: bytes, file: OpenFile, path: bytes, shown: Sequence[bytes]) -> _Found:
        status = file.status
        validators = file_validators(
            mtime_ns=status.st_mtime_ns, size=status.st_size, inode=status.st_ino
        )
        headers = _file_headers(validators, self._clock())
        media = media_type(file.name)
        name = "/" + b"/".join(shown).decode("utf-8", "replace")

        def load() -> Content:
            content = self._load(file, path)
            if isinstance(content, bytes):
                kept = Keepsake(
                    path=path,
                    state=state_of(status),
                    validators=validators,
                    headers=headers,
                    media=media,
                    content=content,
                    name=name,
                )
                self._keepsakes.keep(target, kept, self._clock())
            return content

        return _Opened(validators, headers, media, status.st_size, name, load)

    def _answer(self, request: Request, found: _Found) -> Response:
        verdict = evaluate(request.headers, found.validators)
        if verdict is Verdict.FAILED:
            raise HttpError(HTTPStatus.PRECONDITION_FAILED)
        if verdict is Verdict.NOT_MODIFIED:
            etag = ("ETag", found.validators.etag)
            return Response(status=HTTPStatus.NOT_MODIFIED, headers=(etag,))
        whole = (*found.headers, ("Content-Type", found.media))
        if request.method == "HEAD":
            return Response(status=HTTPStatus.OK, headers=whole, size=found.size)
        spans = self._spans(request, found.validators, found.size)
        content = found.load()
        if spans is None:
            body: _Body = (cut(content, 0, found.size),)
            return Response(status=HTTPStatus.OK, headers=whole, body=body, download=found.name)
        media_headers, body = self._partial(content, spans, found.size, found.media)
        return Response(
            status=HTTPStatus.PARTIAL_CONTENT,
            headers=(*found.headers, *media_headers),
            body=body,
            download=found.name,
        )

    def _spans(
        self, request: Request, validators: Validators, size: int
    ) -> tuple[Span, ...] | None:
        """The parts that are wanted, or None for the whole."""
        field = request.headers.get("range")
        if field is None or not range_applies(request.headers, validators, self._clock()):
            return None
        try:
            return select_ranges(field, size)
        except UnsatisfiableRangeError:
            raise HttpError(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "", ("Content-Range", f"bytes */{size}")
            ) from None

    def _load(self, file: OpenFile, path: bytes) -> Content:
        try:
            return self._contents.load(file.descriptor, file.status)
        except FileChangedError:
            reason = "it became shorter while it was opened"
        except OSError as error:
            reason = error.strerror or str(error)
        logger.warning("cannot read %s: %s", path.decode("utf-8", "backslashreplace"), reason)
        raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE)

    def _partial(
        self, content: Content, spans: Sequence[Span], size: int, media: str
    ) -> tuple[tuple[tuple[str, str], ...], _Body]:
        """Header fields and body of a 206: one part as it is, several as multipart/byteranges."""
        if len(spans) == 1:
            [span] = spans
            body: _Body = (cut(content, span.start, span.end),)
            return (("Content-Type", media), ("Content-Range", span.content_range(size))), body
        boundary = self._boundary()
        parts: list[bytes | FileSlice] = []
        for span in spans:
            parts.append(
                f"\r\n--{boundary}\r\nContent-Type: {media}\r\n"
                f"Content-Range: {span.content_range(size)}\r\n\r\n".encode()
            )
            parts.append(cut(content, span.start, span.end))
        parts.append(f"\r\n--{boundary}--\r\n".encode())
        return (("Content-Type", f"multipart/byteranges; boundary={boundary}"),), tuple(parts)


def split_target(target: bytes) -> tuple[list[bytes], bytes]:
    """The decoded segments of a request target's path, and its query with the question mark.

    A last segment that is empty means that the path ended in a slash.

    Raises:
        HttpError: 400 for a target that is no path, or not well formed.
    """
    origin = _ORIGIN.match(target)  # the absolute form must be understood too (RFC 9112 3.2.2)
    if origin is not None:
        target = target[origin.end() :] or b"/"
    path, question, query = target.partition(b"?")
    if not path.startswith(b"/") or b"#" in target:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the target is not a path")
    if _MALFORMED_ESCAPE.search(path):
        raise HttpError(HTTPStatus.BAD_REQUEST, "malformed percent-encoding")
    segments = [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]
    if any(b"\0" in segment or b"/" in segment for segment in segments):
        raise HttpError(HTTPStatus.BAD_REQUEST, "no file name has such a character")
    return segments, question + query


def _file_headers(validators: Validators, now: float) -> tuple[tuple[str, str], ...]:
    headers = [
        ("Accept-Ranges", "bytes"),
        ("ETag", validators.etag),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if validators.modified <= now:  # a date in the future must not be told (section 8.8.2.1)
        headers.append(("Last-Modified", validators.last_modified))
    return tuple(headers)


def _redirect_to_directory(segments: Sequence[bytes], query: bytes) -> Response:
    # Built anew from the segments: the target as it came could begin with // and name a host.
    path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
    location = f"{path}/{query.decode('ascii', 'ignore')}"
    return Response(status=HTTPStatus.MOVED_PERMANENTLY, headers=(("Location", location),))
