"""A server's process and its callers', each on a core of its own, and what the server needs while they talk."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOAD = Path(__file__).parents[1] / "load.py"
SERVER_CORE, LOAD_CORE = 0, 1

PER_CALL = 100
"""Media messages a second: two parties, 20 ms each."""

SETTLE = 1.5
"""Seconds of the load before the first moment of measurement."""

REST = 0.5
"""Seconds of the load after the second one."""

PATIENCE = 30.0
"""Seconds for a server to begin to listen, or to finish its recordings."""


FIRST = -15
"""Niceness of servers and generators."""


class Broken(Exception):
    """A server or the generator did not do its part; the text says which and how."""


@dataclass(frozen=True)
class Need:
    """What a server needed between two moments in the middle of the load."""

    cpu_us: float
    """For each media message."""
    busy: float
    """Share of its core."""
    kib_per_call: float
    others: float = 0.0
    """Share of its core that other processes took: a busy machine makes any server look worse."""


class Server:
    """A process on the server's core."""

    def __init__(self, command: list[str], errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as sink:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                pinned(SERVER_CORE, command), stdin=pipe, stdout=pipe, stderr=sink, text=True, start_new_session=True
            )
        go_first(self.process.pid)

    def wait_for(self, what: str, done: Callable[[], bool]) -> None:
        """Raises `Broken` when the process ends or `PATIENCE` is over before ``done()``."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"{what}: {self.said() or 'it says nothing'}")
            time.sleep(0.02)

    def listens(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def said(self) -> str:
        """The last lines on its stderr."""
        return " / ".join(self._errors.read_text().strip().splitlines()[-3:])

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def resident(self) -> int:
        """Bytes of it that are in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def watch(self, calls: int, seconds: float, empty: int) -> Need:
        """Called when the calls begin to talk; ``empty`` is what was resident before they came."""
        time.sleep(SETTLE)
        cpu, core, begin = cpu_of(self.process.pid), cpu_of_core(SERVER_CORE), time.monotonic()
        time.sleep(seconds - SETTLE - REST)
        cpu, core = cpu_of(self.process.pid) - cpu, cpu_of_core(SERVER_CORE) - core
        elapsed = time.monotonic() - begin
        memory = (self.resident() - empty) / calls / 1024
        return Need(cpu / (elapsed * calls * PER_CALL) * 1e6, cpu / elapsed, memory, max(core - cpu, 0.0) / elapsed)

    def end(self) -> str:
        """Wait for its end, which is near, and return what it printed. Raises `Broken`."""
        try:
            return self.process.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            raise Broken(f"it does not end: {self.said()}") from None


@contextmanager
def serving(command: list[str], errors: Path) -> Iterator[Server]:
    """A server that is gone in the end, whatever happens."""
    server = Server(command, errors)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def call(
    port: int, calls: int, seconds: float, talking: Callable[[], Any] = lambda: None
) -> tuple[dict[str, Any], Any]:
    """Have the generator call; ``talking`` runs meanwhile. Returns the generator's result and that of ``talking``."""
    command = [sys.executable, str(LOAD), "--announce", "--json", "--calls", str(calls), "--seconds", str(seconds)]
    command = pinned(LOAD_CORE, [*command, f"ws://127.0.0.1:{port}/"])
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as load:
        go_first(load.pid)
        assert load.stderr is not None
        said = next((line for line in load.stderr if line.strip() == "talking"), "")
        result = talking() if said else None
        output, errors = load.communicate()
    if not said or not output:
        raise Broken(f"the generator failed: {errors.strip()}")
    return json.loads(output), result


def cpu_of(pid: int) -> float:
    """Seconds that a process has used by its CPU clock: all threads, ended ones too, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)


def cpu_of_core(core: int) -> float:
    """Seconds that a core has been busy, in ticks of the kernel (10 ms)."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines[1 + core].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def go_first(pid: int) -> None:
    """Schedule a session before others of a busy machine, where we may: as root."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, FIRST)
        Path(f"/proc/{pid}/autogroup").write_text(str(FIRST))  # Linux weighs sessions before it weighs processes
    except OSError:
        return  # not root, or a kernel without groups: what others take is measured and told anyway


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
