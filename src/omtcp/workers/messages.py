"""What supervisor and workers tell each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from omtcp.apps.downloads import Downloads
from omtcp.control.protocol import Request
from omtcp.core.config import Config
from omtcp.net.address import Address
from omtcp.net.lent import Lending
from omtcp.net.pathspec import Uplink


class Application(Protocol):
    """What is served."""

    @property
    def downloads(self) -> Downloads:
        """Those under way."""

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all workers do. It is pickled, and so is what makes the application."""

    recipe: Callable[[], Application]
    address: Address
    port: int
    config: Config
    secret: bytes
    """Of initial sequence numbers: those of a connection go on rising when its worker is new."""
    events: Path | None = None
    """The name from which those of the workers' trace files are made."""
    log_level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The first message to a worker.

    Its descriptors: a queue for each of `paths`, then the worker's mailbox, then the slots of the
    others' mailboxes.
    """

    job: Job
    number: int
    """Which worker it is, from 1."""
    generation: int
    """How many there were before it under this number."""
    ever: int
    """How many paths there were so far."""
    paths: tuple[Lending, ...]
    orders: tuple[Request, ...]
    """What the operator wanted since the start, as far as it still matters."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker serves."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot serve, for a reason of one line."""

    reason: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A log record of the worker's."""

    level: int
    logger: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a worker has done so far; sent about once a second, in case that it dies."""

    carried: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """By path: bytes sent, and how many of them again."""
    completed: int = 0
    failed: int = 0
    active: int = 0
    """Downloads under way."""


@dataclass(frozen=True, slots=True)
class Look:
    """Asks for a `Snapshot`."""


@dataclass(frozen=True, slots=True)
class Attach:
    """Asks for a path to be used; its queue comes along."""

    lending: Lending
    cost: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question of the supervisor's, which is answered."""

    identity: int
    what: Request | Look | Attach


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it; with `error` it was not done."""

    identity: int
    result: object = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The link of a path went down, or came up."""

    index: int
    up: bool


@dataclass(frozen=True, slots=True)
class Renamed:
    """A path has another gateway."""

    index: int
    uplink: Uplink


@dataclass(frozen=True, slots=True)
class Stop:
    """Reset what is open, and end."""


Message = (
    Assignment | Ready | Failed | Logged | Account | Ask | Answer | LinkChanged | Renamed | Stop
)
