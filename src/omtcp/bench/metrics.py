"""What is measured: its names, units and directions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """heading: for a table's column, with the unit; lower: whether less is better."""

    heading: str
    about: str
    lower: bool = False


METRICS = {
    "goodput": Metric(heading="Mbit/s", about="body bytes at the receiver"),
    "cpu_per_gb": Metric(
        heading="CPU s/GB",
        about="processor seconds of the sending process, user and system, per 10⁹ body bytes",
        lower=True,
    ),
    "user_per_gb": Metric(heading="user s/GB", about="the user part of it", lower=True),
    "core": Metric(heading="% core", about="the sending process's share of one core", lower=True),
    "bytes_mb": Metric(heading="MB", about="body bytes in the window, 10⁶"),
    "acks_per_mb": Metric(
        heading="ACKs/MB", about="packets from the client per 10⁶ body bytes", lower=True
    ),
    "calls_per_mb": Metric(
        heading="calls/MB",
        about="read and write system calls of the sending process per 10⁶ body bytes",
        lower=True,
    ),
    "memory_mb": Metric(
        heading="peak MB", about="most private memory of the sending process, 10⁶", lower=True
    ),
    "others": Metric(
        heading="others' cores",
        about="processors that processes which are no part of the bench used meanwhile",
        lower=True,
    ),
    "jain": Metric(heading="Jain", about="Jain's index of the downloads' bytes: 1 is equal shares"),
    "served": Metric(heading="per s", about="connections opened, answered and closed per second"),
    "served_per_core": Metric(
        heading="per core s", about="the same per processor second of the serving process"
    ),
    "latency_ms": Metric(
        heading="median ms", about="from connect to the end of the answer", lower=True
    ),
    "client_core": Metric(
        heading="client % core", about="the load generator's share of one core", lower=True
    ),
    "opened": Metric(heading="open", about="connections open at once"),
    "opened_per_s": Metric(heading="opened/s", about="how fast they were opened and answered"),
    "per_connection_kb": Metric(
        heading="kB each", about="private memory of the serving process per connection", lower=True
    ),
    "slab_kb": Metric(
        heading="kernel kB each",
        about="growth of the kernel's object caches per connection, both ends, the whole machine",
        lower=True,
    ),
    "idle_core": Metric(
        heading="idle % core", about="the serving process's while nothing happens", lower=True
    ),
    "kept": Metric(heading="kept", about="goodput during the flood over goodput before it"),
    "quiet": Metric(heading="quiet Mbit/s", about="goodput before the flood"),
    "flood_rate": Metric(heading="SYN/s", about="what the flood really sent"),
    "ack_us": Metric(heading="µs/ACK", about="processor time of the sender per ACK", lower=True),
    "ack_p99_us": Metric(heading="99 % µs", about="99th percentile of the same", lower=True),
    "flights": Metric(heading="ranges", about="most ranges on the scoreboard at once"),
}
