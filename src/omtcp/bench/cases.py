"""The bench's cases by name."""

from omtcp.bench.case import Case, Figures, Ratio, Setting, Subject
from omtcp.bench.downloads import flood_subject, subject
from omtcp.bench.ground import Ground
from omtcp.bench.peer_stacks import pasta, pmd_pytcp, pytcp, slirp4netns
from omtcp.bench.stacks import (
    ASYNCIO,
    KERNEL,
    MPTCP,
    OMTCP,
    POOLED,
    kernel,
    kernel_asyncio,
    kernel_mptcp,
    omtcp,
)
from omtcp.bench.track import MSS, Track
from omtcp.bench.visits import hurry_subject, idle_subject
from omtcp.errors import LocalError

_BULK = ("goodput", "cpu_per_gb", "user_per_gb", "core", "acks_per_mb", "calls_per_mb", "memory_mb")
_MANY = 8
_ACKS = 10_000
_ACKS_QUICK = 2_000


def window_subject(name: str, window: int, loss: float) -> Subject:
    """A window of a size, and a loss, as a subject; it takes as long as it takes."""

    def run(setting: Setting) -> Figures:
        acks = _ACKS_QUICK if setting.quick else _ACKS
        costs = Track(window, loss).run(acks, warm=window // (2 * MSS))
        return {"ack_us": costs.mean_us, "ack_p99_us": costs.p99_us, "flights": costs.most}

    return Subject(name=name, measure=run)


def _against(metric: str, of: str = OMTCP, to: str = KERNEL) -> Ratio:
    return Ratio(metric=metric, of=of, to=to)


def _bulk() -> Case:
    return _one("bulk", "one connection, one path, veth with its offloads", Ground())


def _bulk_big() -> Case:
    return _one("bulk-big", "the same, super-segments of up to 256 KiB (BIG TCP)", Ground(big=True))


def _one(name: str, about: str, ground: Ground) -> Case:
    return Case(
        name=name,
        about=about,
        subjects=(
            subject(omtcp(), ground),
            subject(kernel(), ground),
            subject(kernel_mptcp(), ground),
        ),
        metrics=_BULK,
        ratios=(
            _against("goodput"),
            _against("cpu_per_gb"),
            _against("goodput", to=MPTCP),
            _against("cpu_per_gb", to=MPTCP),
        ),
    )


def _bulk_two() -> Case:
    one, two = Ground(), Ground(uplinks=2)
    return Case(
        name="bulk-two",
        about="one connection over two paths, veths with their offloads",
        subjects=(
            subject(omtcp(POOLED, "pooled"), two),
            subject(omtcp(), one),
            subject(kernel_mptcp(), two),
        ),
        metrics=_BULK,
        ratios=(
            _against("goodput", POOLED, OMTCP),
            _against("goodput", POOLED, MPTCP),
            _against("cpu_per_gb", POOLED, MPTCP),
        ),
    )


def _bulk_frames() -> Case:
    ground = Ground(frames=True)
    return Case(
        name="bulk-frames",
        about="one connection, offloads off: MTU-sized frames on the wire",
        subjects=(
            subject(omtcp(), ground),
            subject(kernel(), ground),
            subject(kernel_mptcp(), ground),
        ),
        metrics=_BULK,
        ratios=(_against("goodput"), _against("cpu_per_gb"), _against("goodput", to=MPTCP)),
    )


def _gigabit(name: str = "gigabit", shaper: str = "tbf") -> Case:
    ground = Ground(frames=True, rate="1gbit", pairs=True, shaper=shaper)
    return Case(
        name=name,
        about=f"1 Gbit/s by {shaper}, a receiver that acknowledges every second segment",
        subjects=(subject(omtcp(), ground), subject(kernel(), ground)),
        metrics=("goodput", "core", "cpu_per_gb", "user_per_gb", "acks_per_mb", "calls_per_mb"),
        ratios=(_against("goodput"), _against("core")),
    )


def _hundred() -> Case:
    ground = Ground()
    subjects = [
        subject(stack, ground, name=f"{stack.name}, {count}", downloads=count)
        for stack in (omtcp(), kernel())
        for count in (100, 1)
    ]
    return Case(
        name="hundred",
        about="100 downloads at once against one",
        subjects=tuple(subjects),
        metrics=("goodput", "jain", "cpu_per_gb", "core", "calls_per_mb", "memory_mb"),
        ratios=(
            _against("goodput", f"{OMTCP}, 100", f"{OMTCP}, 1"),
            _against("goodput", f"{KERNEL}, 100", f"{KERNEL}, 1"),
            _against("goodput", f"{OMTCP}, 100", f"{KERNEL}, 100"),
        ),
    )


def _workers() -> Case:
    ground = Ground()
    one, two = omtcp(), omtcp("omtcp, 2 workers", workers=2)
    bulk = [f"{stack.name}, {_MANY} downloads" for stack in (one, two)]
    short = [f"{stack.name}, short" for stack in (one, two)]
    return Case(
        name="workers",
        about=f"one process against two workers: {_MANY} downloads at once, and short connections",
        subjects=(
            subject(one, ground, name=bulk[0], downloads=_MANY),
            subject(two, ground, name=bulk[1], downloads=_MANY),
            hurry_subject(one, name=short[0]),
            hurry_subject(two, name=short[1]),
        ),
        metrics=(
            "goodput",
            "cpu_per_gb",
            "user_per_gb",
            "acks_per_mb",
            "jain",
            "served",
            "served_per_core",
            "client_core",
            "core",
            "memory_mb",
        ),
        ratios=(
            _against("goodput", bulk[1], bulk[0]),
            _against("cpu_per_gb", bulk[1], bulk[0]),
            _against("served", short[1], short[0]),
            _against("served_per_core", short[1], short[0]),
        ),
    )


def _flood() -> Case:
    return Case(
        name="flood",
        about="four downloads while 20 000 SYNs a second pour in from nowhere",
        subjects=(flood_subject(omtcp()), flood_subject(kernel())),
        metrics=("kept", "goodput", "quiet", "flood_rate", "core", "memory_mb"),
        ratios=(_against("kept"),),
        duration_s=4.0,
    )


def _scoreboard() -> Case:
    small, lossy, large = "64 KB", "64 KB, 1 % loss", "64 MB, 1 % loss"
    return Case(
        name="scoreboard",
        about="what an ACK costs the sender, in virtual time, without a network",
        subjects=(
            window_subject(small, 64 << 10, 0.0),
            window_subject(lossy, 64 << 10, 0.01),
            window_subject(large, 64 << 20, 0.01),
        ),
        metrics=("ack_us", "ack_p99_us", "flights"),
        ratios=(_against("ack_us", large, lossy), _against("ack_us", large, small)),
        rounds=2,
    )


def _peers() -> Case:
    ground = Ground()
    peers = (pmd_pytcp(), pytcp(), slirp4netns(), pasta())
    return Case(
        name="peers",
        about="one download each from other stacks in user space, MTU 1500",
        subjects=(subject(omtcp(), ground), *(subject(peer, ground) for peer in peers)),
        metrics=("goodput", "cpu_per_gb", "core", "memory_mb"),
        ratios=tuple(
            _against(metric, to=peer.name) for peer in peers for metric in ("goodput", "cpu_per_gb")
        ),
        duration_s=2.0,
    )


def _idle() -> Case:
    return Case(
        name="idle",
        about="10 000 connections that fetched 1 KB and stay open",
        subjects=(idle_subject(omtcp()), idle_subject(kernel_asyncio())),
        metrics=(
            "opened",
            "per_connection_kb",
            "slab_kb",
            "idle_core",
            "opened_per_s",
            "memory_mb",
        ),
        ratios=(_against("per_connection_kb", to=ASYNCIO), _against("opened_per_s", to=ASYNCIO)),
        rounds=1,
    )


def _idle_two() -> Case:
    return Case(
        name="idle-two",
        about="10 000 connections that fetched 1 KB and stay open, with a second path",
        subjects=(
            idle_subject(omtcp("omtcp primary", "primary"), uplinks=2),
            idle_subject(omtcp(POOLED, "pooled"), uplinks=2),
        ),
        metrics=("opened", "per_connection_kb", "slab_kb", "idle_core", "opened_per_s"),
        rounds=1,
    )


def _handshakes() -> Case:
    return Case(
        name="handshakes",
        about="connect, GET of 1 KB, answer, close, 64 at a time",
        subjects=(hurry_subject(omtcp()), hurry_subject(kernel_asyncio())),
        metrics=("served", "served_per_core", "core", "latency_ms", "client_core", "memory_mb"),
        ratios=(_against("served", to=ASYNCIO), _against("served_per_core", to=ASYNCIO)),
    )


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        _bulk(),
        _bulk_big(),
        _bulk_two(),
        _bulk_frames(),
        _gigabit(),
        _gigabit("gigabit-htb", "htb"),
        _hundred(),
        _handshakes(),
        _workers(),
        _idle(),
        _idle_two(),
        _flood(),
        _scoreboard(),
        _peers(),
    )
}


def find_case(name: str) -> Case:
    """The case of that name; LocalError if there is none."""
    try:
        return CASES[name]
    except KeyError:
        raise LocalError(f"no such case: {name!r}; `--case list` shows them") from None
