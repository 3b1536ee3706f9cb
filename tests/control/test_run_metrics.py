"""The metrics of several processes: added up, and never less than before, whatever process dies or is silent."""

import asyncio

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowcore.control.handler import engine_handler
from flowcore.control.run_metrics import RunMetrics
from flowcore.engine.engine import Engine
from flowcore.engine.totals import Totals
from flowcore.telemetry.declared import CALLS, DRAINS, ENDED, FAILED, LIMIT, LOST, REFUSED, STARTED, WORKERS
from flowcore.telemetry.engine_metrics import totals_samples
from flowcore.telemetry.exposition import text_of
from flowcore.telemetry.samples import Samples
from tests.engine.nodes import Keep, Tones, plan, step

PLAN = plan(step("call", Tones), step("wav", Keep, "call"))


class Worker:
    """A process that answers with what the test sets."""

    def __init__(self, **totals):
        self.totals = Totals(**totals)
        self.live = 0

    async def __call__(self, request):
        assert request == {"ask": "metrics"}
        samples = totals_samples(self.totals)
        samples.count(CALLS, self.live, "running")
        return samples.to_message()


async def silent(request):
    await asyncio.Event().wait()


def run_metrics(handlers, **options):
    return RunMetrics(PLAN, handlers, 2000, lambda: False, **options)


def read(metrics):
    return asyncio.run(metrics.read())


def value(samples, metric, *labels):
    return samples[metric.name, *labels][0]


def test_the_values_of_all_processes_add_up():
    one, two = Worker(flows=3, reasons={"stop": 2}), Worker(flows=4, reasons={"stop": 1, "peer_lost": 3})
    one.live = 1
    samples = read(run_metrics({1: one, 2: two}))
    assert value(samples, STARTED) == 7
    assert (value(samples, ENDED, "stop"), value(samples, ENDED, "peer_lost")) == (3, 3)
    assert value(samples, CALLS, "running") == 1
    assert (value(samples, LIMIT), value(samples, DRAINS)) == (2000, 0)
    assert (value(samples, WORKERS, "answered"), value(samples, WORKERS, "silent")) == (2, 0)


def test_the_process_that_started_them_has_its_own():
    own = Samples()
    own.count(STARTED, 1)
    assert value(read(run_metrics({1: Worker(flows=2)}, own=lambda: own)), STARTED) == 3


def test_a_silent_process_counts_with_its_last_answer_and_has_no_live_calls(monkeypatch):
    monkeypatch.setattr("flowcore.control.handler.ANSWER_TIMEOUT", 0.01)
    worker = Worker(flows=3)
    worker.live = 3
    handlers = {1: worker}
    metrics = run_metrics(handlers)
    read(metrics)
    handlers[1] = silent
    samples = read(metrics)
    assert value(samples, STARTED) == 3
    assert (CALLS.name, "running") not in samples
    assert value(samples, WORKERS, "silent") == 1


def test_a_dead_process_counts_with_what_it_had_told_last():
    first = Worker(flows=3, refusals={"busy": 5})
    handlers = {1: first}
    metrics = run_metrics(handlers)
    read(metrics)
    del handlers[1]
    metrics.worker_ended(1, Totals(flows=4, failed=2, reasons={"stop": 2, "worker_died": 2}))  # refusals are older
    handlers[1] = Worker(flows=1)
    samples = read(metrics)
    assert value(samples, STARTED) == 5
    assert (value(samples, ENDED, "worker_died"), value(samples, FAILED)) == (2, 2)
    assert value(samples, REFUSED, "busy") == 5


def test_an_answer_of_a_process_that_has_ended_meanwhile_is_not_counted_twice():
    handlers = {}
    metrics = run_metrics(handlers)

    async def dying(request):
        del handlers[1]
        metrics.worker_ended(1, Totals(flows=3))
        return await Worker(flows=3)({"ask": "metrics"})

    handlers[1] = dying
    assert value(read(metrics), STARTED) == 3
    assert value(read(metrics), STARTED) == 3


def test_a_call_that_is_missing_for_a_moment_lowers_no_counter():
    worker = Worker()
    worker.totals.lost.count("wav", "disk_full", 1, 0.5)
    metrics = run_metrics({1: worker})
    read(metrics)
    worker.totals = Totals()
    assert value(read(metrics), LOST, "wav", "disk_full") == 0.5


def test_the_answer_is_text_for_prometheus_once_it_is_read():
    engine = Engine(PLAN)

    async def answered():
        return await run_metrics({1: engine_handler(engine)}).answer.get()

    text, _ = text_of(msgspec.json.decode(asyncio.run(answered())))
    families = {family.name: family.type for family in text_string_to_metric_families(text.decode())}
    assert families["flowcore_calls_started"] == "counter"
    assert families["flowcore_queue_wait_seconds"] == "histogram"


@pytest.mark.fault(91)
def test_a_scraper_each_10_ms_lets_the_processes_read_once_in_5_s():
    asked = []
    clock = [0.0]

    class Counting(Worker):
        async def __call__(self, request):
            asked.append(clock[0])
            return await super().__call__(request)

    async def scrape():
        metrics = run_metrics({1: Counting(flows=1)}, now=lambda: clock[0])
        for number in range(1200):
            clock[0] = number / 100
            await metrics.answer.get()

    asyncio.run(scrape())
    assert asked == [0.0, 5.0, 10.0]
