"""What all tests share: where real-kernel tests may run, and that CI does not skip them."""

import os
import shutil
import signal
import subprocess

import pytest
from hypothesis import HealthCheck, settings

from omtcp.build import is_compiled

# A deadline, and the check that examples are made fast enough, would assert on the wall clock.
settings.register_profile(
    "omtcp",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("omtcp")


def _missing() -> str:
    """Why namespaces cannot be made here, empty when they can."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("ip", "ethtool", "curl", "sysctl"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if made.returncode == 0 else "cannot make network namespaces"


def pytest_configure(config: pytest.Config) -> None:
    """Have no run that is meant for the compiled protocol pass with the sources by mistake.

    What signals do is tested from their defaults, whatever nohup or a shell's `&` had ignored:
    `omtcp serve` keeps to that, and so would never end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if os.environ.get("OMTCP_REQUIRE_COMPILED") and not is_compiled():
        raise pytest.UsageError("these tests are for the compiled protocol, and it is not compiled")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests where they cannot run, those marked `namespaces` unless told that they must."""
    if is_compiled():
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason="the protocol is compiled"))
    marked = [item for item in items if item.get_closest_marker("namespaces")]
    reason = _missing() if marked else ""
    if not reason:
        return
    if os.environ.get("OMTCP_REQUIRE_NAMESPACES"):
        raise pytest.UsageError(f"tests on the real kernel must not be skipped here: {reason}")
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=reason))
