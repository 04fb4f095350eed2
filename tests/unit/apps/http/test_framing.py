"""What is read without h11 means what h11 says it means, and is answered as h11 would."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.apps.http import framing
from omtcp.apps.http.framing import MAX_HEAD, Framing, Heard, body_size, read_plain
from omtcp.apps.http.messages import Request

CURL = (
    b"GET /pub/a%20b?x=1 HTTP/1.1\r\nHost: files.example:8080\r\nUser-Agent: curl/8.5.0\r\n"
    b"Accept: */*\r\n\r\n"
)
FIELDS = (
    b"Host: a",
    b"host:b",
    b"HOST: \t c \t",
    b"Connection: close",
    b"connection:keep-alive",
    b"Connection: Keep-Alive, CLOSE ,x",
    b"Connection: closed",
    b"Connection:",
    b"Range: bytes=0-1",
    b'If-None-Match: "a", W/"b"',
    b"X: \x7e\x21",
    b"X: \xe9",
    b"X: a\x00b",
    b"X: a\x0bb",
    b"X : a",
    b" folded",
    b"Bad Name: a",
    b": nameless",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"X: a\r",
    b"",
)
LINES = (
    b"GET / HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"GET /a HTTP/1.1 ",
    b"GET  /a HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET http://h/a HTTP/1.1",
    b"GET /\xc3\xa4 HTTP/1.1",
    b"HEAD /a HTTP/1.1",
    b"get /a HTTP/1.1",
    b"GET /a",
    b"GET /a HTTP/2.0",
    b"GET /a HTTP/1.1\r",
)
ENDS = (b"\r\n\r\n", b"\n\n", b"\r\n", b"\r\n\r\nGET", b"\r\n\r\n\r\n")


def by_h11(data: bytes) -> tuple[Request, bool] | None:
    """The request in `data` and whether the connection ends with it, if there is one without
    a body and nothing else."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
        if not isinstance(event, h11.Request):
            return None
        request = framing._translate(event)
        if body_size(request) or not isinstance(connection.next_event(), h11.EndOfMessage):
            return None
    except h11.RemoteProtocolError:
        return None
    if connection.trailing_data[0] or connection.they_are_waiting_for_100_continue:
        return None
    return request, connection.their_state is h11.MUST_CLOSE


def test_what_clients_send_is_plain() -> None:
    request = read_plain(CURL)
    assert request is not None
    assert request.target == b"/pub/a%20b?x=1"
    assert request.headers == {
        "host": "files.example:8080",
        "user-agent": "curl/8.5.0",
        "accept": "*/*",
    }


def test_no_more_is_plain_than_h11_takes_in_pieces() -> None:
    head = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    room = MAX_HEAD - len(head % b"")
    assert read_plain(head % (b"a" * room)) is not None
    assert read_plain(head % (b"a" * (room + 1))) is None


def check(data: bytes) -> None:
    plain = read_plain(data)
    if plain is not None:
        assert by_h11(data) == (plain, framing._asks_to_close(plain))


heads = st.builds(
    lambda line, fields, end: b"\r\n".join([line, *fields]) + end,
    st.sampled_from(LINES[:1] * 8 + LINES),
    st.lists(st.sampled_from(FIELDS), max_size=4),
    st.sampled_from(ENDS[:1] * 4 + ENDS),
)


@given(heads)
def test_what_is_plain_h11_reads_alike(data: bytes) -> None:
    check(data)


@given(st.data())
def test_so_it_does_after_any_damage(data: st.DataObject) -> None:
    octets = bytearray(CURL)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    check(bytes(octets))


@pytest.mark.parametrize("line", LINES[1:])
def test_what_is_no_plain_line_is_left_to_h11(line: bytes) -> None:
    plain = read_plain(line + b"\r\nHost: x\r\n\r\n")
    assert (plain is not None) == (line in (b"GET * HTTP/1.1", b"GET http://h/a HTTP/1.1"))


def talk(pieces: Sequence[bytes], status: HTTPStatus, body: bytes, close: bool) -> list[object]:
    """What a server hears and sends that answers each request with `body`."""
    ours, log = Framing(), list[object]()
    for piece in pieces:
        ours.receive(piece)
        while True:
            try:
                ours.start_next()
                if ours.must_close:
                    log.append("over")
                    break
                heard = ours.next()
            except h11.RemoteProtocolError as error:
                return [*log, error.error_status_hint, ours.can_refuse]
            if isinstance(heard, Request):
                fields = [("Content-Length", str(len(body)))]
                log += [heard, ours.send_head(status, fields, len(body), close=close)]
                if heard.method != "HEAD":
                    ours.count(body)
                ours.finish()
            elif heard is not Heard.REST:
                log.append(heard)
                break
        log += [ours.unread, ours.unfinished, ours.asked]
    return log


@given(st.lists(heads | st.just(CURL) | st.just(b""), max_size=4), st.booleans(), st.data())
def test_whole_conversations_are_the_same(
    pieces: list[bytes], close: bool, data: st.DataObject
) -> None:
    """Keep-alive, refusals, pipelining, the end of the stream: as if h11 did everything."""
    if b"" in pieces:
        pieces = pieces[: pieces.index(b"") + 1]
    body = data.draw(st.binary(max_size=3))
    ours = talk(pieces, HTTPStatus.OK, body, close)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "read_plain", lambda data: None)
        assert ours == talk(pieces, HTTPStatus.OK, body, close)


def asked(data: bytes = CURL) -> Framing:
    ours = Framing()
    ours.receive(data)
    assert isinstance(ours.next(), Request)
    return ours


@pytest.mark.parametrize("reader", [lambda data: None, read_plain])
class TestOurMistakes:
    @pytest.fixture(autouse=True)
    def choose(
        self, reader: Callable[[bytes], Request | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(framing, "read_plain", reader)

    @pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\rb", "a\0b"])
    def test_a_field_cannot_break_out_of_its_line(self, value: str) -> None:
        with pytest.raises(h11.LocalProtocolError):
            asked().send_head(
                HTTPStatus.OK, [("X", value), ("Content-Length", "0")], 0, close=False
            )

    def test_more_body_than_announced(self) -> None:
        ours = asked()
        ours.send_head(HTTPStatus.OK, [("Content-Length", "1")], 1, close=False)
        with pytest.raises(h11.LocalProtocolError):
            ours.count(b"ab")

    def test_less_body_than_announced(self) -> None:
        ours = asked()
        ours.send_head(HTTPStatus.OK, [("Content-Length", "2")], 2, close=False)
        ours.count(b"a")
        with pytest.raises(h11.LocalProtocolError):
            ours.finish()


def test_an_idle_connection_keeps_no_parser() -> None:
    ours = Framing()
    ours.receive(CURL[:10])
    ours.receive(CURL[10:])
    assert isinstance(ours.next(), Request)
    ours.send_head(HTTPStatus.OK, [("Content-Length", "0")], 0, close=False)
    ours.finish()
    assert ours.start_next()
    assert ours._h11 is None
