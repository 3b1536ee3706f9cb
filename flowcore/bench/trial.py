"""One trial: a number of calls into one receiver for some seconds, and its outcome.

The receiver and the callers are processes of their own, each on a core of its own where there are two. CPU and memory
are measured between two moments in the middle of the load, without start-up, call set-up and the end.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flowcore.errors import FlowcoreError

NEW_CALLS_PER_SECOND = 400
"""Rate at which calls begin: no real load begins with a thousand calls at once."""
EDGE = 1.0
"""Seconds after the first and before the last message that are not measured."""
PROCESS_TIMEOUT = 60.0
"""Seconds beyond the load's own time after which a process is given up."""
MESSAGES_PER_SECOND = 100
"""Messages of one call: two parties, 20 ms each."""

LOAD_LOSSES = {
    "refused": "calls refused",
    "closed": "calls cut",
    "blocked": "sends held up, as the receiver did not read",
    "unclosed": "calls not closed in order",
}
"""Counters of a load generator that must be 0."""


class TrialFailed(FlowcoreError):
    """A process of a trial failed, so nothing was measured."""


@dataclass(frozen=True)
class Outcome:
    """The result of a trial: what was sent (``load``), the receiver's ``report``, and figures computed from both."""

    calls: int
    load: dict[str, Any]
    report: dict[str, Any]
    cpu: float = math.nan
    """CPU time of all threads of the receiver, in cores; 1.2 is a core and a fifth."""
    us_per_message: float = math.nan
    """CPU time for each message of audio, in microseconds."""
    resident: float = math.nan
    """Median memory of the receiver, in bytes."""
    ages: list[float] = field(default_factory=list)
    profile: dict[str, float] = field(default_factory=dict)
    """CPU time by part of the receiver, in cores, if requested; the sum is ``cpu``."""
    capacity: float = math.nan
    """Calls that the receiver could take in all, by its own estimate near the end of the load."""
    damage: str = ""
    """Defect that a check of the resulting files found; empty when there is none."""

    def age_ms(self, quantile: float) -> float:
        """Return a quantile of the stamped messages' latency, in ms; NaN when none arrived."""
        return at_quantile(self.ages, quantile) * 1000 if self.ages else math.nan

    @property
    def in_time(self) -> bool:
        """Whether the generator kept real-time pace; if not, the trial says nothing about the receiver."""
        return bool(self.load["in_time"])

    def losses(self) -> list[str]:
        """Describe each loss in words; empty when nothing was lost."""
        load, report = self.load, self.report
        wrong = [f"{load[name]} {text}" for name, text in LOAD_LOSSES.items() if load[name]]
        if load["messages"] != report["packets"]:
            wrong.append(f"{load['messages'] - report['packets']} messages never came to a flow")
        wrong += [f"{count} chunks dropped, {where}" for where, count in report["dropped"].items()]
        if report["lost"]:
            wrong.append(f"{report['lost']:.2f} s of audio replaced by silence")
        if report["failed"]:
            wrong.append(f"{report['failed']} flows failed")
        if report["events"].get("hold_ended"):
            wrong.append(f"{report['events']['hold_ended']} pauses detected though no caller paused")
        return wrong + [self.damage] * bool(self.damage)


def at_quantile(ordered: Sequence[float], quantile: float) -> float:
    """Return a quantile of sorted values."""
    return ordered[math.ceil(len(ordered) * quantile) - 1]


