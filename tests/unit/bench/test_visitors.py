"""The load generator against a server on the loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic_ns

from omtcp.bench.visitors import Job, Tally, Visitors

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"


@contextmanager
def server(*, close: bool, silent: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Answers each connection once; port and the requests it had."""
    asked: list[bytes] = []
    kept: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            asked.append(connection.recv(65536))
            if not silent:
                connection.sendall(ANSWER)
            if close:
                connection.close()
            else:
                kept.append(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in kept:
            connection.close()


def job(kind: str, port: int, **more: int) -> Job:
    return Job(
        kind=kind,
        host="127.0.0.1",
        port=port,
        path="small",
        size=4,
        concurrency=4,
        start_ns=monotonic_ns(),
        **more,
    )


def test_hurrying_visitors_count_what_was_answered() -> None:
    with server(close=True) as (port, asked):
        visitors = Visitors(job("hurry", port, duration_ns=100_000_000))
        visitors.hurry()
        visitors.close()
    assert b"Connection: close" in asked[0]
    assert visitors.tally.failures == 0
    assert 0 < len(visitors.tally.took) <= len(asked)
    assert sum(visitors.tally.bins.values()) == len(visitors.tally.took)


def test_a_connection_that_ends_without_an_answer_is_a_failure() -> None:
    with server(close=True, silent=True) as (port, _):
        visitors = Visitors(job("hurry", port, duration_ns=50_000_000))
        visitors.hurry()
        visitors.close()
    assert visitors.tally.failures > 0
    assert visitors.tally.took == []


def test_lingering_visitors_stay() -> None:
    with server(close=False) as (port, asked):
        visitors = Visitors(job("linger", port, count=10))
        visitors.linger()
        assert len(visitors.kept) == 10
        visitors.close()
    assert len(asked) == 10
    assert b"Connection: keep-alive" in asked[0]


def test_nobody_listening_is_a_failure_and_no_endless_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    visitors = Visitors(job("linger", port, count=3))
    visitors.linger()
    visitors.close()
    assert visitors.kept == []
    assert visitors.tally.failures == 3


def test_a_tally_of_nothing_has_no_median() -> None:
    assert Tally(0).result()["median_ns"] is None
