"""Losses and waits name a call by its trace, in OpenMetrics only, and only where calls are traced."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flowcore import Config, Resource
from flowcore.engine.engine import Engine
from flowcore.metrics import Histogram, Metric, bucket_of
from flowcore.telemetry.declared import ENGINE_METRICS, LOST, LOST_CHUNKS, QUEUE_WAIT
from flowcore.telemetry.exemplars import Exemplars
from flowcore.telemetry.exposition import OPENMETRICS, render
from flowcore.telemetry.samples import Exemplar, Samples
from flowcore.telemetry.trace_ids import trace_text
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step
from tests.telemetry.test_engine_metrics import Spill, read_beside

WAIT = Metric("acme_wait_seconds", "histogram", "Wait for the directory.")
CALL = step("call", Tones, sessions=2, pace=True)
PLAN = plan(CALL, step("spill", Spill, "call"), step("wav", KeepInThread, "spill"))


def run(trace_of, graph=PLAN):
    """The samples while calls run, and after their end, with exemplars."""
    found = []

    def prepare(engine: Engine) -> None:
        engine.trace_of = trace_of
        exemplars = Exemplars(engine)

        def look() -> None:
            if engine.slots.count == 20:
                found.append(samples(engine, exemplars))

        engine.slots.at_end(look)
        found.append(exemplars)

    result = run_plan(graph, prepare=prepare, strict=False)
    return found[1], samples(result.engine, found[0]), [flow.id for flow in result.flows]


def samples(engine: Engine, exemplars: Exemplars) -> Samples:
    taken = read_beside(engine)
    exemplars.add_to(taken)
    return taken


def test_a_loss_names_the_trace_of_a_call_and_what_it_lost_while_it_runs_and_afterwards():
    live, ended, flows = run(trace_text)
    for seen in (live, ended):
        lost = seen.exemplars[(LOST.name, "spill", "spilt"), 0]
        assert lost.trace_id in {trace_text(flow) for flow in flows}
        assert lost.value == pytest.approx(0.02)
        assert seen.exemplars[(LOST_CHUNKS.name, "spill", "spilt"), 0].value == 1


def test_a_wait_is_named_in_its_bucket():
    _, ended, _ = run(trace_text)
    waits = {at: found for at, found in ended.exemplars.items() if at[0] == (QUEUE_WAIT.name, "wav")}
    assert waits
    for (_, bucket), found in waits.items():
        assert bucket == bucket_of(found.value)
        assert ended[QUEUE_WAIT.name, "wav"][bucket] >= 1


def test_a_call_that_is_not_traced_is_named_nowhere():
    for seen in run(lambda flow: "")[:2]:
        assert not seen.exemplars


class Waits(Resource):
    """Has made a call wait for three seconds."""

    def open(self) -> None: ...

    def measure(self) -> dict[Metric, float | Histogram]:
        waits = Histogram()
        waits.observe(3.0, "20261224T181500-1f0c9a2e")
        waits.observe(0.1)
        return {WAIT: waits}


class Waiting(Keep):
    """A sink with such a resource."""

    name = "waiting"
    metrics = (WAIT,)

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Waits()


def test_a_resource_that_knows_the_flow_of_a_wait_names_it():
    _, ended, _ = run(trace_text, plan(CALL, step("words", Waiting, "call")))
    named = {at: found for at, found in ended.exemplars.items() if at[0] == (WAIT.name, "words")}
    assert named == {
        ((WAIT.name, "words"), bucket_of(3.0)): Exemplar(trace_text("20261224T181500-1f0c9a2e"), 3.0, bucket_of(3.0))
    }


def test_only_openmetrics_has_them():
    _, ended, flows = run(trace_text)
    text, _ = render(ended, ENGINE_METRICS, OPENMETRICS)
    named = {
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.exemplar
    }
    assert named
    assert named <= {trace_text(flow) for flow in flows}
    assert b"trace_id" not in render(ended, ENGINE_METRICS)[0]
