"""Links that several share: a bottleneck behind the uplinks, and competitors for it."""

from dataclasses import dataclass
from typing import Any

from omtcp.errors import LocalError
from omtcp.link.spec import LinkSpec, parse_link

MAX_COMPETITORS = 32
"""Each is a link more for an emulator that has a tenth of a millisecond for a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """One link that uplinks lead into before they reach the client.

    uplinks: which ones, None for all. A queue in products is sized for the round trip by the first
    of them.
    """

    link: LinkSpec
    uplinks: tuple[int, ...] | None = None

    def behind(self, count: int) -> tuple[int, ...]:
        """The uplinks that lead into it, of `count`."""
        return tuple(range(count)) if self.uplinks is None else self.uplinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Competitors:
    """Bulk connections of the kernel's TCP (CUBIC) from another server to the same client.

    uplink: they share this one; None: each has a link of its own to the bottleneck, like the first
    uplink that leads there.
    """

    count: int
    uplink: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COMPETITORS:
            raise LocalError(f"there can be 1 to {MAX_COMPETITORS} competitors, not {self.count}")


def parse_bottleneck(text: str) -> Bottleneck:
    """`RATE[,DELAY][,queue=Q][,uplinks=0+1]`, and what else a link has."""
    parts = [part.strip() for part in text.split(",")]
    chosen = [part.removeprefix("uplinks=") for part in parts if part.startswith("uplinks=")]
    plain = [part for part in parts if not part.startswith("uplinks=")]
    if len([part for part in plain if "=" not in part]) == 1:
        plain.insert(1, "0ms")
    if len(chosen) > 1:
        raise LocalError(f"bottleneck {text!r}: uplinks is given twice")
    link = parse_link(",".join(plain))
    if link.swallow != "none":
        raise LocalError(f"bottleneck {text!r}: only uplinks can swallow")
    try:
        uplinks = tuple(int(word) for word in chosen[0].split("+")) if chosen else None
    except ValueError:
        raise LocalError(f"bottleneck {text!r}: write uplinks=0+1") from None
    return Bottleneck(link=link, uplinks=uplinks)


def parse_competitors(text: str) -> Competitors:
    """`N`, at the bottleneck, or `N@UPLINK`."""
    count, at, uplink = text.partition("@")
    try:
        return Competitors(count=int(count), uplink=int(uplink) if at else None)
    except ValueError:
        raise LocalError(f"competitors {text!r}: write N or N@UPLINK, as 4 or 2@0") from None


def check_sharing(
    uplinks: int, bottleneck: Bottleneck | None, competitors: tuple[Competitors, ...]
) -> None:
    """LocalError if there is nothing to share or no such uplink."""
    named: list[Any] = list(bottleneck.behind(uplinks)) if bottleneck else []
    named += [group.uplink for group in competitors if group.uplink is not None]
    for index in named:
        if not 0 <= index < uplinks:
            raise LocalError(f"there is no uplink {index}: there are {uplinks}, from 0")
    if bottleneck and len(set(bottleneck.behind(uplinks))) < len(bottleneck.behind(uplinks)):
        raise LocalError("the bottleneck names an uplink twice")
    if bottleneck is None and any(group.uplink is None for group in competitors):
        raise LocalError("competitors need a bottleneck, or an uplink: N@UPLINK")
