"""Lines to requests and back, whatever the lines are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.control.protocol import (
    MAX_LINE,
    VERBS,
    RefusedError,
    Request,
    RequestError,
    format_error,
    format_request,
    format_result,
    parse_reply,
    parse_request,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "paths.md"


def test_there_and_back() -> None:
    request = parse_request(format_request("drain", {"path": "eth0", "force": True}))
    assert request == Request("drain", {"path": "eth0", "force": True})
    assert (request.text("path"), request.flag("force"), request.number("cost")) == (
        "eth0",
        True,
        None,
    )


def test_an_identity_comes_back() -> None:
    request = parse_request(b'{"verb": "list", "id": [1, "x"]}')
    assert json.loads(format_result(request.identity, 5)) == {
        "id": [1, "x"],
        "ok": True,
        "result": 5,
    }
    with pytest.raises(RequestError) as caught:
        parse_request(b'{"verb": "cost", "id": 9}')
    assert caught.value.identity == 9


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "too long"),
        (b"[" * (MAX_LINE - 1), "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "the verb is one of list, add"),
        (b'{"verb": 5}', "the verb is one of"),
        (b'{"verb": ["list"]}', "the verb is one of"),
        (b'{"verb": "format"}', "the verb is one of"),
        (b'{"verb": "list", "path": "x"}', "list has no argument 'path'"),
        (b'{"verb": "drain"}', "drain needs the argument path"),
        (b'{"verb": "drain", "path": 5}', "path of drain is text"),
        (b'{"verb": "drain", "path": ""}', "cannot be that text"),
        (b'{"verb": "drain", "path": "a\\u0000b"}', "cannot be that text"),
        (b'{"verb": "drain", "path": "eth0", "force": 1}', "force of drain is true or false"),
        (b'{"verb": "cost", "path": "eth0", "cost": true}', "cost of cost is a whole number"),
        (b'{"verb": "cost", "path": "eth0", "cost": 1.5}', "cost of cost is a whole number"),
        (b'{"verb": "cost", "path": "eth0", "cost": -1}', "from 0 to"),
        (b'{"verb": "cost", "path": "eth0", "cost": 1e999}', "cost of cost is a whole number"),
    ],
)
def test_what_makes_no_sense(line: bytes, complaint: str) -> None:
    with pytest.raises(RequestError, match=re.escape(complaint)):
        parse_request(line)


@given(st.binary(max_size=300))
def test_any_octets(line: bytes) -> None:
    with pytest.raises(RequestError):
        parse_request(line)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(("verb", "path", "cost", "force", "id", "name", "interval_ms"))


@given(st.dictionaries(NAMES, VALUES | st.sampled_from(tuple(VERBS))))
def test_any_object(value: dict[str, object]) -> None:
    """It is a request with arguments of the right types, or it is refused."""
    try:
        request = parse_request(json.dumps(value).encode())
    except RequestError:
        return
    known = VERBS[request.verb]
    assert set(request.arguments) <= set(known)
    for name, argument in known.items():
        assert not argument.required or name in request.arguments
        assert type(request.arguments.get(name)) in (argument.kind, type(None))


class TestReplies:
    def test_a_result(self) -> None:
        assert parse_reply(format_result(None, {"a": [1]})) == {"a": [1]}

    def test_a_refusal_is_one_line(self) -> None:
        line = format_error(7, "no\nsuch  path")
        assert line.count(b"\n") == 1
        with pytest.raises(RefusedError, match=r"^no such path$"):
            parse_reply(line)

    @pytest.mark.parametrize("line", [b"", b"x", b"[]", b"{}", b'{"ok": true}', b'{"ok": 1}'])
    def test_nonsense(self, line: bytes) -> None:
        with pytest.raises(RequestError, match="makes no sense"):
            parse_reply(line)


def test_every_verb_and_argument_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("## The control socket")[2]
    rows = re.findall(r"^\| `([a-z]+)` \| ([^|]*) \|", text, re.MULTILINE)
    documented = {verb: re.findall(r"`(\w+)`", arguments) for verb, arguments in rows}
    assert documented == {verb: list(arguments) for verb, arguments in VERBS.items()}
