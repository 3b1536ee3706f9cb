"""The receiver under load: runs one graph in a process of its own and reports on a pipe.

    python -m flowcore.bench.server GRAPH --set call.port=0 --report FD [--probe] [--profile] [--core N]

The pipe carries JSON objects, one a line: ``{"url": …}`` once it listens, and after SIGTERM one `Report`. The receiver
works like `flowcore run`, with an optional probe and profile, and samples its own CPU and memory twice a second.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from flowcore.bench.ages import AgeProbe
from flowcore.bench.profile import Profile
from flowcore.engine.bus import Event
from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.engine.garbage import collected_in_quiet_slots
from flowcore.engine.slots import new_loop
from flowcore.errors import FlowcoreError
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan
from flowcore.telemetry.calls_until_full import CapacityEstimate

SAMPLE_INTERVAL = 0.5
"""Seconds between two samples of CPU and memory."""
QUEUE_FULL = "queue_full"
MAX_CALLS = 1_000_000
"""Calls that the engine accepts: in a bench, the listener's own limit and the machine decide."""


@dataclass
class Report:
    """The work of a receiver, from its start to its end."""

    samples: list[tuple[float, float, int]] = field(default_factory=list)
    """Monotonic time in s, CPU of all threads in s, resident memory in bytes."""
    capacities: list[int] = field(default_factory=list)
    """For each sample, how many calls it could take in all by the estimate of `flowcore.telemetry.calls_until_full`."""
    flows: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Flows by the reason of their end."""
    failed: int = 0
    """Flows in which a node failed or the counters did not balance."""
    refused: int = 0
    packets: int = 0
    """Messages of audio received."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Chunks by ``node: reason``: audio, and text that a full queue dropped. Text that a node leaves out on purpose is
    not counted."""
    lost: float = 0.0
    """Seconds of audio filled with silence because packets were missing."""
    events: dict[str, int] = field(default_factory=dict)
    ages: list[float] = field(default_factory=list)
    """Seconds from a sender's `send` to the node behind the listener, sorted."""
    stages: dict[str, list[float]] = field(default_factory=dict)
    """Seconds that stamped audio spent in each stage, sorted, if an `Observer` measured them."""
    profiles: list[dict[str, float]] = field(default_factory=list)
    """For each sample, the CPU seconds so far by part."""
    error: str = ""


class Observer(Protocol):
    """Watches the run of ``plan``, which runs instead of the plan that the observer was made of."""

    plan: Plan

    def attach(self, flow: Flow) -> None:
        """Watch a flow that opens."""

    def measured(self) -> dict[str, list[float]]:
        """Return `Report.stages`."""


class Receiver:
    """The engine under observation."""

    def __init__(self, engine: Engine, pipe: Any, profile: Profile | None) -> None:
        self.engine = engine
        self.report = Report()
        self._pipe = pipe
        self._profile = profile
        self._events: Counter[str] = Counter()
        self._sample_at = 0.0
        self._capacity = CapacityEstimate(engine)
        self._reader = select.poll()
        self._reader.register(pipe, 0)  # a hang-up is always reported
        engine.bus.subscribe(self._event)
        engine.slots.every(self._sample)

    def _event(self, event: Event) -> None:
        self._events[event.name] += 1
        if event.name == "listener_opened":
            self.send({"url": event.data["address"]})

    def _sample(self) -> None:
        now = time.monotonic()
        if now >= self._sample_at:
            self._sample_at = now + SAMPLE_INTERVAL
            if self._reader.poll(0):  # the bench was killed and cannot end this process
                self.engine.stop()
            self.report.samples.append((now, time.process_time(), resident()))
            estimate = self._capacity.read()
            self.report.capacities.append(estimate.calls + estimate.until_full)
            if self._profile is not None:
                self.report.profiles.append(self._profile.spent())

    def send(self, message: dict[str, Any]) -> None:
        self._pipe.write(json.dumps(message) + "\n")
        self._pipe.flush()

    async def run(self) -> None:
        """Run until SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.engine.stop)
        await self.engine.run()

    def sum_up(self) -> Report:
        """Return the report, once all flows have ended."""
        report, totals = self.report, self.engine.totals
        report.flows, report.failed, report.refused = totals.flows, totals.failed, totals.refused
        report.reasons = totals.reasons
        report.events = dict(self._events)
        for name, stats in totals.nodes.items():
            for reason, tally in stats.dropped.items():
                if tally.seconds or reason == QUEUE_FULL:
                    report.dropped[f"{name}: {reason}"] = tally.chunks
            if "lost" in stats.filled:
                report.lost += stats.filled["lost"].seconds
        listener = totals.nodes.get(self.engine.plan.listener.name)
        report.packets = listener.left.chunks if listener else 0
        return report


def _stages(plan: Plan) -> dict[str, str]:
    """Return names of the listener's stages by module: its own, and those that its load generator declares."""
    listener = plan.listener
    load_generator = listener.cls.tools.load_generator
    known: dict[str, str] = importlib.import_module(load_generator).STAGES if load_generator else {}
    return {listener.cls.__module__: listener.name, **known}


def resident() -> int:
    """Return the resident memory of this process in bytes; 0 on systems other than Linux."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main(observe: Callable[[Plan], Observer] | None = None) -> int:
    """Run the command line, see the module's docstring; ``observe`` makes an observer of the plan."""
    parser = argparse.ArgumentParser(description="Run a graph under load.")
    parser.add_argument("graph", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--report", type=int, required=True, help="file descriptor of a pipe")
    parser.add_argument("--core", default="", help="run on these processor cores only, like 0,1")
    parser.add_argument("--probe", action="store_true", help="measure latency")
    parser.add_argument("--profile", action="store_true", help="measure where CPU time goes")
    options = parser.parse_args()
    if options.core:
        os.sched_setaffinity(0, {int(core) for core in options.core.split(",")})
    with os.fdopen(options.report, "w") as pipe:
        try:
            plan = compile_graph(load(options.graph, options.settings))
            probe = AgeProbe(plan) if options.probe else None
            observer = observe(plan) if observe is not None else None
            if observer is not None:
                plan = observer.plan
            packages = {node.cls.__module__.partition(".")[0] for node in plan.nodes.values()} - {"flowcore"}
            profile = Profile(_stages(plan), packages=packages) if options.profile else None
            receiver = Receiver(Engine(plan, max_calls=MAX_CALLS), pipe, profile)
            receiver.engine.on_opened += [each.attach for each in (probe, observer) if each is not None]
            if profile is not None:
                profile.start()
            slots = receiver.engine.slots
            with asyncio.Runner(loop_factory=new_loop) as runner, collected_in_quiet_slots(slots):
                runner.run(receiver.run())
        except FlowcoreError as error:
            pipe.write(json.dumps({"error": str(error)}) + "\n")
            return 1
        if profile is not None:
            profile.stop()
        report = receiver.sum_up()
        report.ages = sorted(probe.ages) if probe is not None else []
        report.stages = observer.measured() if observer is not None else {}
        receiver.send(asdict(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
