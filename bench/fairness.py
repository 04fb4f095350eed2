"""What the couplings take of a bottleneck that paths share, and of bottlenecks that they do not.

Simulated, deterministic, about ten minutes: python bench/fairness.py
"""

from omtcp.core.config import Config, Coupling, Mode
from omtcp.link import LinkConfig
from omtcp.link.config import bdp_bytes
from omtcp.sim import Pair, SharedLink

MILLISECOND = 1_000_000
RATE = 10_000_000
RTT_NS = 50 * MILLISECOND
SETTLE_S = 6.0
SECONDS = 15.0
DATA = memoryview(bytes(256 << 20))

SHARED = ((2, 1), (2, 4), (4, 1), (4, 4))
"""Paths into one bottleneck, and others' connections through it."""


def bottleneck(seed: int) -> SharedLink:
    """A queue of one bandwidth-delay product."""
    queue = bdp_bytes(RATE, RTT_NS)
    config = LinkConfig(rate_bps=RATE, delay_ns=MILLISECOND, queue_bytes=queue)
    return SharedLink(config, seed=seed)


def measure(config: Config, behind: list[SharedLink], rivals: int) -> tuple[float, float]:
    """Mbit/s of the connection, and of the mean rival in the first bottleneck, once settled.

    The way back is uneven by up to a millisecond, or flows in step would take turns at being lucky.
    """
    delay_ns = RTT_NS // 2 - MILLISECOND
    back = LinkConfig(delay_ns=RTT_NS // 2, jitter_ns=MILLISECOND)
    pair = Pair([LinkConfig(delay_ns=delay_ns)] * len(behind), back=back, config=config, seed=1,
                client_config=Config(receive_buffer_max=6 << 20), behind=behind)  # fmt: skip
    pair.client.keep = False
    single = Config(mode=Mode.SINGLE, congestion=config.congestion)
    others = []
    for i in range(rivals):
        other = pair.compete(behind[0], DATA, delay_ns=delay_ns, back_ns=RTT_NS // 2,
                             start=37 * i * MILLISECOND, config=single)  # fmt: skip
        other.configure(-1, back)
        others.append(other)
    pair.serve(DATA, close=False)
    pair.at(200 * MILLISECOND, lambda: (pair.connect(), None)[1])
    pair.run(seconds=SETTLE_S)
    ours = pair.client.total
    theirs = sum(other.client.total for other in others)
    pair.run(seconds=SECONDS)
    mbits = 8 / SECONDS / 1e6
    gained = sum(other.client.total for other in others) - theirs
    return (pair.client.total - ours) * mbits, gained * mbits / max(rivals, 1)


def share(config: Config, paths: int, rivals: int) -> float:
    """The connection's part of the bottleneck, as a multiple of the mean rival's."""
    link = bottleneck(0)
    ours, theirs = measure(config, [link] * paths, rivals)
    return ours / theirs


def sum_of_links(config: Config) -> float:
    """What it takes of two bottlenecks that are its own."""
    ours, _ = measure(config, [bottleneck(0), bottleneck(1)], 0)
    return ours * 1e6 / (2 * RATE)


def main() -> None:
    """Print a Markdown table."""
    titles = [f"{paths} paths, {rivals} rivals" for paths, rivals in SHARED]
    print(f"| base | coupling | {' | '.join(titles)} | two links |")
    print(f"|---|---|{'---|' * (len(SHARED) + 1)}")
    for base in ("cubic", "reno"):
        alone = Config(mode=Mode.SINGLE, congestion=base)
        cells = [f"{share(alone, 1, rivals):.2f}" for _, rivals in SHARED]
        print(f"| {base} | one path | {' | '.join(cells)} | |", flush=True)
        for coupling in Coupling:
            config = Config(mode=Mode.POOLED, congestion=base, coupling=coupling)
            cells = [f"{share(config, paths, rivals):.2f}" for paths, rivals in SHARED]
            cells.append(f"{sum_of_links(config):.0%}")
            print(f"| {base} | {coupling} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
