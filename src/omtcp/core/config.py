"""What a user may choose about a connection; the defaults are what we would run."""

from dataclasses import dataclass
from enum import StrEnum

from omtcp.errors import LocalError

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Mode(StrEnum):
    """How the paths are used."""

    SINGLE = "single"
    """The first path alone; the others only if it fails."""
    PRIMARY = "primary"
    """The paper: one path grows its window, the others carry what their windows still allow."""
    POOLED = "pooled"
    """Every path grows: all of them at once."""


class Policy(StrEnum):
    """What is sent over which path in pooled mode; may be changed while connections live."""

    POOLED = "pooled"
    """Each byte over one path."""
    REDUNDANT = "redundant"
    """Each byte over every path, for the earliest arrival."""


class Coupling(StrEnum):
    """How the windows of the paths depend on one another while all of them grow."""

    AUTO = "auto"
    """Of paths that seem to share a bottleneck one carries data; the others are not coupled."""
    UNCOUPLED = "uncoupled"
    SHARED = "shared"
    """The paper's eq. 1 (P7)."""
    LIA = "lia"
    OLIA = "olia"
    BALIA = "balia"


class LossCorrection(StrEnum):
    """The paper's LC (P8)."""

    INVERSE_LOSS = "inverse-loss"
    CUBIC_LIKE = "cubic-like"


class PrimaryRule(StrEnum):
    """How the primary is found."""

    CAPACITY = "capacity"
    """By what each path has been seen to deliver, with hysteresis (see core/primary.py)."""
    LITERAL = "literal"
    """The largest MSS·LC/RTT at each evaluation, as the paper writes it."""


class LossRule(StrEnum):
    """How losses within a path are found."""

    RACK = "rack"
    """By time, with a window for reordering that adapts (RFC 8985)."""
    LITERAL = "literal"
    """More than 2·MSS delivered above a hole, as the paper writes it (P3), and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Options of an endpoint and of each of its connections. Times ns, sizes bytes."""

    mode: Mode = Mode.PRIMARY
    policy: Policy = Policy.POOLED
    congestion: str = "cubic"
    """Base algorithm, a name that `congestion.base` knows: reno or cubic."""
    coupling: Coupling = Coupling.AUTO
    """Of the paths in pooled mode (see congestion/coupling)."""
    loss_correction: LossCorrection = LossCorrection.INVERSE_LOSS
    fair: float = 1.0
    """How many flows the connection may be as aggressive as at one bottleneck (eq. 4)."""
    primary_rule: PrimaryRule = PrimaryRule.CAPACITY
    primary_interval_ns: int = 250 * MILLISECOND
    """Mean time between evaluations of the primary; each is drawn from ±20 % of it (P9)."""

    recovery: LossRule = LossRule.RACK

    timestamps: bool = True
    """Accept RFC 7323 timestamps; they rise in sequence order, so PAWS eats nothing."""
    sack: bool = True
    """Offer and accept SACK; off only to see what a peer without it gets (P1)."""
    send_buffer: int = 8 << 20
    """Written and unacknowledged bytes above which the application is asked to pause."""
    receive_buffer: int = 64 << 10
    receive_buffer_max: int = 4 << 20

    min_rto_ns: int = 200 * MILLISECOND
    user_timeout_ns: int = 100 * SECOND
    """R2 of RFC 1122 section 4.2.3.5, kept per path (P5)."""
    syn_retries: int = 5
    orphan_timeout_ns: int = 60 * SECOND
    """How long FIN-WAIT-2 lasts once nobody reads any more."""
    time_wait_ns: int = 60 * SECOND
    time_wait_most: int = 4096
    """Connections in TIME-WAIT; with more the oldest are forgotten early, as Linux does."""
    keepalive_ns: int = 7200 * SECOND
    """Idle time before the first keep-alive probe; 0 switches them off."""
    keepalive_interval_ns: int = 75 * SECOND
    keepalive_probes: int = 9

    suspect_floor_ns: int = 15 * MILLISECOND
    """No path is suspected sooner than this, whatever its RTT."""
    ping_interval_ns: int = 100 * MILLISECOND
    slow_ping_interval_ns: int = 5 * SECOND
    """Ping interval of a path that has been silent for the user timeout."""
    syn_backlog: int = 512
    """Handshakes under way that are remembered; beyond it SYNs are answered with cookies."""
    metrics_interval_ns: int = 50 * MILLISECOND

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            LocalError: an option is out of its range, or does not go with another.
        """
        if self.policy is Policy.REDUNDANT and self.mode is not Mode.POOLED:
            raise LocalError(f"the redundant policy is one of pooled mode, not of {self.mode}")
        if not self.fair > 0:
            raise LocalError(f"fair must be more than 0, not {self.fair}")
        if self.congestion not in ("reno", "cubic"):
            raise LocalError(f"no congestion control named {self.congestion!r}: reno or cubic")