class Receiver:
    """A receiver process: ``with Receiver([...]) as receiver`` has it listen at ``receiver.url``.

    ``command`` gets ``--report FD`` and ``--core 0,1``, and writes to that pipe what `flowcore.bench.server` writes.
    """

    def __init__(self, command: Sequence[str], cores: Sequence[int] = ()) -> None:
        self._command = [sys.executable, *command, *["--core", ",".join(map(str, cores))] * bool(cores)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process, in _end
        self._pipe: Any = None
        self._process: subprocess.Popen[bytes]
        self.url = ""

    def __enter__(self) -> Receiver:
        reading, writing = os.pipe()
        self._pipe = os.fdopen(reading)
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter, without a shell
                [*self._command, "--report", str(writing)],
                pass_fds=[writing],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        finally:
            os.close(writing)
        self.url = self._line()["url"]
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def stop(self) -> dict[str, Any]:
        """End the process and return its report."""
        self._process.send_signal(signal.SIGTERM)
        return self._line()

    def _line(self) -> dict[str, Any]:
        line = self._pipe.readline()
        said: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        if said.get("error"):
            self._end()
            raise TrialFailed(str(said["error"]))
        return said

    def _last_words(self) -> str:
        self._process.wait(PROCESS_TIMEOUT)
        self._errors.seek(0)
        lines = self._errors.read().splitlines()
        return lines[-1] if lines else f"the receiver ended with exit code {self._process.returncode}"

    def _end(self) -> None:
        try:
            self._process.wait(0 if self._process.poll() is not None else 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe.close()
        self._errors.close()


def send_load(
    load_generator: str, url: str, calls: int, seconds: float, core: int | None, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Let a listener's load generator call ``url``, with more ``options``, and return its result as JSON."""
    command = [sys.executable, "-m", load_generator, url, "--json", "--calls", str(calls), "--seconds", str(seconds)]
    command += ["--settle", str(calls / NEW_CALLS_PER_SECOND)]
    command += [*options, *([] if core is None else ["--core", str(core)])]
    limit = seconds + calls / NEW_CALLS_PER_SECOND + PROCESS_TIMEOUT
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise TrialFailed(f"the load generator did not end within {limit:.0f} s") from None
    if not done.stdout:
        raise TrialFailed(done.stderr.strip().rpartition("\n")[2] or f"{load_generator} said nothing")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def outcome(calls: int, load: dict[str, Any], report: dict[str, Any]) -> Outcome:
    """Compute the figures of one trial."""
    samples = report["samples"]
    inside = [n for n, sample in enumerate(samples) if load["began"] + EDGE <= sample[0] <= load["ended"] - EDGE / 2]
    ages = report.get("ages", [])
    if len(inside) < 2:
        return Outcome(calls, load, report, ages=ages)
    first, last = inside[0], inside[-1]
    (began, cpu_before, _), (ended, cpu_after, _) = samples[first], samples[last]
    cpu = (cpu_after - cpu_before) / (ended - began)
    resident = sorted(samples[n][2] for n in inside)[len(inside) // 2]
    profile = {}
    if report.get("profiles"):
        before, after = report["profiles"][first], report["profiles"][last]
        used = {part: after[part] - before.get(part, 0.0) for part in after}
        by_share = sorted(used.items(), key=lambda item: -item[1])
        profile = {part: spent / (ended - began) for part, spent in by_share if spent > 0}  # 0: it has only started
    capacity = report["capacities"][last] if report.get("capacities") else math.nan
    us = cpu / (calls * MESSAGES_PER_SECOND) * 1e6
    return Outcome(calls, load, report, cpu, us, resident, ages, profile, capacity)


@dataclass(frozen=True)
class Cores:
    """Cores that the receiver and its callers may use; empty: any."""

    receiver: tuple[int, ...] = ()
    callers: int | None = None

    @classmethod
    def share(cls, most: int | None = None) -> Cores:
        """Give one core to the callers, and at most ``most`` others to the receiver; both share a single core."""
        if not hasattr(os, "sched_getaffinity"):  # not Linux
            return cls()
        *others, last = sorted(os.sched_getaffinity(0))
        return cls(tuple(others[:most]), last) if others else cls()


def trial(
    graph: str,
    settings: Sequence[str],
    load_generator: str,
    calls: int,
    seconds: float,
    cores: Cores,
    *,
    probe: bool = True,
    profile: bool = False,
    together: bool = True,
    voices: Sequence[str] = (),
) -> Outcome:
    """Run a graph under load, of noise or of ``voices``, the agent's and the customer's file. Raises `TrialFailed`."""
    command = ["-m", "flowcore.bench.server", graph, *(f"--set={setting}" for setting in settings)]
    command += ["--probe"] * probe + ["--profile"] * profile
    options = ["--together"] * together + ["--stamps"] * probe + ["--voices", *voices] * bool(voices)
    with Receiver(command, cores.receiver) as receiver:
        load = send_load(load_generator, receiver.url, calls, seconds, cores.callers, options)
        return outcome(calls, load, receiver.stop())
