"""What a run is: links, client, traffic, script and senders, as frozen values."""

import math
from dataclasses import dataclass, field

from omtcp.errors import LocalError
from omtcp.lab.mptcp import MAX_UPLINKS
from omtcp.lab.script import Step, parse_script
from omtcp.lab.sharing import Bottleneck, Competitors, check_sharing
from omtcp.lab.switches import Switch, parse_switch
from omtcp.link.config import LinkConfig
from omtcp.link.loss import Bernoulli, GilbertElliott
from omtcp.link.spec import LinkSpec

FRAME_OVERHEAD = 14
"""Bytes of Ethernet header; links count whole frames, as an interface's counters do."""

_HEADERS = {4: 20 + 20 + 12, 6: 40 + 20 + 12}  # IP, TCP, timestamps


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The unmodified receiver: what its kernel is told, and which program downloads.

    buffer is the receive buffer in bytes (what the window can grow to), None for the kernel's own
    tuning; program is `sink` (kernel socket, measured at each read) or `curl`.
    """

    buffer: int | None = None
    sack: bool = True
    timestamps: bool = True
    ecn: bool = False
    mtu: int = 1500
    program: str = "sink"

    def __post_init__(self) -> None:
        if self.program not in ("sink", "curl"):
            raise LocalError(f"no such receiver: {self.program!r} (sink, curl)")

    def describe(self) -> str:
        """The differences from a plain client, empty if there are none."""
        words = [
            f"{self.buffer // 1024} KiB buffer" if self.buffer else "",
            "" if self.sack else "no SACK",
            "" if self.timestamps else "no timestamps",
            "ECN" if self.ecn else "",
            f"MTU {self.mtu}" if self.mtu != 1500 else "",
            "curl" if self.program == "curl" else "",
        ]
        return ", ".join(word for word in words if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSpec:
    """Who sends: omtcp in a mode, the kernel's TCP over one uplink, or its MPTCP over all.

    uplink is for the kernel's TCP: an index, or None for the better one. extra are arguments that
    are handed to `omtcp serve` as they are; switches are of its policy, while it runs.
    """

    kind: str = "omtcp"
    mode: str = "primary"
    cc: str = "cubic"
    uplink: int | None = None
    extra: tuple[str, ...] = ()
    switches: tuple[Switch, ...] = ()

    @property
    def label(self) -> str:
        if self.kind == "omtcp":
            switches = (switch.text for switch in self.switches)
            return " ".join(("omtcp", self.mode, self.cc, *self.extra, *switches))
        where = "" if self.uplink is None else f" on {self.uplink}"
        return f"{self.kind} {self.cc}{where}"


def parse_sender(text: str) -> SenderSpec:
    """`omtcp[:MODE][:CC][:--option=value...][:TIME=POLICY...]`, or another kind of sender.

    That is `kernel[:UPLINK][:CC]` or `mptcp[:CC]`.
    """
    kind, *words = text.split(":")
    mode, cc, uplink = "primary", "cubic", None
    extra: list[str] = []
    switches: list[Switch] = []
    if kind not in ("omtcp", "kernel", "mptcp"):
        raise LocalError(f"no such sender: {kind!r} (omtcp, kernel, mptcp)")
    for word in words:
        if word in ("reno", "cubic") or (kind != "omtcp" and word == "bbr"):
            cc = word
        elif kind == "omtcp" and word in ("primary", "pooled", "single"):
            mode = word
        elif kind == "omtcp" and word.startswith("--"):
            extra.append(word)
        elif kind == "omtcp" and "=" in word:
            switches.append(parse_switch(word))
        elif kind == "kernel" and word.isdecimal():
            uplink = int(word)
        else:
            raise LocalError(f"sender {text!r}: what is {word!r}?")
    return SenderSpec(
        kind=kind,
        mode=mode,
        cc=cc,
        uplink=uplink,
        extra=tuple(extra),
        switches=tuple(switches),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything a run needs; the same case gives the same links, losses and script.

    uplinks: the forward directions, in the order of `--path`.
    direct: veths with their offloads and no emulator; the uplinks then only count.
    return_uplink: which uplink the client sends on, None for the one with the least delay; its
        way back has the same rate, delay and jitter, and no loss.
    size, downloads: bytes of the file and how many clients fetch it at once; size None means
        fetching over and over until the duration is up.
    reference: the uplink of a kernel sender that names none; None for the better one.
    bottleneck: a link that uplinks share; competitors: other traffic to the client; fair_from_ns:
        from when on shares are told once more, beside those of the whole run.
    """

    name: str = "custom"
    about: str = ""
    uplinks: tuple[LinkSpec, ...]
    direct: bool = False
    duration_ns: int = 15_000_000_000
    size: int | None = None
    downloads: int = 1
    events: tuple[str, ...] = ()
    client: Client = field(default_factory=Client)
    return_uplink: int | None = None
    family: int = 4
    seed: int = 1
    senders: tuple[SenderSpec, ...] = (SenderSpec(), SenderSpec(kind="kernel"))
    reference: int | None = None
    bottleneck: Bottleneck | None = None
    competitors: tuple[Competitors, ...] = ()
    fair_from_ns: int = 0

    def __post_init__(self) -> None:
        count = len(self.uplinks)
        if not 1 <= count <= 16:
            raise LocalError(f"a case has 1 to 16 uplinks, not {count}")
        named = [sender.uplink for sender in self.senders]
        named += [self.return_uplink, self.reference]
        for index in named:
            if index is not None and index >= count:
                raise LocalError(f"there is no uplink {index}: there are {count}, from 0")
        if self.family not in _HEADERS:
            raise LocalError(f"the family is 4 or 6, not {self.family}")
        if any(sender.kind == "mptcp" for sender in self.senders):
            self._check_mptcp()
        check_sharing(count, self.bottleneck, self.competitors)
        if self.direct and (self.events or self.bottleneck or self.competitors):
            raise LocalError(
                "events, a bottleneck and competitors need emulated uplinks, not direct ones"
            )
        if not 0 <= self.fair_from_ns < self.duration_ns:
            raise LocalError("shares are to be told from a time within the run")
        self.script()

    def _check_mptcp(self) -> None:
        if len(self.uplinks) > MAX_UPLINKS:
            raise LocalError(f"the kernel's MPTCP has at most {MAX_UPLINKS} subflows")
        if self.client.program != "sink":
            raise LocalError(f"the sender mptcp needs the receiver sink, not {self.client.program}")

    def return_index(self) -> int:
        """The uplink that the client's packets take."""
        if self.return_uplink is not None:
            return self.return_uplink
        return min(range(len(self.uplinks)), key=lambda i: self.uplinks[i].link.delay_ns)

    def return_config(self) -> LinkConfig:
        """The link from the client to the server."""
        link = self.uplinks[self.return_index()].link
        plain = LinkConfig(rate_bps=link.rate_bps, delay_ns=link.delay_ns, jitter_ns=link.jitter_ns)
        return LinkSpec(link=plain, queue_bdp=2.0).resolve(link.delay_ns)

    def behind(self) -> tuple[int, ...]:
        """The uplinks that lead into the bottleneck."""
        return self.bottleneck.behind(len(self.uplinks)) if self.bottleneck else ()

    def _rest_ns(self, index: int) -> int:
        """The delay of a round trip by an uplink, but for the uplink's own."""
        back = self.return_config().delay_ns
        shared = self.bottleneck and index in self.behind()
        return back + (self.bottleneck.link.link.delay_ns if self.bottleneck and shared else 0)

    def forward_configs(self) -> tuple[LinkConfig, ...]:
        """The uplinks, their queues sized for the round trip over the return link."""
        return tuple(spec.resolve(self._rest_ns(index)) for index, spec in enumerate(self.uplinks))

    def bottleneck_config(self) -> LinkConfig | None:
        """The shared link, its queue sized for the round trip by the first uplink behind it."""
        if self.bottleneck is None:
            return None
        before = self.uplinks[self.behind()[0]].link.delay_ns
        return self.bottleneck.link.resolve(before + self.return_config().delay_ns)

    def competitor_config(self, group: Competitors) -> LinkConfig | None:
        """What each of a group has for itself before the bottleneck; None if they share an uplink.

        It is like the first uplink behind the bottleneck, but for losses, so that a competitor's
        bursts arrive as the measured connection's do: of two that share a short queue the
        smoother one wins.
        """
        if group.uplink is not None:
            return None
        model = self.forward_configs()[self.behind()[0]]
        return LinkConfig(
            rate_bps=model.rate_bps, delay_ns=model.delay_ns, queue_bytes=model.queue_bytes
        )

    def script(self) -> tuple[Step, ...]:
        return parse_script(
            self.events,
            uplinks=len(self.uplinks),
            duration_ns=self.duration_ns,
            return_uplink=self.return_index(),
            bottleneck=self.bottleneck is not None,
        )

    def expected_bps(
        self, index: int, link: LinkConfig | None = None, shared: LinkConfig | None = None
    ) -> float:
        """Roughly what one TCP connection carries on an uplink, with links set as given.

        The least of its share of the rate (and of the bottleneck's, `shared`) less headers, Mathis'
        bound for random loss, and a buffer per round trip. Good enough to tell the better uplink
        and to say what 90 % of it is. Without `link`, as at the start, an uplink that swallows
        carries nothing.
        """
        if link is None and self.uplinks[index].swallow != "none":
            return 0.0
        link = link or self.forward_configs()[index]
        mss = self.client.mtu - _HEADERS[self.family]
        rtt_s = max(link.delay_ns + self._rest_ns(index), 1) / 1e9
        bounds = [self._share_bps(link, index)]
        if index in self.behind() and (shared := shared or self.bottleneck_config()):
            bounds.append(self._share_bps(shared, None))
        if loss := mean_loss(link):
            bounds.append(1.22 * mss * 8 / (rtt_s * math.sqrt(loss)))
        if self.client.buffer:
            bounds.append(self.client.buffer * 8 / rtt_s)
        return min(bounds)

    def _share_bps(self, link: LinkConfig, uplink: int | None) -> float:
        """A link's rate less headers, divided among the measured connection and competitors."""
        if not link.up:
            return 0.0
        users = 1 + sum(group.count for group in self.competitors if group.uplink == uplink)
        mtu = self.client.mtu
        return (
            (link.rate_bps or math.inf)
            * (mtu - _HEADERS[self.family])
            / ((mtu + FRAME_OVERHEAD) * users)
        )

    def better_uplink(self) -> int:
        """The uplink that one TCP connection would be best off on; the faster if equal."""
        return max(
            range(len(self.uplinks)),
            key=lambda i: (self.expected_bps(i), -self.uplinks[i].link.delay_ns),
        )


def mean_loss(link: LinkConfig) -> float:
    """The share of packets that a link's loss model takes in the long run."""
    match link.loss:
        case None:
            return 0.0
        case Bernoulli(probability=probability):
            return probability
        case GilbertElliott() as model:
            total = model.to_bad + model.to_good
            bad = model.to_bad / total if total else 0.0
            return bad * model.loss_bad + (1 - bad) * model.loss_good
        case pattern:
            return pattern.bits.bit_count() / 64
