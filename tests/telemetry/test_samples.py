"""Values of several processes add up, and never go down."""

import json

from flowcore.metrics import Histogram, Metric
from flowcore.telemetry.samples import Exemplar, Samples

CALLS = Metric("flowcore_calls_total", "counter", "Calls.", ("reason",))
WAIT = Metric("flowcore_wait_seconds", "histogram", "Wait.", ())


def samples(calls: float, *waits: float) -> Samples:
    histogram = Histogram()
    for wait in waits:
        histogram.observe(wait)
    found = Samples()
    found.count(CALLS, calls, "stop")
    found.count(WAIT, histogram)
    return found


def test_values_of_the_same_labels_add_up():
    both = samples(1, 0.5)
    both.count(CALLS, 2, "stop")
    both.add(samples(4, 0.5, 0.7))
    assert both == samples(7, 0.5, 0.5, 0.7)


def test_adding_leaves_the_other_as_it_was():
    total, one = Samples(), samples(1, 0.5)
    total.add(one)
    total.add(one)
    assert one == samples(1, 0.5)


def test_a_lower_value_is_raised_and_a_higher_one_stays():
    now = samples(3, 0.5)
    now.raise_to(samples(5), {CALLS.name, WAIT.name})
    assert now == samples(5, 0.5)


def test_what_is_no_counter_may_go_down():
    now = samples(3, 0.5)
    now.raise_to(samples(5), {WAIT.name})
    assert now == samples(3, 0.5)


def test_only_some_metrics_can_be_kept():
    assert set(samples(1).only([CALLS.name])) == {(CALLS.name, "stop")}


def test_they_come_through_a_channel_of_json_as_they_were():
    one = samples(1, 0.5)
    one.explain(WAIT, Exemplar("4bf9", 0.5, 8))
    read = Samples.from_message(json.loads(json.dumps(one.to_message())))
    assert (read, read.exemplars) == (one, one.exemplars)


def test_a_sum_has_one_exemplar_for_each_bucket():
    one, two = samples(1, 0.5), samples(1, 0.5, 0.7)
    one.explain(WAIT, Exemplar("a", 0.5, 8))
    two.explain(WAIT, Exemplar("b", 0.5, 8))
    two.explain(WAIT, Exemplar("b", 0.7, 9))
    one.add(two)
    assert [found.trace_id for found in one.exemplars.values()] == ["b", "b"]
