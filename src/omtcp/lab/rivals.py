"""The competitors of a run: their servers and receivers, started and stopped together."""

import json
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT
from types import TracebackType
from typing import Any

from omtcp.errors import SetupError
from omtcp.lab.content import Content
from omtcp.lab.kernel_server import Service
from omtcp.lab.network import Network, in_url
from omtcp.lab.processes import Process
from omtcp.lab.receiver import Receiver
from omtcp.lab.sink import Job

_PORT = 8081
_PATIENCE_S = 30.0
"""The bins of many connections are hundreds of kilobytes, on a host that was busy until now."""


class Rivals:
    """Bulk downloads from the competing servers to the measured connection's client.

    A context manager; `receivers` are to begin with the measured one, `finish` gives what they
    received.
    """

    def __init__(self, network: Network, content: Content) -> None:
        self._network = network
        self._content = content
        self._processes: list[Process] = []
        self.receivers: list[Receiver] = []

    def __enter__(self) -> "Rivals":
        try:
            for group in range(len(self._network.rivals)):
                self._serve(group)
            for group in range(len(self._network.rivals)):
                self._receive(group)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.stop()

    def _address(self, group: int) -> str:
        return self._network.rivals[group][1].address[self._network.case.family]

    def _log(self, name: str, group: int) -> Path:
        return self._network.directory / f"rival{group}-{name}.log"

    def _serve(self, group: int) -> None:
        namespace, _ = self._network.rivals[group]
        service = Service(
            root=str(self._content.path.parent),
            address=self._address(group),
            port=_PORT,
            family=self._network.case.family,
        )
        log = self._log("server", group)
        server = Process(f"competitors {group}", namespace, service.command(), log)
        self._processes.append(server)
        server.wait_for("ready", timeout=15.0)

    def _receive(self, group: int) -> None:
        case = self._network.case
        job = Job(
            url=f"http://{in_url(self._address(group))}:{_PORT}/{self._content.path.name}",
            duration_ns=case.duration_ns,
            downloads=case.competitors[group].count,
            repeat=True,
            verify=False,
            each=True,
        )
        log = self._log("sink", group)
        receiver = Receiver(f"receiver of competitors {group}", self._network.client, job, log)
        self._processes.append(receiver)
        self.receivers.append(receiver)

    def finish(self) -> list[Sequence[tuple[int, int]]]:
        """Per competitor, (index of a 10 ms bin, bytes in it); SetupError if one failed."""
        for receiver in self.receivers:
            receiver.send_signal(SIGINT)
        return [bins for receiver in self.receivers for bins in self._bins(receiver)]

    def _bins(self, receiver: Receiver) -> list[Sequence[tuple[int, int]]]:
        line = receiver.wait_for('"result"', timeout=_PATIENCE_S)
        result: dict[str, Any] = json.loads(line)["result"]
        for download in result["downloads"]:
            if download["error"]:
                raise SetupError(f"a competitor failed: {download['error']}")
        return [download["bins"] for download in result["downloads"]]
