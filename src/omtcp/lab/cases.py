"""The lab's cases by name: what a multihomed sender must be able to do, one row each."""

from dataclasses import replace

from omtcp.errors import LocalError
from omtcp.lab.case import Case, Client, SenderSpec
from omtcp.lab.sharing import Competitors, parse_bottleneck
from omtcp.lab.switches import parse_switch
from omtcp.link.spec import parse_link

_SECOND = 1_000_000_000
_SMALL = 64 << 10
_FILE = 10**9
_PATIENCE_NS = 240 * _SECOND

_PAIRS = {
    "even": ("50mbit,10ms", "50mbit,10ms"),
    "uneven": ("100mbit,10ms", "20mbit,40ms"),
    "far": ("50mbit,5ms", "50mbit,75ms"),
    "lossy": ("50mbit,10ms,loss=1%", "50mbit,10ms"),
}
_INTEGRITY = {
    "plain": "nothing in the way",
    "loss": "1 % loss on both uplinks",
    "cut": "one uplink cut halfway",
    "flap": "one uplink down and up every 3 s",
    "small": "a client with 64 KiB of buffer",
    "nosack": "a client without SACK",
    "notimestamps": "a client without timestamps",
    "ecn": "a client with ECN, links that mark",
    "many": "100 downloads at once",
}


_POOLS = {
    "even": ("50mbit,10ms", "50mbit,10ms"),
    "uneven": ("100mbit,10ms", "20mbit,40ms"),
    "far": ("50mbit,5ms", "50mbit,75ms"),
    "lossy": ("50mbit,10ms,loss=1%", "50mbit,10ms"),
    "three": ("40mbit,10ms", "20mbit,30ms", "10mbit,60ms"),
}
_POOL_EVENTS = {
    "cut": (("4s:cut:0",), "one cut at 4 s"),
    "cut-both": (("4s:cut:1:both",), "one cut in both directions at 4 s"),
    # The client's way back goes by the uplink that is cut, and is repaired half a second later.
    "cut-return": (
        ("4s:cut:0:both", "4500ms:restore:return", "4500ms:return:1"),
        "the one cut that ACKs come by; they come by the other one from 4.5 s on",
    ),
    "brownout": (("4s:loss:0:30%",), "one loses 30 % from 4 s on"),
    "restore": (("4s:cut:0", "8s:restore:0"), "one cut at 4 s, back at 8 s"),
}
_EVERYONE = (
    SenderSpec(mode="pooled"),
    SenderSpec(),
    SenderSpec(kind="kernel"),
    SenderSpec(kind="mptcp"),
)


def _pair(*texts: str, **more: object) -> Case:
    return replace(Case(uplinks=tuple(parse_link(text) for text in texts)), **more)  # type: ignore[arg-type]


def _comparisons() -> list[Case]:
    """Each pair of uplinks, and its variants: the better uplink second, a small buffer."""
    cases = []
    for name, texts in _PAIRS.items():
        about = " and ".join(texts)
        base = _pair(*texts, name=name, about=about)
        second = _pair(*reversed(texts), name=f"{name}-second", about=f"{name}, order reversed")
        for case in (base,) if name == "even" else (base, second):
            cases.append(case)
            cases.append(
                replace(
                    case,
                    name=f"{case.name}-64k",
                    about=f"{case.about}; client with 64 KiB of buffer",
                    client=Client(buffer=_SMALL),
                )
            )
    return cases


def _events() -> list[Case]:
    links = ("50mbit,10ms", "50mbit,15ms")
    about = "50 Mbit/s 10 ms and 50 Mbit/s 15 ms"
    return [
        _pair(
            *links, name="cut", events=("4s:cut:0",), about=f"{about}; the better one cut at 4 s"
        ),
        _pair(
            *links,
            name="restore",
            events=("4s:cut:0", "8s:restore:0"),
            about=f"{about}; the better one cut at 4 s, back at 8 s",
        ),
        _pair(
            *links,
            name="fall",
            events=("4s:rate:0:5mbit",),
            duration_ns=25 * _SECOND,
            about=f"{about}; the better one falls to a tenth of its rate at 4 s",
        ),
        _pair(
            *links,
            name="flap",
            events=("flap:0:3s",),
            duration_ns=20 * _SECOND,
            about=f"{about}; the better one down and up every 3 s",
        ),
        _pair(
            *_PAIRS["even"],
            name="pooled",
            senders=(SenderSpec(mode="pooled"), SenderSpec(kind="kernel")),
            about="two equal uplinks used at once",
        ),
        _pair(
            "inf,0ms",
            "inf,0ms",
            name="direct",
            direct=True,
            duration_ns=8 * _SECOND,
            about="no delay, no loss, veths with their offloads, no emulator",
        ),
    ]


