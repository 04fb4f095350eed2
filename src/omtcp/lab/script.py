"""What happens to the links during a run: `4s:cut:0`, `5s:rate:0:5mbit`, `flap:0:3s`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from omtcp.errors import LocalError
from omtcp.link.spec import parse_loss, parse_rate, parse_swallow, parse_time

RETURN = "return"
"""The name of the link that carries everything from the client to the server."""

BOTTLENECK = "bottleneck"
"""The name of the link that uplinks share on their way to the client."""

_ENDS = {"forward", RETURN, "both"}
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One scripted change of one link.

    link is `return`, `bottleneck` or the index of an uplink as text; changes are fields of
    `LinkConfig`; reroute moves the return traffic to an uplink; swallow is what a middlebox on an
    uplink keeps from now on. Of the steps that one entry of the script makes, only the first has a
    label, for people.
    """

    at_ns: int
    link: str
    changes: dict[str, object] = field(default_factory=dict)
    reroute: int | None = None
    swallow: str | None = None
    label: str = ""

    @property
    def kind(self) -> str:
        """cut, restore, rate, delay, loss, swallow or return."""
        if self.swallow is not None:
            return "swallow"
        if self.reroute is not None:
            return RETURN
        if "up" in self.changes:
            return "restore" if self.changes["up"] else "cut"
        return next(iter(self.changes)).split("_")[0]


def parse_script(
    entries: Iterable[str],
    *,
    uplinks: int,
    duration_ns: int,
    return_uplink: int,
    bottleneck: bool = False,
) -> tuple[Step, ...]:
    """The steps of all entries, in order of time.

    An entry is `TIME:cut:N`, `TIME:restore:N` (each may end in `:forward`, `:return` or `:both`),
    `TIME:rate:N:RATE`, `TIME:delay:N:TIME`, `TIME:loss:N:LOSS`, `TIME:swallow:N:WHAT` (none,
    all, data), `TIME:return:N` (the client changes its way back), `[TIME:]flap:N:PERIOD` or
    `random:SEED`. N is an uplink, from 0, or `return`, or `bottleneck` if there is one.
    """
    steps: list[Step] = []
    for entry in entries:
        words = entry.split(":")
        try:
            if words[0] == "random":
                steps += _random(int(words[1]), uplinks, duration_ns)
                continue
            if words[0] == "flap":
                words.insert(0, words[2])
            at, verb, link, *rest = words
            steps += _parse(parse_time(at), verb, link, rest, duration_ns, return_uplink)
        except (ValueError, IndexError):
            raise LocalError(
                f"event {entry!r}: write TIME:VERB:LINK[:VALUE], as 4s:cut:0"
            ) from None
    for step in steps:
        _check(step, uplinks, {RETURN, BOTTLENECK} if bottleneck else {RETURN})
    return tuple(sorted(steps, key=lambda step: step.at_ns))


def _check(step: Step, uplinks: int, others: set[str]) -> None:
    """others: links beside the uplinks; they cannot swallow, nor be the way back."""
    link = step.link if step.reroute is None else str(step.reroute)
    if link in others and step.reroute is None and step.swallow is None:
        return
    if not (link.isdecimal() and int(link) < uplinks):
        raise LocalError(f"event for uplink {link!r}: there are {uplinks}, counted from 0")


def _parse(
    at_ns: int, verb: str, link: str, rest: Sequence[str], duration_ns: int, return_uplink: int
) -> list[Step]:
    match verb:
        case "cut" | "restore":
            return _switch(at_ns, verb == "restore", _ends(link, rest, return_uplink))
        case "flap":
            (period,) = rest
            return _flap(at_ns, link, parse_time(period), duration_ns)
        case "return":
            label = f"return on {link}"
            return [Step(at_ns=at_ns, link=RETURN, reroute=int(link), label=label)]
        case "rate" | "delay" | "loss":
            value = ":".join(rest)
            changes = _setting(verb, value)
            return [Step(at_ns=at_ns, link=link, changes=changes, label=f"{verb} {link} {value}")]
        case "swallow":
            (what,) = rest
            label = f"{verb} {link} {what}"
            return [Step(at_ns=at_ns, link=link, swallow=parse_swallow(what), label=label)]
    known = "cut, restore, rate, delay, loss, swallow, return, flap, random"
    raise LocalError(f"no such event: {verb!r} ({known})")


def _setting(verb: str, value: str) -> dict[str, object]:
    if verb == "rate":
        return {"rate_bps": parse_rate(value)}
    if verb == "delay":
        return {"delay_ns": parse_time(value)}
    return {"loss": parse_loss(value)}


def _ends(link: str, rest: Sequence[str], return_uplink: int) -> list[str]:
    """The links that an uplink's cut touches: its forward direction, the return, or both.

    Both directions of an uplink that the client does not send on are its forward one.
    """
    (end,) = rest or ("forward",)
    if end not in _ENDS:
        raise LocalError(f"no such direction: {end!r} (forward, return, both)")
    if end == "forward" or link == RETURN:
        return [link]
    if link != str(return_uplink):
        if end == "both":
            return [link]
        raise LocalError(f"the return traffic is not on uplink {link} but on {return_uplink}")
    return [RETURN] if end == RETURN else [link, RETURN]


def _switch(at_ns: int, up: bool, links: Sequence[str]) -> list[Step]:
    verb = "restore" if up else "cut"
    label = f"{verb} {' and '.join(links)}"
    return [
        Step(at_ns=at_ns, link=link, changes={"up": up}, label="" if index else label)
        for index, link in enumerate(links)
    ]


def _flap(at_ns: int, link: str, period_ns: int, duration_ns: int) -> list[Step]:
    if period_ns <= 0:
        raise LocalError("a link that flaps needs a period")
    times = range(at_ns, duration_ns, period_ns)
    return [step for index, at in enumerate(times) for step in _switch(at, index % 2 == 1, [link])]


def _random(seed: int, uplinks: int, duration_ns: int) -> list[Step]:
    """About one change a second, the same for the same seed; never all uplinks down at once."""
    rng = Random(seed)
    down: set[int] = set()
    steps: list[Step] = []
    at = _SECOND
    while at < duration_ns:
        uplink = rng.randrange(uplinks)
        if uplink in down:
            down.discard(uplink)
            steps += _switch(at, True, [str(uplink)])
        elif len(down) + 1 < uplinks and rng.random() < 0.4:
            down.add(uplink)
            steps += _switch(at, False, [str(uplink)])
        else:
            verb, value = rng.choice(
                [
                    ("rate", f"{rng.choice((2, 5, 10, 20, 50))}mbit"),
                    ("delay", f"{rng.randrange(5, 80)}ms"),
                    ("loss", f"{rng.choice((0, 0, 0.1, 1))}%"),
                ]
            )
            steps += _parse(at, verb, str(uplink), [value], duration_ns, 0)
        at += int(rng.uniform(0.3, 1.7) * _SECOND)
    return steps
