"""How the two rules for the primary behave: the paper's MSS·LC/RTT, and what paths deliver.

Simulated, deterministic, about a minute: python bench/primary_rule.py
"""

from dataclasses import dataclass

from omtcp.core.config import Config, LossCorrection, Mode, PrimaryRule
from omtcp.link import LinkConfig
from omtcp.link.config import bdp_bytes
from omtcp.link.loss import Bernoulli
from omtcp.sim import Pair
from omtcp.trace.events import Event, PathChosen

SECONDS = 15.0
MILLISECOND = 1_000_000
DATA = memoryview(bytes(256 << 20))


@dataclass(frozen=True)
class Uplink:
    """Mbit/s, one-way delay in ms, loss probability."""

    rate: int
    delay: int
    loss: float = 0.0

    def link(self, back_ms: int) -> LinkConfig:
        """With a queue of one bandwidth-delay product."""
        rate = self.rate * 1_000_000
        return LinkConfig(
            rate_bps=rate,
            delay_ns=self.delay * MILLISECOND,
            queue_bytes=bdp_bytes(rate, (self.delay + back_ms) * MILLISECOND),
            loss=Bernoulli(probability=self.loss) if self.loss else None,
        )


CASES = {
    "50/10 + 50/10": (Uplink(50, 10), Uplink(50, 10)),
    "100/10 + 20/40": (Uplink(100, 10), Uplink(20, 40)),
    "50/5 + 50/75": (Uplink(50, 5), Uplink(50, 75)),
    "50/10 1 % + 50/10": (Uplink(50, 10, 0.01), Uplink(50, 10)),
}

RULES = {
    "capacity": {"primary_rule": PrimaryRule.CAPACITY},
    "literal, 1/p": {"primary_rule": PrimaryRule.LITERAL},
    "literal, cubic-like": {
        "primary_rule": PrimaryRule.LITERAL,
        "loss_correction": LossCorrection.CUBIC_LIKE,
    },
}


def measure(uplinks: tuple[Uplink, ...], window: int, config: Config) -> tuple[float, int, float]:
    """Goodput in Mbit/s, moves of the primary, and the share of time it was the better uplink."""
    moves: list[tuple[int, int]] = []

    def sink(now: int, _: int, event: Event) -> None:
        if isinstance(event, PathChosen):
            moves.append((now, event.path))

    back = min(uplink.delay for uplink in uplinks)
    pair = Pair(
        [uplink.link(back) for uplink in uplinks],
        back=LinkConfig(delay_ns=back * MILLISECOND),
        config=config,
        client_config=Config(receive_buffer=min(window, 65536), receive_buffer_max=window),
        seed=1,
        sink=sink,
    )
    pair.client.keep = False
    pair.connect()
    pair.run(lambda: pair.accepted is not None, seconds=5)
    began = pair.now
    pair.serve(DATA)
    pair.run(seconds=SECONDS)
    better = max(
        range(len(uplinks)),
        key=lambda i: (-uplinks[i].loss, uplinks[i].rate, -uplinks[i].delay),
    )
    at, path, on_better = began, 0, 0
    for now, to in [*moves, (pair.now, -1)]:
        on_better += (now - at) * (path == better)
        at, path = now, to
    elapsed = pair.now - began
    return pair.client.total * 8e3 / elapsed, len(moves), on_better / elapsed


def main() -> None:
    """Print a Markdown table."""
    print("| uplinks, Mbit/s / ms | rule | Mbit/s | moves | time on the better |")
    print("|---|---|---|---|---|")
    for name, uplinks in CASES.items():
        for rule, options in RULES.items():
            config = Config(mode=Mode.PRIMARY, **options)  # type: ignore[arg-type]
            goodput, moves, share = measure(uplinks, 6 << 20, config)
            print(f"| {name} | {rule} | {goodput:.1f} | {moves} | {share:.0%} |")


if __name__ == "__main__":
    main()
