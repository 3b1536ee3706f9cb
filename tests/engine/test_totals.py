import json

from flowcore.engine.totals import Totals
from flowcore.testing import run_plan
from tests.engine.nodes import KeepInThread, Tones, plan, step


def totals() -> Totals:
    KeepInThread.kept.clear()
    graph = plan(step("tones", Tones, length="2s"), step("a", KeepInThread, "tones", fail_at=3))
    return run_plan(graph).engine.totals


def test_totals_come_through_json_as_they_were():
    before = totals()
    after = Totals.read(json.loads(json.dumps(before.json())))
    assert after.json() == before.json()
    assert (after.flows, after.failed, after.reasons) == (1, 1, {"done": 1})
    assert after.nodes["a"].dropped["node_failed"].chunks == 97


def test_totals_of_two_workers_are_summed_up():
    both = Totals()
    both.add(totals())
    both.add(totals())
    assert (both.flows, both.failed, both.reasons) == (2, 2, {"done": 2})
    assert both.nodes["tones"].left.chunks == 200
    assert both.nodes["a"].dropped["node_failed"].chunks == 194
