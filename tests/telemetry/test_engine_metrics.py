"""The metrics of an engine agree with its own counters, while calls run and after their end."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from flowcore import Audio, Config, Emit, Reason, Resource, Transform
from flowcore.engine.engine import Engine
from flowcore.metrics import Histogram, Metric
from flowcore.telemetry import declared as metrics
from flowcore.telemetry.declared import ENGINE_METRICS
from flowcore.telemetry.engine_metrics import UNDECLARED, read
from flowcore.telemetry.samples import Samples
from flowcore.testing import GraphResult, run_plan
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step

LEVEL = Metric("acme_level", "gauge", "Level of the meter.")
CALLERS = Metric("acme_callers", "gauge", "Callers of the listener.")


class Meter(Resource):
    def open(self) -> None: ...

    def measure(self) -> dict[Metric, float | Histogram]:
        return {LEVEL: 3.0}


class Broken(Meter):
    def measure(self) -> dict[Metric, float | Histogram]:
        raise ValueError("a mistake in its code")


class Metered(Keep):
    """A sink with a meter."""

    metrics = (LEVEL,)

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Meter()


class BrokenMeter(Keep):
    """A sink whose meter raises."""

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Broken()


class Spill(Transform[Audio, Audio]):
    """Loses the first chunk, and tells of it with a word of the peer."""

    reasons = (Reason("spilt", "Lost."),)

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if chunk.start:
            emit(chunk)
        else:
            self.report.dropped("spilt:a word of the peer", chunk.seconds)
            self.report.event("word_of_the_peer")


for cls in (Metered, BrokenMeter, Spill):
    cls.name = cls.__name__.lower()


def read_in_slots(*steps: Any, every: int = 5, **options: Any) -> tuple[list[Samples], GraphResult]:
    """The samples that another thread reads in the slots of a run and after its end, and the run."""
    found: list[Samples] = []

    def prepare(engine: Engine) -> None:
        engine.slots.at_end(lambda: None if engine.slots.count % every else found.append(read_beside(engine)))

    result = run_plan(plan(*steps), prepare=prepare, strict=False, **options)  # `Spill` declares no event
    return [*found, read_beside(result.engine)], result


def read_beside(engine: Engine) -> Samples:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(read, engine).result()


def value(samples: Samples, metric: Metric, *labels: str) -> float:
    return samples[metric.name, *labels][0]


CALL = step("call", Tones, sessions=2, pace=True)
SPILL = step("spill", Spill, "call")
WAV = step("wav", KeepInThread, "spill")


def test_all_values_are_of_declared_metrics_with_their_labels():
    labels = {metric.name: len(metric.labels) for metric in ENGINE_METRICS}
    for samples in read_in_slots(CALL, SPILL, WAV)[0]:
        assert {key[0]: len(key) - 1 for key in samples}.items() <= labels.items()


def test_after_the_end_they_are_the_totals_of_the_engine():
    samples, result = read_in_slots(CALL, SPILL, WAV)
    totals, last = result.engine.totals, samples[-1]
    assert value(last, metrics.STARTED) == totals.flows == 2
    assert value(last, metrics.ENDED, "done") == totals.reasons["done"] == 2
    assert value(last, metrics.LOST, "spill", "spilt") == pytest.approx(totals.lost.seconds) == pytest.approx(0.04)
    assert value(last, metrics.LOST_CHUNKS, "spill", "spilt") == 2
    assert value(last, metrics.DROPPED, "spill", "spilt") == pytest.approx(0.04)
    assert value(last, metrics.OUT, "spill") == pytest.approx(totals.nodes["spill"].left.seconds) == pytest.approx(1.96)
    assert sum(last[metrics.QUEUE_WAIT.name, "wav"][:-1]) == totals.nodes["wav"].waits.count > 0
    assert value(last, metrics.EVENTS, "flow_opened", "info") == 2


def test_while_calls_run_they_have_what_these_lost_and_gave_so_far():
    samples, _ = read_in_slots(CALL, SPILL, WAV)
    assert value(samples[2], metrics.CALLS, "running") == 2
    assert value(samples[2], metrics.STARTED) == 2
    assert value(samples[2], metrics.LOST, "spill", "spilt") == pytest.approx(0.04)
    given = [value(each, metrics.OUT, "spill") for each in samples]
    assert 0 < given[2] < given[3] < given[-1]
    assert value(samples[-1], metrics.CALLS, "running") == 0


def test_no_counter_goes_down_when_calls_end():
    samples, _ = read_in_slots(CALL, SPILL, WAV, every=1)
    gauges = {metric.name for metric in ENGINE_METRICS if metric.kind == "gauge"}
    for before, after in pairwise(samples):
        for key in before.keys() - {key for key in before if key[0] in gauges}:
            assert all(b <= a + 1e-9 for b, a in zip(before[key], after[key], strict=True)), key


def test_what_can_be_lost_or_refused_is_0_from_the_start():
    first = read_beside(Engine(plan(CALL, SPILL, WAV)))
    assert value(first, metrics.LOST, "spill", "spilt") == value(first, metrics.LOST, "wav", "queue_full") == 0
    assert value(first, metrics.REFUSED, "busy") == 0
    assert value(first, metrics.EVENTS, "loop_blocked", "error") == 0


def test_a_peer_chooses_no_label():
    samples, _ = read_in_slots(CALL, SPILL, WAV)
    assert not [key for key in samples[-1] if "word" in "".join(key)]
    assert value(samples[-1], metrics.EVENTS, UNDECLARED, "info") == 2


def test_a_resource_measures_for_the_first_node_that_has_it():
    samples, _ = read_in_slots(CALL, step("m", Metered, "call"))
    assert value(samples[-1], LEVEL, "m") == 3


def test_a_listener_with_a_resource_measures_and_so_does_the_resource():
    class Counting(Tones):
        """A listener with a meter of its own."""

        name = "counting"
        metrics = (CALLERS, LEVEL)

        @classmethod
        def make_resource(cls, config: Any) -> Resource:
            return Meter()

        def measure(self) -> dict[Metric, float | Histogram]:
            return {CALLERS: 7.0}

    samples, _ = read_in_slots(step("call", Counting, pace=True), step("wav", Keep, "call"))
    assert (value(samples[0], CALLERS, "call"), value(samples[0], LEVEL, "call")) == (7, 3)


def test_a_resource_that_raises_is_named_and_hides_no_other_metric():
    samples, result = read_in_slots(CALL, step("b", BrokenMeter, "call"), step("m", Metered, "call"))
    assert value(samples[0], LEVEL, "m") == 3
    assert result.named("resource_failed")[0].node == "b"


def test_a_full_engine_is_not_ready():
    samples, _ = read_in_slots(CALL, SPILL, WAV, max_calls=2)
    assert value(samples[2], metrics.READY) == 0
    assert value(samples[-1], metrics.READY) == 0  # it drains
