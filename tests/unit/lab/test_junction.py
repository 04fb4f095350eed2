"""Links that lead into one bottleneck get the same chances."""

from random import Random

from omtcp.lab.junction import Junction
from omtcp.link.config import LinkConfig
from omtcp.link.pipe import Pipe

MS = 1_000_000
NAMES = ("0", "1", "competitor 0.0", "competitor 0.1")


class Rig:
    """Four links like each other into one of half a frame per millisecond, with room for two."""

    def __init__(self, seed: int = 1, rates: tuple[int, ...] = (12_000_000,) * 4) -> None:
        self.feeders: dict[str, Pipe[bytes]] = {
            name: Pipe(LinkConfig(rate_bps=rate), Random(0))
            for name, rate in zip(NAMES, rates, strict=True)
        }
        config = LinkConfig(rate_bps=6_000_000, queue_bytes=3000)
        self.bottleneck: Pipe[bytes] = Pipe(config, Random(0))
        self.carried: list[tuple[int, str]] = []
        self.junction = Junction(
            self.feeders,
            self.bottleneck,
            Random(seed),
            lambda at, name, _: self.carried.append((at, name)),
        )

    def offer(self, now: int, *names: str) -> None:
        for name in names:
            self.feeders[name].send(now, name.encode().ljust(1500), 1500)

    def passed(self, now: int) -> list[str]:
        """Whose frames came out of the bottleneck by then."""
        out = []
        while (frame := self.bottleneck.poll_delivery(now)) is not None:
            out.append(frame.decode().strip())
        return out


def test_a_full_queue_has_no_favourites() -> None:
    rig = Rig()
    got: list[str] = []
    for round_ in range(2000):
        now = round_ * MS
        rig.offer(now, *NAMES)
        rig.junction.advance(now)
        got += rig.passed(now)
    counts = [got.count(name) for name in NAMES]
    mean = sum(counts) / len(counts)
    assert mean > 200
    assert all(0.85 * mean < count < 1.15 * mean for count in counts)


def test_same_seed_same_lots() -> None:
    orders = []
    for seed in (1, 1, 2):
        rig = Rig(seed)
        for now in range(0, 50 * MS, MS):
            rig.offer(now, *NAMES)
            rig.junction.advance(now + MS)
        orders.append([name for _, name in rig.carried])
    assert orders[0] == orders[1] != orders[2]


def test_what_is_due_earlier_goes_first() -> None:
    rig = Rig(rates=(12_000_000, 48_000_000, 24_000_000, 12_000_000))
    rig.offer(0, "0", "1", "competitor 0.0")
    rig.junction.advance(MS - 1)
    assert rig.carried == [(MS // 4, "1"), (MS // 2, "competitor 0.0")]
    rig.junction.advance(MS)
    assert rig.carried[-1] == (MS, "0")
    assert rig.passed(100 * MS) == ["1", "competitor 0.0"]  # and a third found no room
