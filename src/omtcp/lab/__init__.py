"""The lab: the product between real kernels, over emulated links, in real time.

`run(case)` makes network namespaces, runs a sender in one and a receiver in another, with the
links of `omtcp.link` between them, and returns what it measured. Needs root.
"""

from omtcp.lab.case import Case, Client, SenderSpec, parse_sender
from omtcp.lab.result import Result, RunResult, Summary
from omtcp.lab.runner import Progress, run

__all__ = [
    "Case",
    "Client",
    "Progress",
    "Result",
    "RunResult",
    "SenderSpec",
    "Summary",
    "parse_sender",
    "run",
]
