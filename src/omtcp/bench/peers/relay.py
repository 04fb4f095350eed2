"""A stack that carries a namespace's connections to the host's sockets, in front of a file server.

    python -m omtcp.bench.peers.relay ROOT PORT NAMESPACE DEVICE COMMAND...

slirp4netns and pasta end a guest's TCP in user space: seen from the guest they are the sender. The
file server behind them listens on the loopback only. COMMAND makes DEVICE in NAMESPACE.
"""

import contextlib
import signal
import subprocess
import sys
from time import monotonic, sleep

from omtcp.lab.kernel_server import Service
from omtcp.lab.processes import die_with_parent, say

_PATIENCE_S = 10.0


def _wait_for(namespace: str, device: str, relay: "subprocess.Popen[bytes]") -> None:
    """Until the device has an address."""
    command = ["ip", "-n", namespace, "-4", "-oneline", "address", "show", "dev", device]
    deadline = monotonic() + _PATIENCE_S
    while monotonic() < deadline and relay.poll() is None:
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return
        sleep(0.05)
    raise SystemExit(f"{relay.args!r} made no {device}")


def main() -> None:
    die_with_parent()
    root, port, namespace, device, *command = sys.argv[1:]
    service = Service(root=root, address="127.0.0.1", port=int(port))
    server = subprocess.Popen(service.command(), stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    relay = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)  # noqa: PLW1509 (one thread)
    try:
        _wait_for(namespace, device, relay)
        say("ready")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    finally:
        for child in (relay, server):
            child.terminate()
            child.wait()


if __name__ == "__main__":
    main()
