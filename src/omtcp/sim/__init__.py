"""Virtual time: the same core as in the driver, over link models, deterministic from a seed."""

from omtcp.sim.client import Arrival, Client
from omtcp.sim.pair import BACK, Pair, Tap
from omtcp.sim.shared import SharedLink

__all__ = ["BACK", "Arrival", "Client", "Pair", "SharedLink", "Tap"]
