"""The record of a call's work on a virtual clock: losses, gaps, waits and real lengths of work."""

from __future__ import annotations

import pytest

from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.scenario.replay_record import record_work
from flowcore.telemetry.perfetto_file import PerfettoFile
from flowcore.telemetry.work_record import SlotClock
from flowcore.testing import run_plan
from tests.cli.test_replay import noise
from tests.support.perfetto import read
from tests.support.recorded_calls import websocket_call

GRAPH = """
flowcore: 1
nodes:
  call: {{use: ringcx_recording, with: {{path: "{recording}"}}}}
  bad: {{use: netsim, from: call, with: {{loss: 0.1, seed: 7}}}}
  ordered: {{use: reorder, from: bad, with: {{window: 120ms, chunk: 100ms}}}}
  voices: {{use: decode_mulaw, from: ordered}}
  wav: {{use: wav_file, from: voices, with: {{path: "{folder}/{{flow}}.wav"}}}}
"""


def test_losses_gaps_and_waits_of_a_call_are_in_its_record(tmp_path):
    recording = websocket_call(tmp_path / "call", {"call_id": "c"}, noise(1, 4.0))
    plan = compile_graph(load_text(GRAPH.format(recording=recording, folder=tmp_path)))
    with PerfettoFile(tmp_path / "work.json") as file:
        result = run_plan(plan, prepare=lambda engine: record_work(engine, file, virtual=True))
    events = read(tmp_path / "work.json")
    lost = result.flows[0].stats["ordered"].filled["lost"]
    marks = [event["args"] for event in events if event["name"] == "filled: lost"]
    assert sum(mark["ms"] for mark in marks) == pytest.approx(lost.seconds * 1000, abs=200)
    gaps = [event for event in events if event.get("cat") == "gap"]
    assert len(gaps) >= 2
    assert {event["args"]["node"] for event in gaps if event["ph"] == "b"} == {"ordered"}
    assert {event["name"] for event in events if event.get("cat") == "wait"} == {"queue before wav"}


def test_a_virtual_clock_shows_the_real_time_of_work_and_never_goes_back(monkeypatch):
    real, virtual = [100.0], [5.0]
    monkeypatch.setattr("flowcore.telemetry.work_record.perf_counter", lambda: real[0])
    now = SlotClock(lambda: virtual[0])
    assert now() == 5.0
    real[0] += 0.030
    assert now() == pytest.approx(5.030)
    virtual[0] += 0.020
    assert now() == pytest.approx(5.030)  # the slot's work took longer than the slot
    real[0] += 0.001
    assert now() == pytest.approx(5.031)
    virtual[0] = 6.0
    assert now() == 6.0
