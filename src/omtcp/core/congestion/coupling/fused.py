"""One window spread over several paths, for paths that are known to share their bottleneck.

The others in this package change increases only (and BALIA the decrease of the path that lost), so
that they hold for any mixture of bottlenecks. Where the paths are known to meet in one queue they
can aim at doing together what one TCP does; measured, it is somewhat less (docs/congestion.md).
The same is said of media flows in RFC 8699 (coupled congestion control, flow state exchange) and
of TCP connections in RFC 9040 section 9 (shared state of an ensemble).

- The n windows together grow by what one TCP grows: the paper's eq. 1, a share of 1/n each.
- A loss on one path is the congestion event of all, once per round trip: our caller reduces the
  windows of the whole group. That is what sets this apart from eq. 1.
- With CUBIC the sum of the windows shall follow W(t) = C·(t - K)³ + W_max. A window of 1/n that is
  cut when the others are has 1/n of W_max, and takes as long as they do to get back to it if its
  own C is C/n: its clock runs at the cube root of 1/n.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cbrt

from omtcp.core.congestion.coupling.flow import Flow, Share


def fused(flows: Sequence[Flow], fair: float = 1.0) -> list[Share]:
    """Equal shares of one TCP, whose losses are common."""
    if not flows:
        return []
    growth = fair * fair / len(flows)
    clock = cbrt(fair**4 / len(flows))
    return [Share(min(1.0, growth), clock=min(1.0, clock))] * len(flows)
