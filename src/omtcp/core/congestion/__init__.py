"""Congestion control: one file per algorithm, and the choice among them by name."""

from omtcp.core.congestion.base import CongestionController
from omtcp.core.congestion.cubic import Cubic
from omtcp.core.congestion.newreno import NewReno
from omtcp.errors import LocalError

CONTROLLERS: dict[str, type[CongestionController]] = {
    controller.name: controller for controller in (NewReno, Cubic)
}


def make_controller(name: str, *, mss: int, hystart: bool = True) -> CongestionController:
    """A fresh controller by name; raises LocalError for a name that is not in CONTROLLERS."""
    try:
        controller = CONTROLLERS[name]
    except KeyError:
        known = ", ".join(sorted(CONTROLLERS))
        raise LocalError(f"no congestion control named {name!r}; there is {known}") from None
    return controller(mss=mss, hystart=hystart)
