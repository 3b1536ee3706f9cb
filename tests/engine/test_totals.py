import json

from flowcore.engine.bus import Bus, Event
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.testing import run_plan
from tests.engine.nodes import KeepInThread, Tones, plan, step


def totals() -> Totals:
    KeepInThread.kept.clear()
    graph = plan(step("tones", Tones, length="2s"), step("a", KeepInThread, "tones", fail_at=3))
    return run_plan(graph).engine.totals


def test_totals_come_through_json_as_they_were():
    before = totals()
    after = Totals.from_message(json.loads(json.dumps(before.to_message())))
    assert after.json() == before.json()
    assert after.to_message() == before.to_message()
    assert after.lost.seconds == before.lost.seconds
    assert (after.flows, after.failed, after.reasons) == (1, 1, {"done": 1})
    assert after.nodes["a"].dropped["node_failed"].chunks == 97


def test_totals_of_two_workers_are_summed_up():
    both = Totals()
    both.add(totals())
    both.add(totals())
    assert (both.flows, both.failed, both.reasons) == (2, 2, {"done": 2})
    assert both.nodes["tones"].left.chunks == 200
    assert both.nodes["a"].dropped["node_failed"].chunks == 194


def test_what_was_dropped_for_no_call_is_told_once_at_the_end():
    totals, bus = Totals(), Bus()
    told: list[Event] = []
    bus.subscribe(told.append)
    report = ProcessReport(totals, bus, "call")
    for _ in range(3):
        report.dropped("media_before_start", 0.02)
    report.conclude()
    bus.deliver()
    assert [(event.name, event.level, dict(event.data)) for event in told] == [
        ("audio_dropped", "warning", {"reason": "media_before_start", "chunks": 3, "ms": 60.0})
    ]
    assert (totals.nodes["call"].dropped["media_before_start"].chunks, totals.lost) == (3, {})  # there was no call


def test_a_run_fails_by_a_failed_call_and_by_a_loss():
    lossy = Totals()
    lossy.lost.count("wav", "disk_full", 1, 0.02)
    assert [run.exit_code for run in (Totals(), Totals(failed=1), lossy)] == [0, 1, 1]
