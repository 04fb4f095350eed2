"""Events as JSON lines, one object per line, in a file.

The first line describes the file: `{"format": "omtcp-events", "version": 1, "time_unit": "ns",
"paths": [...]}`. Every other line is `{"time_ns", "connection", "name", "data"}`, with the event's
class in snake case as the name and its fields as the data. JSON has no infinity; such a number is
written as null.
"""

import json
import logging
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from io import RawIOBase
from os import PathLike, fspath

from omtcp.errors import SetupError
from omtcp.trace.events import Event

logger = logging.getLogger("omtcp.trace")

FORMAT = "omtcp-events"
VERSION = 1
PENDING_MAX = 4096
"""Events kept before they are written without being asked to."""

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_Pending = tuple[int, int, Event]


class JsonLines:
    """A sink that writes to a file, in batches: when `flush` is called, and when many wait.

    An event is turned into text only when its batch is written, so that the core pays for one
    append. If the file can no longer be written, the sink says so once and drops what follows.
    """

    def __init__(
        self, path: str | PathLike[str], *, paths: Sequence[str], worker: int | None = None
    ) -> None:
        """Create or empty the file at `path`; `paths` names the paths in their order.

        `worker` says which of several processes writes it.

        Raises:
            SetupError: it cannot be written.
        """
        self.path = fspath(path)
        self._pending: list[_Pending] = []
        self._file: RawIOBase | None = None
        try:
            self._file = open(self.path, "wb", buffering=0)  # noqa: SIM115 - until close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", None) or str(error)
            raise SetupError(f"cannot write events to {self.path}: {reason}") from None
        header = {"format": FORMAT, "version": VERSION, "time_unit": "ns", "paths": list(paths)}
        if worker is not None:
            header["worker"] = worker
        self._write([json.dumps(header)])

    def __call__(self, now: int, connection: int, event: Event) -> None:
        """Take an event; a `Sink`."""
        if self._file is None:
            return
        self._pending.append((now, connection, event))
        if len(self._pending) >= PENDING_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what has been taken so far."""
        pending, self._pending = self._pending, []
        if pending and self._file is not None:
            self._write(map(_line, pending))

    def close(self) -> None:
        """Write what has been taken and close the file; events after that are dropped."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, lines: Iterable[str]) -> None:
        assert self._file is not None
        rest = memoryview("".join(f"{line}\n" for line in lines).encode())
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            reason = error.strerror
            logger.warning("no more events are written to %s: %s", self.path, reason)
            self._file.close()
            self._file = None


def event_name(kind: type[Event]) -> str:
    """The name of an event in the file: PathChosen is `path_chosen`."""
    return _WORD.sub("_", kind.__name__).lower()


_layouts: dict[type[Event], tuple[str, tuple[str, ...]]] = {}


def _layout(kind: type[Event]) -> tuple[str, tuple[str, ...]]:
    """Name and field names of an event."""
    layout = _layouts.get(kind)
    if layout is None:
        layout = _layouts[kind] = event_name(kind), tuple(field.name for field in fields(kind))
    return layout


def _line(pending: _Pending) -> str:
    now, connection, event = pending
    name, names = _layout(type(event))
    data = {field: getattr(event, field) for field in names}
    record = {"time_ns": now, "connection": connection, "name": name, "data": data}
    try:
        return json.dumps(record, allow_nan=False)
    except ValueError:
        record["data"] = {field: _finite(value) for field, value in data.items()}
        return json.dumps(record)


def _finite(value: object) -> object:
    """The value with null in place of each float that JSON cannot write."""
    if isinstance(value, tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
