"""A PostgreSQL of its own, from Debian's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """A cluster that can be stopped and started again; ``url`` is its database."""

    def __init__(self, folder: Path) -> None:
        assert FOLDERS, "run  make debs"
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "nobody")
        self._run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-D", folder / "data")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(FOLDERS[-1] / program), *map(str, arguments)]
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            user="nobody" if os.getuid() == 0 else None,
        )

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._control("start", "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def _control(self, action: str, *arguments: object) -> None:
        self._run("pg_ctl", action, "-w", "-s", "-t", "100", "-D", self.folder / "data", *arguments)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a cluster, in a folder that another user can reach."""
    with tempfile.TemporaryDirectory(prefix="flowcore-postgres-", ignore_cleanup_errors=True) as folder:
        cluster = Postgres(Path(folder))
        cluster.start()
        try:
            yield cluster
        finally:
            if (cluster.folder / "data" / "postmaster.pid").exists():
                cluster.stop()
