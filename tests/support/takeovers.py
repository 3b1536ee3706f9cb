"""Two runs on one port and one folder: the second takes over from the first."""

from __future__ import annotations

from pathlib import Path

from tests.support.service import Service


class Successor(Service):
    """``flowcore run graphs/record.yaml --takeover`` on the port, the folder and the control socket of a `Service`."""

    def __init__(self, folder: Path, *options: str, workers: int = 1) -> None:
        super().__init__(folder, "--finish", "2h", "--takeover", *options, workers=workers)
