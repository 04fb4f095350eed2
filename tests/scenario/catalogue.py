"""The scenarios, one line each; numbers about them stand in tests/snapshots/scenarios.txt."""

from __future__ import annotations

from omtcp.core.config import Config, Coupling, Mode
from omtcp.sim import BACK

from .scenarios import (
    Scenario,
    client,
    cross,
    cut,
    flap,
    read_on,
    read_slowly,
    restore,
    set_link,
    stop_reading,
    swallow,
)

MB = 1_000_000
MS = 1_000_000
NEAR, EQUAL, FAR = "20mbit,10ms", "20mbit,10ms", "20mbit,60ms"
TWO = (NEAR, EQUAL)
APART = (NEAR, "20mbit,15ms")
SINGLE = Config(mode=Mode.SINGLE)
POOLED = Config(mode=Mode.POOLED)
RENO = Config(congestion="reno")


def _s(name: str, *links: str, mb: float = 5, within: float, **options: object) -> Scenario:
    return Scenario(name=name, links=links, size=int(mb * MB), within=within, **options)  # type: ignore[arg-type]


SCENARIOS = [
    # Links that stay as they are
    _s("one path", NEAR, within=2.6, baseline=True),
    _s("two even paths", *TWO, within=2.6, baseline=True),
    _s("two even paths, reno", *TWO, within=2.6, baseline=True, config=RENO),
    _s("two even paths, pooled", *TWO, within=1.5, config=POOLED),
    _s("two even paths, pooled reno", *TWO, within=1.6,
       config=Config(mode=Mode.POOLED, congestion="reno")),
    _s("two even paths, single", *TWO, within=2.6, config=SINGLE),
    _s("uneven rates", NEAR, "5mbit,10ms", within=2.6, baseline=True),
    _s("uneven rates, pooled", NEAR, "5mbit,10ms", within=2.4, config=POOLED),
    _s("far second path", NEAR, FAR, within=2.6, baseline=True),
    _s("far second path, pooled", NEAR, FAR, within=2.4, config=POOLED),
    _s("better path second", "5mbit,40ms", NEAR, within=3.2, baseline=True),
    _s("better path second, same delay", "5mbit,10ms", NEAR, within=4.5),
    _s("better path second, pooled", "5mbit,40ms", NEAR, within=3.0, config=POOLED),
    _s("three paths", NEAR, "10mbit,20ms", "5mbit,40ms", within=2.7, baseline=True),
    _s("three paths, pooled", NEAR, "10mbit,20ms", "5mbit,40ms", within=2.0, config=POOLED),
    *(_s(f"two even paths, pooled, {coupling}", *TWO, within=1.5,
         config=Config(mode=Mode.POOLED, coupling=coupling)) for coupling in Coupling
      if coupling is not Coupling.AUTO),
    _s("jitter 5 ms", "20mbit,10ms,jitter=5ms", NEAR, within=2.9, baseline=True),
    _s("tiny queues", "20mbit,10ms,queue=0.2bdp", "20mbit,10ms,queue=0.2bdp", within=3.2,
       baseline=True),
    _s("tiny queues, reno", "20mbit,10ms,queue=0.2bdp", "20mbit,10ms,queue=0.2bdp", within=3.5,
       baseline=True, config=RENO),
    # Losses
    _s("1 % loss on the first", "20mbit,10ms,loss=1%", NEAR, within=5, baseline=False),
    _s("1 % loss on the second", NEAR, "20mbit,10ms,loss=1%", within=2.7, baseline=True),
    _s("1 % loss on both", *["20mbit,10ms,loss=1%"] * 2, within=7, baseline=True),
    _s("1 % loss on both, pooled", *["20mbit,10ms,loss=1%"] * 2, within=5, config=POOLED),
    _s("acknowledgments lost, 5 %", *TWO, within=2.8, back="inf,10ms,loss=5%", baseline=True),
    _s("acknowledgments lost, 5 %, pooled", *TWO, within=1.8, back="inf,10ms,loss=5%",
       config=POOLED),
    # Receivers
    _s("receive buffer of 64 KiB", NEAR, FAR, mb=3, within=2, baseline=True,
       client=client(window=65_536)),
    _s("receive buffer of 64 KiB, pooled", NEAR, FAR, mb=3, within=2, config=POOLED,
       client=client(window=65_536)),
    _s("receive buffer of 16 KiB", *TWO, mb=1, within=3, baseline=True,
       client=client(window=16_384)),
    _s("no timestamps", *TWO, within=1.6, client=client(timestamps=False), config=POOLED),
    _s("slow reader", *TWO, mb=2, within=9, setup=read_slowly(2_000_000),
       client=client(window=262_144)),
    _s("reader pauses for 2 s", *TWO, mb=3, within=5, client=client(window=262_144),
       actions=((0.5, stop_reading), (2.5, read_on))),
    # Cuts
    *[
        # A tail lost with the cut path takes a tail loss probe, and so a little longer, to find.
        _s(f"path {path} cut at {at} s", *APART, mb=8, within=4, silence_ms=170,
           actions=((at, cut(path)),))
        for path in (0, 1)
        for at in (0.2, 0.7, 1.5)
    ],
    _s("path 0 cut at 0.7 s, pooled", *APART, within=4, silence_ms=150, config=POOLED,
       actions=((0.7, cut(0)),)),
    _s("path 0 cut at 0.7 s, reno", *APART, within=4, silence_ms=150, config=RENO,
       actions=((0.7, cut(0)),)),
    _s("path 0 cut at 0.7 s, receive buffer of 64 KiB", *APART, mb=3, within=4, silence_ms=150,
       client=client(window=65_536), actions=((0.7, cut(0)),)),
    _s("path 0 cut at 0.7 s, single", *APART, within=6, config=SINGLE, actions=((0.7, cut(0)),)),
    _s("cut and restored", *APART, mb=8, within=5.2, silence_ms=150,
       actions=((0.7, cut(0)), (1.7, restore(0)))),
    _s("flapping", *APART, mb=8, within=6, silence_ms=150, actions=flap(0, every=0.3, times=5)),
    _s("both flap in turn", *APART, mb=8, within=8,
       actions=(*flap(0, every=0.4, times=3), *flap(1, every=0.4, times=3, start=0.9))),
    _s("everything cut for 3 s", *APART, within=8,
       actions=((0.7, cut(0, 1)), (3.7, restore(0, 1)))),
    _s("way back cut for 2 s", *APART, within=7,
       actions=((0.7, set_link(BACK, up=False)), (2.7, set_link(BACK, up=True)))),
    _s("first path swallows everything", *APART, within=5, setup=swallow(0)),
    _s("second path swallows everything", *APART, within=2.6, setup=swallow(1)),
    _s("first path swallows all but SYN", *APART, within=5, setup=swallow(0, all_but_syn=True)),
    _s("second path swallows all but SYN, pooled", *APART, within=3, config=POOLED,
       setup=swallow(1, all_but_syn=True)),
    # Links that change
    _s("rate falls to a tenth", *TWO, within=4.5,
       actions=((0.7, set_link(0, rate_bps=2_000_000)),)),
    _s("delay jumps to 60 ms and back", *TWO, mb=8, within=5.2,
       actions=((0.7, set_link(0, delay_ns=60 * MS)), (1.9, set_link(0, delay_ns=10 * MS)))),
    _s("others load the first path", *TWO, mb=8, within=5.5,
       setup=cross(0, 15_000_000, 0.7, 10.0)),
    # Sizes
    _s("1 byte", *TWO, mb=1e-6, within=0.1),
    _s("1 segment", *TWO, mb=1448e-6, within=0.1),
    _s("10 KB", *TWO, mb=0.01, within=0.1),
    _s("1 MB", *TWO, mb=1, within=0.7),
]  # fmt: skip
