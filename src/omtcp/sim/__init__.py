"""Virtual time: the same core as in the driver, over link models, deterministic from a seed."""

from omtcp.sim.pair import Arrival, Client, Pair

__all__ = ["Arrival", "Client", "Pair"]
