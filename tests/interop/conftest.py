"""The namespaces that the tests on the real kernel share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .hosts import Hosts, two_hosts
from .serving import World, fill, world


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """A server with two uplinks, and the world behind them."""
    with two_hosts() as hosts:
        yield hosts


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to serve, which no test changes."""
    return fill(tmp_path_factory.mktemp("site"))


@pytest.fixture
def alone() -> Iterator[World]:
    """A world of a test's own, with both legs slow enough to interrupt a download."""
    with world() as made:
        made.set_rate(30)
        yield made


@pytest.fixture
def slow() -> Iterator[World]:
    """A world with legs so slow that a download outlives several commands."""
    with world() as made:
        made.set_rate(8)
        yield made
