"""A link as a value: rate, delay, queue, loss, marking.

`Link` answers one question: offered a packet of this size now, when does it come out, if at all?
`Pipe` adds the packets themselves, first in, first out. Neither looks at a clock or at what a
packet means, so the simulator runs them in virtual time and the lab in real time.
"""

from omtcp.link.config import LinkConfig, bdp_bytes
from omtcp.link.link import Change, Counters, DropReason, Link, Verdict
from omtcp.link.loss import Bernoulli, GilbertElliott, Loss, Pattern, Rng
from omtcp.link.pipe import Pipe
from omtcp.link.spec import LinkSpec, parse_link

__all__ = [
    "Bernoulli",
    "Change",
    "Counters",
    "DropReason",
    "GilbertElliott",
    "Link",
    "LinkConfig",
    "LinkSpec",
    "Loss",
    "Pattern",
    "Pipe",
    "Rng",
    "Verdict",
    "bdp_bytes",
    "parse_link",
]
