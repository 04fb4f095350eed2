"""NewReno's window (RFC 5681, RFC 6582), with the paper's growth budget.

What NewReno does within fast recovery, choosing what to retransmit, belongs to `recovery`.
"""

from typing import ClassVar

from omtcp.core.congestion.base import CongestionController


class NewReno(CongestionController):
    """One MSS per round trip up, half the window down."""

    __slots__ = ()

    name: ClassVar[str] = "reno"
    beta: ClassVar[tuple[int, int]] = (1, 2)

    def _avoid(self, *, now: int, acked: int, srtt_ns: int, growth: float) -> None:
        """The paper's eq. (1), which is RFC 5681 (3) with x_i for 1/n_ca.

        Counted in bytes (RFC 3465 section 2.1), so delayed ACKs and large ones earn as much as
        one ACK per segment: cwnd bytes acknowledged earn one MSS.
        """
        del now, srtt_ns
        self.cwnd += self._earn(int(acked * self.mss * growth))
