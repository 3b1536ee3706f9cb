"""A doctor beside the test, and its recordings played again."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Event, Thread
from typing import Any

from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import run_plan
from nodes.doctor.server import DoctorServer
from nodes.net.proxy_trust import ProxyTrust
from tests.support.live import ROOT, until


class DoctorRig:
    """A doctor in a thread: ``url`` and ``grpc_url``, and after the block the ``server`` with its findings."""

    def __init__(self, folder: Path | None, secret: str = "", proxy_trust: ProxyTrust | None = None) -> None:
        self.told: list[str] = []
        self.server = DoctorServer(
            proxy_trust or ProxyTrust(),
            secret,
            folder / "call.jsonl" if folder else None,
            self.told.append,
            lambda: 100.0,  # delays of a busy machine must not change the reported pace
        )
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        port = self.server.listen(self._socket)
        self.url = f"ws://127.0.0.1:{port}"
        self.grpc_url = f"grpc://127.0.0.1:{port}"
        self._stop = Event()
        self._thread = Thread(target=lambda: self.server.serve(self._stop.is_set))

    def __enter__(self) -> DoctorRig:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self.server.close()

    def wait(self, calls: int = 1) -> list[dict[str, Any]]:
        until(lambda: len(self.server.ended) >= calls)
        return self.server.facts()


def replay(recording: str, folder: Path) -> Path:
    """The WAV file of a recording that is played through graphs/record.yaml."""
    graph = (ROOT / "graphs" / "record.yaml").read_text()
    node = f"{{use: ringcx_recording, with: {{path: {recording}}}}}"
    (folder / "again.yaml").write_text(graph.replace("{use: ringcx, with: {port: 3333}}", node))
    run_plan(compile_graph(load(folder / "again.yaml", [f"wav.path={folder}/{{call_id}}.wav"])))
    return next(folder.glob("*.wav"))
