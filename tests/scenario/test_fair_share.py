"""A connection whose paths meet in one queue takes what one flow takes there."""

from __future__ import annotations

from random import Random
from statistics import mean

import pytest

from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.link.config import bdp_bytes
from omtcp.sim import Pair, SharedLink

MS = 1_000_000
DATA = memoryview(bytes(64 << 20))
SETTLED_S = 4.0


def share(seed: int, *, paths: int, rivals: int, mbits: int, rtt_ms: int, seconds: float) -> float:
    """Goodput over the mean rival's from `SETTLED_S` on; all begin within 20 ms, by lot."""
    rate, random = mbits * 1_000_000, Random(seed)
    queue = bdp_bytes(rate, rtt_ms * MS)
    link = SharedLink(LinkConfig(rate_bps=rate, queue_bytes=queue), seed=seed)
    delay_ns = rtt_ms * MS // 2
    access = LinkConfig(rate_bps=2 * rate, delay_ns=delay_ns, queue_bytes=4 * queue)
    back = LinkConfig(delay_ns=delay_ns, jitter_ns=MS)
    pair = Pair(
        [access] * paths,
        back=back,
        config=Config(mode=Mode.POOLED),
        client_config=Config(receive_buffer_max=6 << 20),
        seed=seed,
        behind=[link] * paths,
    )
    pair.client.keep = False
    others = []
    for _ in range(rivals):
        start = random.randrange(20) * MS
        other = pair.compete(link, DATA, delay_ns=delay_ns, back_ns=delay_ns, start=start)
        other.configure(0, access)
        other.configure(-1, back)
        others.append(other)
    pair.serve(DATA, close=False)
    pair.at(10 * MS, lambda: (pair.connect(), None)[1])
    received = []
    for until in (SETTLED_S, seconds - SETTLED_S):
        pair.run(seconds=until)
        received.append([each.client.total for each in (pair, *others)])
    ours, *theirs = (after - before for before, after in zip(*received, strict=True))
    return float(ours / mean(theirs))


@pytest.mark.parametrize(
    ("paths", "rivals", "mbits", "rtt_ms", "seconds", "seeds"),
    [(2, 1, 6, 40, 20.0, 4), (4, 1, 6, 40, 20.0, 4), (2, 4, 16, 25, 10.0, 2)],
)
def test_a_fair_share(
    paths: int, rivals: int, mbits: int, rtt_ms: int, seconds: float, seeds: int
) -> None:
    """On average: two CUBIC flows take tens of seconds to become even, whatever they are."""
    shares = [
        share(seed, paths=paths, rivals=rivals, mbits=mbits, rtt_ms=rtt_ms, seconds=seconds)
        for seed in range(1, seeds + 1)
    ]
    assert 0.8 <= mean(shares) <= 1.2, shares
