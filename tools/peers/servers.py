"""Run a server and its callers, each on its own core, and measure the server's CPU and memory."""

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

MESSAGES_PER_SECOND = 100
"""Media messages of a call: two parties, 20 ms each."""

SETTLE = 1.5
"""Seconds of the load before the measurement begins."""

TAIL = 0.5
"""Seconds of the load after the measurement has ended."""

TIMEOUT = 30.0
"""Seconds for a server to begin to listen, or to finish its recordings."""

NICENESS = -15
"""Niceness of servers and generators."""


class Broken(Exception):
    """Raised when a server or the generator has failed; the text says which and how."""


@dataclass(frozen=True)
class Need:
    """CPU and memory of a server, measured in the middle of the load."""

    cpu_us: float
    """CPU per media message, in microseconds."""
    busy: float
    """Share of its core."""
    kib_per_call: float
    others: float = 0.0
    """Share of its core that other processes took; a busy machine makes any server look worse."""


class Server:
    """A process on the server's core."""

    def __init__(self, command: list[str], errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as sink:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                pinned(SERVER_CORE, command), stdin=pipe, stdout=pipe, stderr=sink, text=True, start_new_session=True
            )
        prioritise(self.process.pid)

    def wait_for(self, what: str, done: Callable[[], bool]) -> None:
        """Wait for ``done()``. Raises `Broken` when the process ends, or after `TIMEOUT`."""
        deadline = time.monotonic() + TIMEOUT
        while not done():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"{what}: {self.stderr_tail() or 'no output'}")
            time.sleep(0.02)

    def listens(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stderr_tail(self) -> str:
        """Return the last lines of its standard error."""
        return " / ".join(self._errors.read_text().strip().splitlines()[-3:])

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def resident(self) -> int:
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def watch(self, calls: int, seconds: float, empty: int) -> Need:
        """Measure while the calls talk; ``empty`` is the resident memory before the calls, in bytes."""
        time.sleep(SETTLE)
        cpu, core, begin = cpu_of(self.process.pid), cpu_of_core(SERVER_CORE), time.monotonic()
        time.sleep(seconds - SETTLE - TAIL)
        cpu, core = cpu_of(self.process.pid) - cpu, cpu_of_core(SERVER_CORE) - core
        elapsed = time.monotonic() - begin
        memory = (self.resident() - empty) / calls / 1024
        return Need(
            cpu / (elapsed * calls * MESSAGES_PER_SECOND) * 1e6, cpu / elapsed, memory, max(core - cpu, 0.0) / elapsed
        )

    def end(self) -> str:
        """Wait for the process to end, and return its output. Raises `Broken`."""
        try:
            return self.process.communicate(timeout=TIMEOUT)[0]
        except subprocess.TimeoutExpired:
            raise Broken(f"it does not end: {self.stderr_tail()}") from None


@contextmanager
def serving(command: list[str], errors: Path) -> Iterator[Server]:
    """Run a server, and kill it at the end."""
    server = Server(command, errors)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def call(
    port: int, calls: int, seconds: float, talking: Callable[[], Any] = lambda: None
) -> tuple[dict[str, Any], Any]:
    """Run the generator, and ``talking`` meanwhile; return the results of both. Raises `Broken`."""
    command = [sys.executable, str(LOAD), "--announce", "--json", "--calls", str(calls), "--seconds", str(seconds)]
    command = pinned(LOAD_CORE, [*command, f"ws://127.0.0.1:{port}/"])
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as load:
        prioritise(load.pid)
        assert load.stderr is not None
        announced = next((line for line in load.stderr if line.strip() == "talking"), "")
        result = talking() if announced else None
        output, errors = load.communicate()
    if not announced or not output:
        raise Broken(f"the generator failed: {errors.strip()}")
    return json.loads(output), result


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, with all its threads, ended ones too, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)


def cpu_of_core(core: int) -> float:
    """Return the seconds that a core has been busy, in ticks of the kernel (10 ms)."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines[1 + core].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def prioritise(pid: int) -> None:
    """Schedule a session before others of a busy machine, if this process may (as root)."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))  # Linux weighs sessions first, then processes
    except OSError:
        return  # not root, or a kernel without groups: the share of other processes is measured anyway


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
