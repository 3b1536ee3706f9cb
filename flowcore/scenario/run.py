"""One test from beginning to end, on a virtual clock and in a directory of its own."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowcore.engine.bus import Bus, Event
from flowcore.engine.clock import VirtualClock
from flowcore.engine.engine import Engine
from flowcore.errors import FlowcoreError, UsageError
from flowcore.files import write_whole
from flowcore.graph.plan import Plan
from flowcore.scenario.compare import changes, differences
from flowcore.scenario.load import Scenario
from flowcore.scenario.model import Expectation, Fault
from flowcore.scenario.outcome import Outcome
from flowcore.scenario.standin import with_stand_in
from flowcore.testing.faults import Fail, Slow, Stuck, inject
from flowcore.testing.graphs import run_plan
from flowcore.testing.listeners import Received, collecting_sink
from flowcore.testing.threads import VirtualPool

NORMAL_ENDS = ("end_of_file", "done", "end", "stop")
"""Why flows of a graph's own listener end in which nothing went wrong."""
MODEL_TIMEOUT = 60.0
"""Real seconds that the speech models of one test may take."""


@dataclass(frozen=True)
class Verdict:
    """The result of a test. ``differences`` is empty when it passed; ``outcome`` is None when the graph did not start.

    ``seconds`` is the real time that it took.
    """

    scenario: Scenario
    differences: tuple[str, ...]
    seconds: float
    outcome: Mapping[str, Any] | None


def recordings(path: Path) -> Path:
    """The file that holds the recorded outcomes of the test file at ``path``."""
    return path.with_name(f"{path.name.removesuffix('.yaml').removesuffix('.test')}.recorded.json")


def recorded(path: Path) -> dict[str, Any]:
    """The recorded outcomes of a test file by the test's name, none when nothing was recorded.

    Raises `UsageError` when the record cannot be read.
    """
    file = recordings(path)
    try:
        return dict(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file} cannot be read ({error}): record it again with --update") from error


def record(path: Path, verdicts: list[Verdict]) -> Path:
    """Write the outcomes of all tests of a file: from now on they are expected. Returns the file's path."""
    outcomes = {verdict.scenario.name: verdict.outcome for verdict in verdicts if verdict.outcome is not None}
    file = recordings(path)
    write_whole(file, json.dumps(outcomes, indent=1, ensure_ascii=False).encode() + b"\n")
    return file


def run(scenario: Scenario, before: Mapping[str, Any] | None = None) -> Verdict:
    """Run one test; ``before`` is its recorded outcome."""
    began = time.perf_counter()
    outcome = None
    try:
        outcome, found = _run(scenario, before)
    except FlowcoreError as error:
        found = [f"{type(error).__name__}: {error}"]
    return Verdict(scenario, tuple(found), time.perf_counter() - began, outcome)


def _run(scenario: Scenario, before: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    test = scenario.test
    plan = scenario.plan
    end = ""
    caught: dict[str, list[Received]] = {name: [] for name in test.catch}
    for name, kept in caught.items():
        plan = plan.with_class(name, collecting_sink(kept))
    for fault in test.faults:
        plan = _with_fault(plan, fault)
    if test.input is not None:
        plan, end = with_stand_in(plan, test.input, test.calls, test.faults, scenario.folder)
    with tempfile.TemporaryDirectory(prefix="flowcore-test-") as folder, contextlib.chdir(folder):
        outcome = _outcome(plan, caught, Path(folder))
        if before is None and test.expect is None:
            found = ["the test expects nothing: write  expect: …, or record its outcome with --update"]
        else:
            found = _differences(scenario, outcome, end, recorded=before is not None)
            found += [] if before is None else changes(_plain(outcome.json()), before)
    return _plain(outcome.json()), found


def _differences(scenario: Scenario, outcome: Outcome, end: str, *, recorded: bool) -> list[str]:
    """The differences from what the file expects. With a recorded outcome, that decides what the file leaves out."""
    test = scenario.test
    expect = test.expect or Expectation()
    reasons = [flow["reason"] for flow in outcome.flows]
    if recorded and expect.ended is None:
        expect = expect.model_copy(update={"ended": reasons})
    if not end:
        end = next((reason for reason in reasons if reason in NORMAL_ENDS), NORMAL_ENDS[0])
    calls = test.calls if test.input is not None and not test.input.script and not recorded else 0
    lines = differences(outcome, expect, calls, end, scenario.folder)
    return [line for line in lines if not (recorded and ", unexpected:" in line)]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _outcome(plan: Plan, caught: Mapping[str, list[Received]], folder: Path) -> Outcome:
    clock = VirtualClock()
    began = clock.now()
    times: list[float] = []
    bus = Bus()

    def note_time(event: Event) -> None:
        times.append(clock.now() - began)

    bus.subscribe(note_time)

    def prepare(engine: Engine) -> None:
        deadline = time.monotonic() + MODEL_TIMEOUT
        clock.hold(lambda: time.monotonic() < deadline and _awaits_results(engine))

    result = run_plan(plan, clock=clock, bus=bus, pool=VirtualPool(), recover=False, prepare=prepare)
    return Outcome.of(result, times, caught, folder)


def _awaits_results(engine: Engine) -> bool:
    """Whether a flow that has ended waits for a real thread, such as a speech model's: virtual time must wait too."""
    flows = [flow for flow in engine.flows.values() if flow.ended]
    if any(chain.has_work() for flow in flows for chain in flow.chains):
        return False  # results are there: the next slot takes them
    return any(run.busy() for flow in flows for run in flow.runs.values())


def _with_fault(plan: Plan, fault: Fault) -> Plan:
    if fault.slow is not None:
        return inject(plan, fault.slow.node, Slow(fault.slow.factor, float(fault.slow.each)))
    if fault.fail is not None:
        return inject(plan, fault.fail.node, Fail(fault.fail.at))
    if fault.stuck is not None:
        return inject(plan, fault.stuck.node, Stuck(fault.stuck.at, float(fault.stuck.length)))
    return plan
