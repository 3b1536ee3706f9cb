"""What metrics and traces cost the record path: several runs at once, under the same load, on the same core.

The runs differ in nothing but their scraper and collector, and all are under way at the same time, so that whatever
else the machine does slows all of them. CPU time is that of the process of the calls, from before the first call to
after the last one has ended; the admin process and its text for Prometheus are niced, and counted apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from flowcore.bench.trial import MESSAGES_PER_SECOND
from flowcore.telemetry.exposition import OPENMETRICS
from flowcore.telemetry.trace_ids import ENDPOINTS
from tests.bench.calls import LOAD_GENERATOR
from tests.support.collector import collector
from tests.support.service import Service

BARE = "bare"
KINDS: Mapping[str, tuple[float, bool]] = {
    BARE: (0.0, False),
    "a scrape every 15 s": (15.0, False),
    "a scrape every second": (1.0, False),
    "that, and traces": (1.0, True),
}
"""Seconds between two scrapes (0: none), and whether there are traces."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """CPU time of the process of the calls, in microseconds a message, and of its admin process, by kind of run."""

    us: dict[str, float]
    admin_us: dict[str, float]
    in_time: bool


@dataclass(frozen=True)
class Costs:
    """Medians over all rounds; ``more`` is the cost of a kind beyond the bare run, as a share of that."""

    us: dict[str, float]
    admin_us: dict[str, float]
    more: dict[str, float]
    late: int
    rounds: int


def metrics_cost(calls: int, rounds: int, seconds: float) -> Iterator[str | Costs]:
    """Run ``calls`` of each kind together; yields a word of progress for each round, and at last the `Costs`."""
    done: list[Round] = []
    for number in range(rounds):
        yield f"metrics and traces at {calls} calls each, round {number + 1} of {rounds}"
        kinds = [*KINDS][number % len(KINDS) :] + [*KINDS][: number % len(KINDS)]
        done.append(_round(kinds, calls, seconds))
    more = {kind: median(one.us[kind] / one.us[BARE] - 1 for one in done) for kind in KINDS if kind != BARE}
    yield Costs(
        {kind: median(one.us[kind] for one in done) for kind in KINDS},
        {kind: median(one.admin_us[kind] for one in done) for kind in KINDS},
        more,
        sum(not one.in_time for one in done),
        rounds,
    )


def _round(kinds: list[str], calls: int, seconds: float) -> Round:
    first, *others = sorted(os.sched_getaffinity(0))
    callers = others[-1] if others else first
    with ExitStack() as stack:
        traces = stack.enter_context(collector())
        runs: dict[str, Service] = {}
        for kind in kinds:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowcore-bench-")))
            with _started(first, traces.url if KINDS[kind][1] else ""):
                options = ("--admin", "0", "--max-calls", "10000", "--set", "call.max_connections=10000")
                runs[kind] = stack.enter_context(Service(folder, *options, workers=1))
        urls = {kind: run.heard("admin_opened")[0]["address"] for kind, run in runs.items()}
        for url in urls.values():
            _get(f"{url}/metrics")  # once it answers, all modules are loaded
        admin = {kind: _child(run.process.pid) for kind, run in runs.items()}
        stop = threading.Event()
        for kind in runs:
            if pause := KINDS[kind][0]:
                scraper = threading.Thread(target=_scrape, args=(f"{urls[kind]}/metrics", pause, stop), daemon=True)
                stack.callback(scraper.join)
                scraper.start()
        stack.callback(stop.set)
        before = {kind: (_cpu(run.process.pid), _cpu(admin[kind])) for kind, run in runs.items()}
        loads = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", LOAD_GENERATOR, run.url, "--together", "--json", "--core", str(callers)),
                    *("--calls", str(calls), "--seconds", str(seconds), "--settle", "2"),
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            for run in runs.values()
        ]
        results = [load.communicate()[0] for load in loads]
        for run in runs.values():
            run.heard("flow_closed", calls)
        messages = calls * seconds * MESSAGES_PER_SECOND
        us, admin_us = {}, {}
        for kind, run in runs.items():
            us[kind] = (_cpu(run.process.pid) - before[kind][0]) / messages * 1e6
            admin_us[kind] = (_cpu(admin[kind]) - before[kind][1]) / messages * 1e6
        stop.set()
    return Round(us, admin_us, all('"in_time": true' in result for result in results))


@contextmanager
def _started(core: int, collector_url: str) -> Iterator[None]:
    """Let processes that start meanwhile run on one core, and send traces if there is a collector."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    if collector_url:
        os.environ[ENDPOINTS[0]] = collector_url
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        os.environ.pop(ENDPOINTS[0], None)


def _scrape(url: str, pause: float, stop: threading.Event) -> None:
    while not stop.wait(pause):
        _get(url)


def _get(url: str) -> None:
    request = urllib.request.Request(url, headers={"Accept": OPENMETRICS})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _cpu(pid: int) -> float:
    """Return the CPU seconds of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _child(pid: int) -> int:
    """Return the only child of a process: that of the admin API."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
