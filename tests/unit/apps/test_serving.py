"""The file server on real sockets, with clients that others wrote."""

import asyncio
import hashlib
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from omtcp.apps.contents import SMALL

from .serving import Client, Site, get, serving, stock_get

SIZE = 20_000_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("root")
    (path / "small.txt").write_bytes(b"0123456789")
    (path / "large").write_bytes(os.urandom(SIZE))
    return path


def run(root: Path, talk: Callable[[Site], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(60), serving(root) as site:
            await talk(site)

    asyncio.run(play())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_standard_library_downloads(root: Path) -> None:
    async def talk(site: Site) -> None:
        response, body = await asyncio.to_thread(stock_get, site.port, "/large")
        assert response.status == 200
        assert digest(body) == digest((root / "large").read_bytes())
        response, body = await asyncio.to_thread(
            stock_get, site.port, "/large", Range="bytes=10000000-10000009"
        )
        assert response.status == 206
        assert body == (root / "large").read_bytes()[10_000_000:10_000_010]

    run(root, talk)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ([], 200),
        (["--http1.0"], 200),
        (["--range", "0-9999999"], 206),
        (["--range", "0-0,-1"], 206),
        (["--continue-at", "15000000"], 206),
        (["--head"], 200),
        (["--request", "GET", "--data", "x=1"], 200),
        (["--upload-file", "/dev/null"], 405),
        (["--header", "If-None-Match: *"], 304),
        (["--header", "Range: bytes=99999999-"], 416),
    ],
)
def test_curl_downloads(root: Path, tmp_path: Path, options: list[str], status: int) -> None:
    whole = (root / "large").read_bytes()
    output = tmp_path / "output"
    if "--continue-at" in options:
        output.write_bytes(whole[:15_000_000])

    async def talk(site: Site) -> None:
        url = f"http://127.0.0.1:{site.port}/large"
        command = ["curl", "-sS", "-m", "30", "-w", "%{http_code}", "-o", str(output), *options]
        curl = await asyncio.create_subprocess_exec(
            *command, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await curl.communicate()
        assert (curl.returncode, err) == (0, b"")
        assert out.decode() == str(status)

    run(root, talk)
    if options in ([], ["--http1.0"]) or "--continue-at" in options:
        assert digest(output.read_bytes()) == digest(whole)


def test_a_hundred_at_once_share_one_mapping(root: Path) -> None:
    expected = digest((root / "large").read_bytes()[:1_000_000])

    async def talk(site: Site) -> None:
        clients = [await site.connect() for _ in range(100)]
        asked = [client.get("/large", Range="bytes=0-999999") for client in clients]
        answers = await asyncio.gather(*asked)
        assert {digest(answer.body) for answer in answers} == {expected}
        for client in clients:
            await client.close()
        assert site.files.downloads.failed == 0

    run(root, talk)


def test_one_that_dies_leaves_the_others_alone(root: Path) -> None:
    async def talk(site: Site) -> None:
        doomed, steady = await site.connect(), await site.connect()
        doomed.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await doomed.reader.readexactly(100_000)
        doomed.writer.transport.abort()
        answer = await steady.get("/large")
        assert digest(answer.body) == digest((root / "large").read_bytes())
        await steady.close()

    run(root, talk)


def test_many_requests_on_one_connection(root: Path) -> None:
    async def talk(site: Site) -> None:
        client = await site.connect()
        for target, status in [("/small.txt", 200), ("/none", 404), ("/large", 200)] * 3:
            assert (await client.get(target)).status == status
        client.send(b"GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        for _ in range(10):
            assert (await client.answer()).body == b"0123456789"
        await client.close()
        assert len(site.protocols) == 1

    run(root, talk)


def test_half_closed_clients_get_their_file(root: Path) -> None:
    async def talk(site: Site) -> None:
        client = await site.connect()
        client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        client.writer.write_eof()
        assert len((await client.answer()).body) == SIZE
        assert await client.at_end()
        await client.close()

    run(root, talk)


def test_an_upload_is_refused_and_the_refusal_arrives(root: Path) -> None:
    async def talk(site: Site) -> None:
        client = await site.connect()
        client.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        client.send(bytes(10_000_000))
        assert (await client.answer()).status == 405
        assert await client.at_end()
        await client.close()

    run(root, talk)


def test_a_file_may_vanish_while_it_is_sent(tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    (tmp_path / "file").write_bytes(content)

    async def talk(site: Site) -> None:
        client = await site.connect()
        client.send(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        (tmp_path / "file").unlink()
        assert digest(await client.reader.readexactly(SIZE)) == digest(content)
        await client.close()

    run(tmp_path, talk)


def test_requests_are_logged_at_info(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "omtcp"):
        get(root, "/small.txt")
    [line] = [record.getMessage() for record in caplog.records if record.name == "omtcp.http"]
    assert line.endswith(": GET /small.txt: 200, 10 bytes")
    assert line.startswith("127.0.0.1:")


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1])
def test_sizes_around_the_limit(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(content := os.urandom(size))
    answer = get(tmp_path, "/file")
    assert answer.body == content
    assert answer.headers["content-length"] == str(size)


def test_descriptors_and_mappings_do_not_pile_up(root: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def ask(client: Client) -> None:
        for target in ("/large", "/small.txt", "/", "/none"):
            await client.get(target)

    async def talk(site: Site) -> None:
        client = await site.connect()
        await ask(client)
        before = count()
        for _ in range(5):
            await ask(client)
        assert count() == before
        await client.close()

    run(root, talk)
