"""Asking a running server, from another process."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from omtcp.control.protocol import Json, format_request, parse_reply
from omtcp.errors import SetupError

PATIENCE = 30.0
"""Seconds for an answer; making a path may have to wait for other instances."""


def ask(path: Path, verb: str, arguments: dict[str, str | int | bool]) -> Json:
    """The result of one request to the server at `path`.

    Raises:
        SetupError: nobody answers there.
        RefusedError: the server says no, and why.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(os.fspath(path))
            with suppress(BrokenPipeError):  # sent away; what it said before can still be read
                connection.sendall(format_request(verb, arguments))
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except OSError as error:
            reason = error.strerror or str(error)
            raise SetupError(f"no answer at the control socket {path}: {reason}") from None
    if not line.endswith(b"\n"):
        raise SetupError(f"no answer at the control socket {path}: the server ended")
    return parse_reply(line)
