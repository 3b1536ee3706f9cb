"""One trial: so many calls into one receiver for so many seconds, and what became of them.

The receiver and the callers are processes of their own, each on a core of its own where there are two. CPU and memory
are read between two moments in the middle of the load, so that start-up, call set-up and the end are not in them.
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
from types import TracebackType
from typing import Any

from flowcore.errors import FlowcoreError

SET_UP = 400
"""Calls a second that begin: a thousand in one moment are no load of the world."""
EDGE = 1.0
"""Seconds after the first and before the last message that are not measured."""
PATIENCE = 60.0
"""Seconds beyond the load's own time after which a process is given up."""
CALL_RATE = 100
"""Messages a second of one call: two parties, 20 ms each."""


class TrialFailed(FlowcoreError):
    """A process of a trial did not do its part: nothing was measured."""


@dataclass(frozen=True)
class Outcome:
    """What was sent (``load``), what the receiver says of it (``report``), and the figures that follow."""

    calls: int
    load: dict[str, Any]
    report: dict[str, Any]
    cpu: float = math.nan
    """Share of one core that the receiver took, of all its threads; 1.2 is a core and a fifth."""
    us_per_message: float = math.nan
    """The same for each message of audio, in microseconds."""
    resident: float = math.nan
    """Memory of the receiver in the middle, in bytes."""
    ages: list[float] = field(default_factory=list)
    profile: dict[str, float] = field(default_factory=dict)
    """Share of one core by part of the receiver, if asked for; their sum is ``cpu``, less what the probe took."""
    damage: str = ""
    """What somebody who looked at the results found wrong with them."""

    def age_ms(self, quantile: float) -> float:
        """Latency in ms that this part of the stamped messages did not exceed; NaN when none came."""
        return _at(self.ages, quantile) * 1000 if self.ages else math.nan

    def stages_ms(self, quantile: float) -> dict[str, float]:
        """The same by stage, in their order."""
        return {stage: _at(seconds, quantile) * 1000 for stage, seconds in self.report.get("stages", {}).items()}

    @property
    def in_time(self) -> bool:
        """Whether the generator was a real-time sender; nothing is known of the receiver when not."""
        return bool(self.load["in_time"])

    def losses(self) -> list[str]:
        """What went wrong, in words; empty when nothing was lost."""
        load, report = self.load, self.report
        wrong = [
            f"{load[name]} {text}"
            for name, text in (
                ("refused", "calls refused"),
                ("closed", "calls cut"),
                ("blocked", "sends held up, as the receiver did not read"),
                ("unclosed", "calls not closed in order"),
            )
            if load[name]
        ]
        if load["messages"] != report["packets"]:
            wrong.append(f"{load['messages'] - report['packets']} messages never came to a flow")
        wrong += [f"{count} chunks dropped, {where}" for where, count in report["dropped"].items()]
        if report["lost"]:
            wrong.append(f"{report['lost']:.2f} s of audio replaced by silence")
        if report["failed"]:
            wrong.append(f"{report['failed']} flows failed")
        if report["events"].get("hold"):
            wrong.append(f"{report['events']['hold']} pauses heard where nobody paused")
        return wrong + [self.damage] * bool(self.damage)


def _at(ordered: Sequence[float], quantile: float) -> float:
    """What this part of the values does not exceed."""
    return ordered[math.ceil(len(ordered) * quantile) - 1]


class Receiver:
    """A process that is called: ``with Receiver([...]) as receiver`` has it listening at ``receiver.url``.

    ``command`` gets ``--report FD`` and ``--core 0,1``, and says on that pipe what `flowcore.bench.server` says.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def stop(self) -> dict[str, Any]:
        """End it and return its report."""
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
        self._process.wait(PATIENCE)
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


def play(
    simulator: str,
    url: str,
    calls: int,
    seconds: float,
    *,
    core: int | None = None,
    together: bool = True,
    stamps: bool = False,
    voices: Sequence[str] = (),
) -> dict[str, Any]:
    """Have a listener's simulator call ``url``, and return its result: see `nodes.simulators.load.Result`."""
    command = [sys.executable, "-m", simulator, url, "--json", "--calls", str(calls), "--seconds", str(seconds)]
    command += ["--settle", str(calls / SET_UP)]
    command += ["--together"] * together + ["--stamps"] * stamps + ([] if core is None else ["--core", str(core)])
    command += ["--voices", *voices] * bool(voices)
    limit = seconds + calls / SET_UP + PATIENCE
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise TrialFailed(f"the load generator did not end within {limit:.0f} s") from None
    if not done.stdout:
        raise TrialFailed(done.stderr.strip().rpartition("\n")[2] or f"{simulator} said nothing")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def outcome(calls: int, load: dict[str, Any], report: dict[str, Any]) -> Outcome:
    """The figures of one trial."""
    looks = report["looks"]
    inside = [n for n, look in enumerate(looks) if load["began"] + EDGE <= look[0] <= load["ended"] - EDGE / 2]
    ages = report.get("ages", [])
    if len(inside) < 2:
        return Outcome(calls, load, report, ages=ages)
    first, last = inside[0], inside[-1]
    (began, cpu_before, _), (ended, cpu_after, _) = looks[first], looks[last]
    cpu = (cpu_after - cpu_before) / (ended - began)
    resident = sorted(looks[n][2] for n in inside)[len(inside) // 2]
    profile = {}
    if report.get("profiles"):
        before, after = report["profiles"][first], report["profiles"][last]
        used = {part: after[part] - before.get(part, 0.0) for part in after}
        profile = {part: spent / (ended - began) for part, spent in used.items() if spent > 0}  # not what only started
        profile = dict(sorted(profile.items(), key=lambda item: -item[1]))
    return Outcome(calls, load, report, cpu, cpu / (calls * CALL_RATE) * 1e6, resident, ages, profile)


@dataclass(frozen=True)
class Cores:
    """Which cores the receiver and its callers may use; empty: any."""

    receiver: tuple[int, ...] = ()
    callers: int | None = None

    @classmethod
    def share(cls, most: int | None = None) -> Cores:
        """One core for the callers, the others (``most`` of them) for the receiver; all for both if there is one."""
        if not hasattr(os, "sched_getaffinity"):  # not Linux
            return cls()
        *others, last = sorted(os.sched_getaffinity(0))
        return cls(tuple(others[:most]), last) if others else cls()


def trial(
    graph: str,
    settings: Sequence[str],
    simulator: str,
    calls: int,
    seconds: float,
    cores: Cores,
    *,
    probe: bool = True,
    stages: bool = False,
    profile: bool = False,
    together: bool = True,
    voices: Sequence[str] = (),
) -> Outcome:
    """Run a graph under load, of noise or of ``voices``: the agent's and the customer's file. Raises `TrialFailed`."""
    command = ["-m", "flowcore.bench.server", graph, *(f"--set={setting}" for setting in settings)]
    command += ["--probe"] * probe + ["--stages"] * stages + ["--profile"] * profile
    with Receiver(command, cores.receiver) as receiver:
        load = play(
            simulator,
            receiver.url,
            calls,
            seconds,
            core=cores.callers,
            together=together,
            stamps=probe or stages,
            voices=voices,
        )
        return outcome(calls, load, receiver.stop())
