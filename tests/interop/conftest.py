"""The namespaces that the tests of the host's plumbing share."""

from collections.abc import Iterator

import pytest

from .hosts import Hosts, two_hosts


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """A server with two uplinks, and the world behind them."""
    with two_hosts() as hosts:
        yield hosts
