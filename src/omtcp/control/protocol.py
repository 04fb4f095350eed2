"""What is said over a control socket, without the socket: lines of JSON, each one object.

A request names a verb and its arguments, `{"verb": "drain", "path": "eth0", "force": false}`, and
may bear an `id`. Each is answered in turn by `{"ok": true, "result": ...}` or `{"ok": false,
"error": "..."}`, with the `id` if there was one. docs/paths.md describes the verbs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from omtcp.errors import OmtcpError

MAX_LINE = 16 << 10
"""Octets of a request; nothing that makes sense is longer."""
MAX_TEXT = 200
"""Characters of an argument."""
MAX_NUMBER = 10**9

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class RequestError(OmtcpError):
    """A request that makes no sense; the message goes back to whoever sent it."""

    def __init__(self, message: str, identity: Json = None) -> None:
        super().__init__(message)
        self.identity = identity


class RefusedError(OmtcpError):
    """The server understood, and said no; its reason is the message."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb: its type, and whether it may be left out."""

    kind: type
    required: bool = True


VERBS: Mapping[str, Mapping[str, Argument]] = {
    "list": {"interval_ms": Argument(int, required=False)},
    "add": {"path": Argument(str), "cost": Argument(int, required=False)},
    "drain": {"path": Argument(str), "force": Argument(bool, required=False)},
    "undrain": {"path": Argument(str)},
    "remove": {"path": Argument(str), "force": Argument(bool, required=False)},
    "cost": {"path": Argument(str), "cost": Argument(int)},
    "policy": {"name": Argument(str)},
}


QUERIES = frozenset({"list"})
"""The verbs that change nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """A verb that exists, with arguments of the right types."""

    verb: str
    arguments: Mapping[str, str | int | bool] = field(default_factory=dict)
    identity: Json = None

    def text(self, name: str, default: str = "") -> str:
        """The argument called `name`, or `default` where it was left out."""
        return str(self.arguments.get(name, default))

    def number(self, name: str) -> int | None:
        """The argument called `name`, None where it was left out."""
        value = self.arguments.get(name)
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        """Whether the argument called `name` was given and true."""
        return bool(self.arguments.get(name, False))


def parse_request(line: bytes) -> Request:
    """Read one line.

    Raises:
        RequestError: it is no JSON object, or no verb with its arguments.
    """
    if len(line) > MAX_LINE:
        raise RequestError("the request is too long")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError("the request is not JSON") from None
    if not isinstance(value, dict):
        raise RequestError("the request is not a JSON object")
    identity = value.pop("id", None)
    verb = value.pop("verb", None)
    if not isinstance(verb, str) or verb not in VERBS:
        raise RequestError(f"the verb is one of {', '.join(VERBS)}", identity)
    _check_arguments(verb, value, identity)
    return Request(verb, value, identity)


def _check_arguments(verb: str, given: Mapping[str, object], identity: Json) -> None:
    known = VERBS[verb]
    for name in given:
        if name not in known:
            raise RequestError(f"{verb} has no argument {name[:MAX_TEXT]!r}", identity)
    for name, argument in known.items():
        if name not in given:
            if argument.required:
                raise RequestError(f"{verb} needs the argument {name}", identity)
            continue
        value = given[name]
        if type(value) is not argument.kind:  # True is no number here
            kind = {str: "text", int: "a whole number", bool: "true or false"}[argument.kind]
            raise RequestError(f"the argument {name} of {verb} is {kind}", identity)
        if isinstance(value, str) and not (0 < len(value) <= MAX_TEXT and value.isprintable()):
            raise RequestError(f"the argument {name} of {verb} cannot be that text", identity)
        if isinstance(value, int) and not 0 <= value <= MAX_NUMBER:
            raise RequestError(f"the argument {name} of {verb} is from 0 to {MAX_NUMBER}", identity)


def format_request(verb: str, arguments: Mapping[str, str | int | bool]) -> bytes:
    """The line of a request."""
    return _line({"verb": verb, **arguments})


def format_result(identity: Json, result: Json) -> bytes:
    """The line that answers a request that was done."""
    return _line(_identified(identity, {"ok": True, "result": result}))


def format_error(identity: Json, message: str) -> bytes:
    """The line that answers a request that was not done."""
    return _line(_identified(identity, {"ok": False, "error": " ".join(message.split())}))


def parse_reply(line: bytes) -> Json:
    """The result in a reply.

    Raises:
        RefusedError: the request was not done; the message is the server's.
        RequestError: it is no reply.
    """
    try:
        reply = json.loads(line)
        if reply["ok"] is True:
            result: Json = reply["result"]
            return result
        message = str(reply["error"])
    except (ValueError, KeyError, TypeError):
        raise RequestError("the answer over the control socket makes no sense") from None
    raise RefusedError(message)


def _identified(identity: Json, reply: dict[str, Json]) -> dict[str, Json]:
    return reply if identity is None else {"id": identity, **reply}


def _line(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value).encode() + b"\n"
