"""Links and quantities as people write them: `50mbit,10ms,loss=1%,queue=1bdp`."""

import re
from dataclasses import dataclass, replace

from omtcp.errors import LocalError
from omtcp.link.config import LinkConfig, bdp_bytes
from omtcp.link.loss import Bernoulli, GilbertElliott, Loss, Pattern

_RATES = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
_SIZES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}  # fmt: skip
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
SWALLOWS = ("none", "all", "data")
MIN_QUEUE_BYTES = 2 * 1514
"""A queue given as a multiple of the BDP holds at least two full frames."""


def _quantity(text: str, units: dict[str, int], what: str) -> int:
    match = _NUMBER.fullmatch(text.strip().lower())
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise LocalError(f"{text!r} is not {what} (units: {known})")
    return round(float(match[1]) * units[match[2]])


def parse_rate(text: str) -> int | None:
    """Bits per second of `50mbit`; None for `inf`."""
    if text.strip().lower() == "inf":
        return None
    rate = _quantity(text.lower().replace("/s", ""), _RATES, "a rate")
    if rate == 0:
        raise LocalError(f"{text!r}: a rate of zero is a cut, say `cut`")
    return rate


def parse_time(text: str) -> int:
    """Nanoseconds of `10ms`."""
    return _quantity(text, _TIMES, "a time")


def parse_size(text: str) -> int:
    """Bytes of `64KiB`, `100MB` or a bare number; k, m and g are binary."""
    return _quantity(text, _SIZES, "a size")


def parse_probability(text: str) -> float:
    """0.01 of `1%` or `0.01`."""
    try:
        value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise LocalError(f"{text!r} is not a probability") from None
    if not 0.0 <= value <= 1.0:
        raise LocalError(f"{text!r} is not a probability between 0 and 1")
    return value


def parse_loss(text: str) -> Loss | None:
    """`1%`; `burst:P_BAD/P_GOOD` (Gilbert-Elliott); `pattern:HEX`; `none`."""
    kind, _, rest = text.partition(":")
    if kind == "none":
        return None
    if kind == "burst":
        to_bad, _, to_good = rest.partition("/")
        return GilbertElliott(to_bad=parse_probability(to_bad), to_good=parse_probability(to_good))
    if kind == "pattern":
        try:
            return Pattern(bits=int(rest, 16))
        except ValueError:
            raise LocalError(f"{rest!r} is not a hexadecimal loss pattern") from None
    probability = parse_probability(text)
    return Bernoulli(probability=probability) if probability else None


def parse_swallow(text: str) -> str:
    """One of SWALLOWS: nothing, everything, or all TCP segments but those with SYN."""
    if text not in SWALLOWS:
        raise LocalError(f"{text!r} is nothing to swallow ({', '.join(SWALLOWS)})")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """A link whose queue may still be a multiple of the bandwidth-delay product.

    The product needs the round trip, so the other direction's delay must be known first.
    swallow: what a middlebox on the link keeps for itself, one of SWALLOWS; a link does not know
    packets, so whoever does has to apply it.
    """

    link: LinkConfig
    queue_bdp: float | None = 1.0
    text: str = ""
    swallow: str = "none"

    def resolve(self, return_delay_ns: int) -> LinkConfig:
        """The link, its queue sized for a round trip of both delays (without queueing)."""
        rate = self.link.rate_bps
        if self.queue_bdp is None or rate is None:
            return self.link
        size = bdp_bytes(rate, self.link.delay_ns + return_delay_ns, self.queue_bdp)
        return replace(self.link, queue_bytes=max(size, MIN_QUEUE_BYTES))


def parse_link(text: str) -> LinkSpec:
    """`RATE,DELAY[,loss=L][,queue=Q][,jitter=T][,mark=BYTES][,mtu=N][,swallow=all|data]`.

    Q is a size (`125kB`), packets of 1514 bytes (`100p`) or products (`1bdp`, the default).
    """
    positional: list[str] = []
    options: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals:
            positional.append(key)
        elif key in options:
            raise LocalError(f"link {text!r}: {key} is given twice")
        else:
            options[key] = value
    if len(positional) != 2:
        raise LocalError(f"link {text!r}: write RATE,DELAY[,name=value...], as 50mbit,10ms")
    queue = options.pop("queue", "1bdp")
    swallow = parse_swallow(options.pop("swallow", "none"))
    config = LinkConfig(
        rate_bps=parse_rate(positional[0]),
        delay_ns=parse_time(positional[1]),
        loss=parse_loss(options.pop("loss", "none")),
        jitter_ns=parse_time(options.pop("jitter", "0ms")),
        mark_bytes=parse_size(options.pop("mark")) if "mark" in options else None,
        mtu=parse_size(options.pop("mtu")) if "mtu" in options else None,
    )
    if options:
        raise LocalError(f"link {text!r}: no such setting: {', '.join(options)}")
    return replace(_with_queue(config, queue, text), swallow=swallow)


def _with_queue(config: LinkConfig, queue: str, text: str) -> LinkSpec:
    for suffix, unit in (("bdp", 0), ("p", 1514)):
        if queue.endswith(suffix):
            try:
                count = float(queue.removesuffix(suffix))
            except ValueError:
                break
            if unit == 0:
                return LinkSpec(link=config, queue_bdp=count, text=text)
            return LinkSpec(
                link=replace(config, queue_bytes=round(count * unit)), queue_bdp=None, text=text
            )
    return LinkSpec(link=replace(config, queue_bytes=parse_size(queue)), queue_bdp=None, text=text)
