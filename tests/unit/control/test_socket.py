"""The control socket in an event loop: verbs are carried out, and rude clients harm nobody."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from omtcp.control.client import ask
from omtcp.control.places import alive, default_path, running, the_only_one
from omtcp.control.protocol import MAX_LINE, RefusedError, format_error, format_request
from omtcp.control.server import MAX_CLIENTS, control_socket
from omtcp.control.service import Service
from omtcp.core.stats import PathReport
from omtcp.errors import LocalError, SetupError


class Board:
    """An administration that notes what it is asked for; its paths send at a megabit a look."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.looks = 0

    async def reports(self) -> list[PathReport]:
        self.looks += 1
        return [
            PathReport(
                at_ns=self.looks * 1_000_000_000,
                index=3,
                name="eth0@192.0.2.1",
                device="eth0",
                gateway="192.0.2.1",
                state="up",
                link_up=True,
                cost=2,
                connections=1,
                suspect=0,
                primary_of=1,
                in_flight=0,
                bytes_sent=self.looks * 125_000,
                bytes_retransmitted=0,
            )
        ]

    async def add(self, path: str, cost: int | None) -> str:
        return self._note("add", path, cost)

    async def drain(self, name: str, *, force: bool) -> str:
        return self._note("drain", name, force)

    async def undrain(self, name: str) -> str:
        return self._note("undrain", name)

    async def remove(self, name: str, *, force: bool) -> str:
        return self._note("remove", name, force)

    async def set_cost(self, name: str, cost: int) -> str:
        return self._note("cost", name, cost)

    async def policy(self) -> str:
        return "pooled"

    async def set_policy(self, name: str) -> str:
        return self._note("policy", name)

    def _note(self, *what: Any) -> str:
        self.asked.append(what)
        if what[1] == "bad":
            raise LocalError("no path 'bad'")
        if what[1] == "bug":
            raise RuntimeError("a bug")
        return str(what[1])


class Office:
    """A control socket with a board behind it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.board = Board()
        self.slept: list[float] = []

    @asynccontextmanager
    async def open(self, patience: float = 20.0) -> AsyncIterator[Office]:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        async with control_socket(self.path, Service(self.board, sleep), patience=patience):
            yield self

    async def ask(self, verb: str, **arguments: str | int | bool) -> Any:
        return await asyncio.to_thread(ask, self.path, verb, arguments)


def with_office(
    path: Path, story: Callable[[Office], Awaitable[None]], patience: float = 20.0
) -> Office:
    office = Office(path)

    async def main() -> None:
        async with office.open(patience):
            await story(office)

    asyncio.run(main())
    return office


def test_every_verb(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        assert await office.ask("add", path="eth1") == "eth1"
        assert await office.ask("add", path="eth1", cost=4) == "eth1"
        assert await office.ask("drain", path="eth0") == "eth0"
        assert await office.ask("drain", path="eth0", force=True) == "eth0"
        assert await office.ask("undrain", path="eth0") == "eth0"
        assert await office.ask("remove", path="eth0", force=True) == "eth0"
        assert await office.ask("cost", path="eth0", cost=0) == "eth0"
        assert await office.ask("policy", name="redundant") == "redundant"

    assert with_office(tmp_path / "socket", story).board.asked == [
        ("add", "eth1", None),
        ("add", "eth1", 4),
        ("drain", "eth0", False),
        ("drain", "eth0", True),
        ("undrain", "eth0"),
        ("remove", "eth0", True),
        ("cost", "eth0", 0),
        ("policy", "redundant"),
    ]


def test_a_list_measures_rates_between_two_looks(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        answer = await office.ask("list")
        assert answer["policy"] == "pooled"
        (entry,) = answer["paths"]
        assert (entry["name"], entry["rate_bps"]) == ("eth0@192.0.2.1", 1_000_000)
        assert "at_ns" not in entry
        (entry,) = (await office.ask("list", interval_ms=0))["paths"]
        assert entry["rate_bps"] is None
        await office.ask("list", interval_ms=1_000_000)

    assert with_office(tmp_path / "socket", story).slept == [0.25, 10.0]


def test_refusals_and_bugs_are_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(office: Office) -> None:
        with pytest.raises(RefusedError, match="no path 'bad'"):
            await office.ask("drain", path="bad")
        with pytest.raises(RefusedError, match="internal error"):
            await office.ask("undrain", path="bug")
        assert await office.ask("drain", path="eth0") == "eth0"

    with_office(tmp_path / "socket", story)
    assert "a bug" in caplog.text


async def converse(office: Office, octets: bytes) -> list[dict[str, Any]]:
    """What is answered until the server closes, or the client has said all it has to."""
    reader, writer = await asyncio.open_unix_connection(str(office.path))
    writer.write(octets)
    writer.write_eof()
    lines = (await reader.read()).splitlines()
    writer.close()
    await writer.wait_closed()
    return [json.loads(line) for line in lines]


async def flood(client: socket.socket) -> None:
    """Ask on and on, without reading."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(client, b'{"verb": "list", "interval_ms": 0}\n' * 99)


