"""Pooling with a path that brings next to nothing costs next to nothing.

The pairs are those at which it once cost most; bench/pooling_grid.py looks at hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.link.loss import Bernoulli
from omtcp.sim import Pair

MS = 1_000_000
SECONDS = 10.0
BACK = LinkConfig(delay_ns=10 * MS)
DATA = memoryview(bytes(32 << 20))


def link(mbps: float, rtt_ms: int, *, queue: int, loss: float = 0.0) -> LinkConfig:
    """`queue` is in bytes."""
    return LinkConfig(
        rate_bps=int(mbps * 1e6),
        delay_ns=rtt_ms * MS - BACK.delay_ns,
        queue_bytes=queue,
        loss=Bernoulli(probability=loss) if loss else None,
    )


def received(links: Sequence[LinkConfig], mode: Mode, window: int) -> int:
    """Bytes of a download within ten seconds."""
    pair = Pair(
        links,
        back=BACK,
        config=Config(mode=mode),
        client_config=Config(receive_buffer=65536, receive_buffer_max=window),
        seed=1,
    )
    pair.client.keep = False
    pair.serve(DATA)
    pair.connect()
    pair.run(seconds=SECONDS)
    return pair.client.total


@pytest.mark.parametrize(
    ("good", "poor", "window"),
    [
        # A stall behind the poor path, and then the burst of a window in slow start.
        (link(20, 100, queue=50_000), link(0.4, 20, queue=3_000, loss=0.02), 256 << 10),
        # Repetitions go over the near path that takes 30 ms to send one.
        (link(20, 20, queue=10_000), link(0.4, 20, queue=3_000), 64 << 10),
        # A stall, and then a burst that costs a loss in congestion avoidance.
        (link(20, 20, queue=10_000), link(5, 100, queue=12_500, loss=0.02), 256 << 10),
    ],
)
def test_next_to_nothing(good: LinkConfig, poor: LinkConfig, window: int) -> None:
    alone = received([good], Mode.SINGLE, window)
    assert received([poor, good], Mode.POOLED, window) > 0.93 * alone
    assert received([good, poor], Mode.POOLED, window) > 0.93 * alone
