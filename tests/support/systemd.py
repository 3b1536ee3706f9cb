"""A real systemd that runs one unit, in namespaces of its own, where it can change nothing of the machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.live import until

PROGRAM = "/lib/systemd/systemd"
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "multi-user", "alone")
"""Targets that the unit or the manager names. They pull in nothing, so that none of the machine's services starts."""
BOOT = """
set -e
mount --make-rprivate /
for place in lib cache; do mount --bind "$0/$place" "/var/$place"; done
mount -t tmpfs tmpfs /run
mkdir /run/test
mount --bind "$0" /run/test
mount -o remount,ro,bind /
for place in /tmp /var/tmp; do
  mkdir -p "/run/upper$place" "/run/work$place"
  mount -t overlay -o "lowerdir=$place,upperdir=/run/upper$place,workdir=/run/work$place" overlay "$place"
done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH=/run/test/units "$1" --system --unit=alone.target
"""
"""Only the folder of the test can be written to: /run/test, /var/lib and /var/cache. /tmp and /var/tmp forget."""


@dataclass
class Systemd:
    """The manager ``pid``. Its ``folder`` has ``lib`` (/var/lib), ``cache`` (/var/cache), and the unit's ``log``."""

    folder: Path
    pid: int

    def beside(self, *command: str | Path) -> list[str]:
        """Return what runs a command beside the unit, with its network and its files."""
        return ["nsenter", "--target", str(self.pid), "--all", *map(str, command)]

    def run(self, *command: str | Path) -> str:
        """Run a command beside the unit and return its output."""
        done = subprocess.run(self.beside(*command), capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, (command, done.stdout, done.stderr, self._written())
        return done.stdout.strip()

    def is_up(self) -> bool:
        """Return whether the manager has started, and takes orders."""
        command = self.beside("systemctl", "is-active", "alone.target")
        return subprocess.run(command, capture_output=True).returncode == 0

    def show(self, unit: str, field: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--property", field, "--value", unit)

    def log(self) -> list[dict[str, Any]]:
        """Return the lines that the unit has logged."""
        return [json.loads(line) for line in self._written().splitlines()]

    def _written(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def until_logged(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until ``count`` events of that name were logged."""
        until(lambda: sum(line["event"] == event for line in self.log()) >= count)
        return [line for line in self.log() if line["event"] == event]


@contextmanager
def systemd(folder: Path, unit: Path, drop_in: str) -> Iterator[Systemd]:
    """Run a manager that knows ``unit``, with a ``drop_in`` (systemd.unit(5)) for where this machine has things."""
    for name in ("lib", "cache", "units", f"units/{unit.name}.d"):
        (folder / name).mkdir(parents=True)
    for target in TARGETS:
        (folder / "units" / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    shutil.copy(unit, folder / "units")
    (folder / "units" / f"{unit.name}.d" / "test.conf").write_text(drop_in)
    namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    namespaces += ["--uts", "--ipc", "--net", "--cgroup"]
    outer = subprocess.Popen([*namespaces, "sh", "-c", BOOT, str(folder), PROGRAM], stderr=subprocess.PIPE)
    try:
        until(lambda: outer.poll() is not None or psutil.Process(outer.pid).children())
        if outer.poll() is not None:
            pytest.skip(f"this machine lets the test make no namespaces: {outer.stderr.read().decode().strip()}")
        manager = Systemd(folder, psutil.Process(outer.pid).children()[0].pid)
        until(manager.is_up)
        yield manager
    finally:
        outer.kill()
        outer.communicate()