class TestRudeClients:
    def test_nonsense_between_requests(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            answers = await converse(
                office, b'\n{"verb"\n[]\n{"verb": "undrain", "path": "eth0"}\n{"verb": "li'
            )
            assert [answer["ok"] for answer in answers] == [False, False, False, True]

        with_office(tmp_path / "socket", story)

    def test_a_line_without_end(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            (answer,) = await converse(office, b"x" * (3 * MAX_LINE))
            assert answer == {"ok": False, "error": "the request is too long"}
            assert await office.ask("undrain", path="eth0") == "eth0"

        with_office(tmp_path / "socket", story)

    def test_one_that_says_nothing_is_sent_away(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            reader, writer = await asyncio.open_unix_connection(str(office.path))
            assert await office.ask("undrain", path="eth0") == "eth0"
            assert await reader.read() == b""
            writer.close()

        with_office(tmp_path / "socket", story, patience=0.05)

    def test_one_that_reads_nothing_is_sent_away(self, tmp_path: Path) -> None:
        """Its requests are not even read any more, so nothing piles up."""

        async def story(office: Office) -> None:
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.connect(os.fspath(office.path))
                deaf.setblocking(False)
                with pytest.raises((BrokenPipeError, ConnectionResetError)):
                    await flood(deaf)
            assert await office.ask("undrain", path="eth0") == "eth0"

        with_office(tmp_path / "socket", story, patience=0.2)

    def test_a_crowd(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            crowd = [
                await asyncio.open_unix_connection(str(office.path)) for _ in range(MAX_CLIENTS)
            ]
            await asyncio.sleep(0)
            with pytest.raises(RefusedError, match="too many"):
                await office.ask("undrain", path="eth0")
            for _, writer in crowd:
                writer.close()
                await writer.wait_closed()
            while True:  # until the server has noticed
                try:
                    assert await office.ask("undrain", path="eth0") == "eth0"
                    break
                except RefusedError:
                    await asyncio.sleep(0)

        with_office(tmp_path / "socket", story)

    def test_a_refusal_that_came_before_the_request_left_is_heard(self, tmp_path: Path) -> None:
        place = tmp_path / "socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(place))
            listener.listen()

            def refuse() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(format_error(None, "too many clients"))

            server = threading.Thread(target=refuse)
            original = format_request

            def late(verb: str, arguments: Any) -> bytes:
                server.join()
                return original(verb, arguments)

            server.start()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("omtcp.control.client.format_request", late)
                with pytest.raises(RefusedError, match="too many"):
                    ask(place, "list", {})

    def test_the_end_does_not_wait_for_them(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            reader, writer = await asyncio.open_unix_connection(str(office.path))
            writer.write(b'{"verb": "undrain", "path": "eth0"}\n')
            assert await reader.readline()
            self.left = writer

        with_office(tmp_path / "socket", story, patience=1000)
        assert not (tmp_path / "socket").exists()


class TestPlaces:
    def test_only_its_owner_may(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            assert stat.S_IMODE(office.path.stat().st_mode) == 0o600

        place = tmp_path / "a" / "socket"
        with_office(place, story)
        assert not place.exists()

    def test_a_dead_one_is_replaced_a_live_one_is_not(self, tmp_path: Path) -> None:
        place = tmp_path / "socket"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(place))
        assert not alive(place)

        async def story(office: Office) -> None:
            with pytest.raises(SetupError, match="another process answers"):
                async with control_socket(place, Service(Board(), asyncio.sleep)):
                    pass
            assert await office.ask("undrain", path="eth0") == "eth0"

        with_office(place, story)

    def test_a_file_stays(self, tmp_path: Path) -> None:
        place = tmp_path / "socket"
        place.write_text("mine")

        async def story(office: Office) -> None:
            raise AssertionError

        with pytest.raises(SetupError, match="no control socket"):
            with_office(place, story)
        assert place.read_text() == "mine"

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        async def story(office: Office) -> None:
            raise AssertionError

        with pytest.raises(SetupError, match="cannot make the control socket"):
            with_office(tmp_path / ("x" * 150), story)

    def test_one_that_somebody_else_put_there_stays(self, tmp_path: Path) -> None:
        place = tmp_path / "socket"

        async def story(office: Office) -> None:
            place.unlink()
            place.write_text("other")

        with_office(place, story)
        assert place.read_text() == "other"

    def test_the_only_one(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="no omtcp serve runs"):
            the_only_one(tmp_path)
        one, two = (default_path(address, 80, tmp_path) for address in ("192.0.2.1", "2001:db8::1"))
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(two))

        async def story(office: Office) -> None:
            assert the_only_one(tmp_path) == one
            other = Office(two)
            async with other.open():
                assert running(tmp_path) == [one, two]
                with pytest.raises(SetupError, match="several servers run here"):
                    the_only_one(tmp_path)

        with_office(one, story)

    def test_nobody_answers(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="no answer at the control socket"):
            ask(tmp_path / "none", "list", {})