def _pools() -> list[Case]:
    """All uplinks at once, beside what two modified ends make of them."""
    cases = [
        _pair(*links, name=f"pool-{name}", about=" and ".join(links), senders=_EVERYONE)
        for name, links in _POOLS.items()
    ]
    for name, (events, about) in _POOL_EVENTS.items():
        cases.append(
            _pair(
                *["50mbit,15ms"] * 2,
                name=f"pool-{name}",
                about=f"two of 50 Mbit/s 15 ms; {about}",
                events=events,
                senders=_EVERYONE,
            )
        )
    return cases


def _redundant() -> Case:
    """Outages that cost no time, since another uplink carries the same."""
    return _pair(
        *["50mbit,15ms"] * 2,
        name="redundant",
        about="two of 50 Mbit/s 15 ms, everything over both from 2 s on; one cut from 4 s to 7 s, "
        "the other loses 30 % from 9 s on",
        events=("4s:cut:0", "7s:restore:0", "9s:loss:1:30%"),
        duration_ns=12 * _SECOND,
        senders=(
            SenderSpec(mode="pooled", switches=(parse_switch("2s=redundant"),)),
            SenderSpec(mode="pooled"),
        ),
    )


def _shares() -> list[Case]:
    """Uplinks that meet again before the client, beside the kernel's connections."""
    return [
        _pair(
            *["100mbit,10ms"] * uplinks,
            name=f"share-{uplinks}-{flows}",
            about=f"{uplinks} uplinks into one link of 50 Mbit/s; kernel flows beside: {flows}",
            bottleneck=parse_bottleneck("50mbit"),
            competitors=(Competitors(count=flows),),
            duration_ns=(20 if flows < 10 else 40) * _SECOND,  # of many each is a matter of luck
            fair_from_ns=5 * _SECOND,
            senders=_EVERYONE,
        )
        for uplinks in (2, 4)
        for flows in (1, 4, 10)
    ]


def _middleboxes() -> list[Case]:
    kinds = {"all": "everything", "data": "everything but handshakes"}
    return [
        _pair(
            f"50mbit,10ms,swallow={what}",
            "50mbit,15ms",
            name=f"swallow-{what}",
            about=f"two of 50 Mbit/s; the nearer one silently drops {words}",
            senders=_EVERYONE,
        )
        for what, words in kinds.items()
    ]


def _chaos() -> Case:
    return _pair(
        "50mbit,10ms",
        "30mbit,20ms",
        "20mbit,40ms",
        name="chaos",
        about="three uplinks; cuts, rates, delays and losses change every second for ten minutes",
        events=("random:1",),
        duration_ns=600 * _SECOND,
        senders=(SenderSpec(mode="pooled"),),
    )


def _integrity(name: str, about: str) -> Case:
    """A gigabyte to the last byte; links fast and near enough to end within minutes."""
    setting = {"loss": ",loss=1%", "ecn": ",mark=30kB"}.get(name, "")
    client = {
        "small": Client(buffer=_SMALL),
        "nosack": Client(sack=False),
        "notimestamps": Client(timestamps=False),
        "ecn": Client(ecn=True),
    }.get(name, Client())
    many = name == "many"
    return _pair(
        f"200mbit,1ms{setting}",
        f"150mbit,2ms{setting}",
        name=f"sum-{name}",
        about=f"checksum of 1 GB, pooled: {about}",
        size=_FILE // 100 if many else _FILE,
        downloads=100 if many else 1,
        duration_ns=_PATIENCE_NS,
        events={"cut": ("12s:cut:0",), "flap": ("flap:0:3s",)}.get(name, ()),
        client=client,
        senders=(SenderSpec(mode="pooled"),),
    )


CASES: dict[str, Case] = {
    case.name: case
    for case in [
        *_comparisons(),
        *_events(),
        *_pools(),
        _redundant(),
        *_shares(),
        *_middleboxes(),
        _chaos(),
        *(_integrity(name, about) for name, about in _INTEGRITY.items()),
    ]
}


def find_case(name: str) -> Case:
    """The case of that name; LocalError if there is none."""
    try:
        return CASES[name]
    except KeyError:
        raise LocalError(f"no such case: {name!r}; `--case list` shows them") from None
