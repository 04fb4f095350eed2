"""Whole transfers of which the server remembered nothing until the handshake was complete."""

from __future__ import annotations

from random import Random

import pytest

from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.sim.pair import Pair

MS = 1_000_000
LINK = LinkConfig(rate_bps=20_000_000, delay_ns=20 * MS, queue_bytes=100_000)
DATA = Random(7).randbytes(1_000_000)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("mode", [Mode.POOLED, Mode.SINGLE])
def test_a_download(mode: Mode, timestamps: bool) -> None:
    pair = Pair(
        [LINK] * 2,
        back=LinkConfig(delay_ns=20 * MS),
        config=Config(mode=mode, syn_backlog=0),
        client_config=Config(timestamps=timestamps),
        seed=3,
    )
    pair.connect()
    pair.serve(DATA)
    pair.run()
    assert pair.server.cookies.accepted == 1
    assert pair.client.data == DATA
    carried = [path.tally.sent for path in pair.server.paths]
    assert all(carried) == (mode is Mode.POOLED and timestamps)
