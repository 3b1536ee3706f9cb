"""Rows 27 to 32: a node that raises, hangs, dawdles or blocks costs its branch or its flow, and never another one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import psutil
import pytest

from flowcore import ANY_AUDIO, Audio, Emit, Format, Host, Listener, Resource, Sink, Transform, node
from flowcore.engine.bus import Bus
from flowcore.engine.clock import VirtualClock
from flowcore.engine.pool import ThreadPool
from flowcore.errors import AccountingError
from flowcore.testing import Fail, Slow, Stuck, VirtualPool, inject, run_plan
from tests.engine.nodes import plan, step
from tests.faults.calls import nth, recording, with_branch
from tests.support.examples import OUTSIDE, WORKING, chunks, given, placed
from tests.support.live import Live, until
from tests.support.phone import said, stereo
from tools.load import Load, call_id

pytestmark = pytest.mark.slow

MIB = 1 << 20


@node("listening")
class Listening(Sink[Audio]):
    """Writes down how old each chunk is when it comes."""

    caps = (ANY_AUDIO,)
    runs = "thread"
    loss = "allowed"
    clock = VirtualClock()
    ages: list[float] = []
    resident: list[int] = []

    def process(self, chunk: Audio) -> None:
        self.ages.append(self.clock.now() - 1000.0 - chunk.end / chunk.rate)
        if len(self.ages) % 500 == 0:
            self.resident.append(psutil.Process().memory_info().rss)


def everyone_recorded(folder, calls, seconds, but=()):
    for call in set(range(calls)) - set(but):
        heard, expected = stereo(folder / f"{call_id(call)}.wav"), said(call, seconds)
        assert heard.shape == expected.shape, call
        assert not np.flatnonzero((heard != expected).any(axis=1)).size, call


def flows(result):
    return {flow.id.rpartition("-")[2]: flow for flow in result.flows}


@pytest.mark.fault(27)
def test_wall_time_that_jumps_back_ends_nothing_and_measures_nothing(tmp_path):
    class Jumping(VirtualClock):
        def wall(self):
            return super().wall() - timedelta(hours=1 if self.now() > 1001 else 0)

    result = run_plan(recording(tmp_path, length="3s"), clock=Jumping())
    assert [flow.reason for flow in result.flows] == ["stop"]
    assert result.named("flow_closed")[0].data["seconds"] == pytest.approx(3.0, abs=0.1)
    everyone_recorded(tmp_path, 1, 3.0)


@pytest.mark.fault(28)
@pytest.mark.slow
def test_recognition_at_half_speed_for_10_minutes_stays_within_its_bound(tmp_path):
    clock = Listening.clock = VirtualClock()
    Listening.ages.clear()
    graph = with_branch(recording(tmp_path, length="10min"), "stt", Listening, "voices")
    Listening.resident.clear()
    # What is queued at the end takes as long as it is: more than that must pass before the flow is given up.
    result = run_plan(inject(graph, "stt", Slow(factor=1.0)), pool=VirtualPool(), clock=clock, drain=30)
    assert len(Listening.resident) == 6  # 3,000 of the 6,000 chunks
    assert max(Listening.resident) - Listening.resident[1] < 5 * MIB
    bound = graph.nodes["stt"].border.seconds
    assert max(Listening.ages) < bound + 0.5
    stats = result.flows[0].stats["stt"]
    assert stats.arrived.chunks == 2 * 3000
    assert stats.dropped["queue_full"].chunks == stats.arrived.chunks - len(Listening.ages)
    assert stats.dropped["queue_full"].seconds == pytest.approx(600, abs=2 * bound)
    everyone_recorded(tmp_path, 1, 600.0)


@pytest.mark.fault(29)
@pytest.mark.slow
def test_a_stuck_branch_costs_the_recorder_no_sample(tmp_path):
    clock = Listening.clock = VirtualClock()
    Listening.ages.clear()
    graph = with_branch(recording(tmp_path, length="90s"), "stt", Listening, "voices")
    result = run_plan(inject(graph, "stt", Stuck(at=10, seconds=60.0)), pool=VirtualPool(), clock=clock)
    everyone_recorded(tmp_path, 1, 90.0)
    stats = result.flows[0].stats["stt"]
    assert set(stats.dropped) == {"queue_full"}
    assert stats.arrived.chunks == len(Listening.ages) + stats.dropped["queue_full"].chunks
    assert result.flows[0].stats["wav"].dropped == {}
    assert Listening.ages[-1] < 0.2  # it has caught up


@node("thief")
class Thief(Transform[Audio, Audio]):
    """Declare balanced counters, and keep every tenth chunk."""

    balanced = True
    count = 0

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.count += 1
        if self.count % 10:
            emit(chunk)


@pytest.mark.fault(30)
def test_a_loss_that_is_not_counted_is_an_error():
    from tests.engine.nodes import Keep, Tones

    with pytest.raises(AccountingError, match=r"node thief, channel-seconds: in 1\.0.* is not out and dropped 0\.9"):
        run_plan(plan(step("call", Tones), step("thief", Thief, "call"), step("end", Keep, "thief")))


@node("source")
class Source(Listener[Any]):
    """Ten sessions of a second of what the node under test takes."""

    form: Format
    given: list[Any]

    @classmethod
    def gives(cls, config: Any) -> Format:
        return cls.form

    async def run(self, host: Host) -> None:
        inlets = [host.accept({"call_id": str(number)}) for number in range(10)]
        for chunk in self.given:
            for inlet in inlets:
                inlet.push(chunk)
            await host.slot()
        for inlet in inlets:
            inlet.end("done")


@pytest.mark.fault(31)
@pytest.mark.parametrize("at", [0, 1, 9, "open", "flush", "close"])
@pytest.mark.parametrize("name", sorted(WORKING.keys() - OUTSIDE))
def test_an_error_of_a_node_leaves_nine_other_flows_untouched(name, at, tmp_path):
    cls = WORKING[name]
    form = given(cls.caps[0])
    source = type("Source", (Source,), {"form": form, "given": chunks(form)})
    steps = [step("source", source), step("bad", cls, "source", **placed(cls, f"{tmp_path}/bad-{{flow}}"))]
    last, how = ("transcript_file", {"format": "txt", "metadata": False}) if form.kind == "text" else ("wav_file", {})
    steps += [step("ordered", WORKING["reorder"], "source")] if form.kind == "packets" else []
    steps += [step("voices", WORKING["decode_mulaw"], "ordered")] if form.kind == "packets" else []
    before = steps[-1].name if len(steps) > 2 else "source"
    steps += [step("kept", WORKING[last], before, path=f"{tmp_path}/{{flow}}.{'txt' if how else 'wav'}", **how)]
    graph = _compiled(*steps)
    result = run_plan(inject(graph, "bad", Fail(at), nth(3)))
    hit = flows(result).pop("flow3")
    reached = at not in (1, 9) or hit.stats["bad"].arrived.chunks > at
    assert [failure.node for failure in hit.failures] == ["bad"] * reached
    assert all(not flow.failures and flow.reason == "done" for flow in flows(result).values() if flow is not hit)
    assert len({flow.reason for flow in result.flows} - {"done", "node_failed"}) == 0
    files = [path for path in tmp_path.iterdir() if not path.name.startswith("bad")]
    kept = {path.stem: path.read_bytes() for path in files if path.suffix != ".json"}
    assert len(kept) == 10, sorted(kept)
    assert not any(path.name.endswith(".part") for path in files)
    whole = {name: data for name, data in kept.items() if not name.endswith("flow3")}
    assert len(set(whole.values())) == 1
    assert max(map(len, whole.values())) > 100
    assert all(data.startswith(kept[next(iter(whole))][:4]) for data in kept.values() if data)


def _compiled(*steps):
    from flowcore.graph.model import Graph
    from flowcore.graph.negotiate import compile_graph

    return compile_graph(Graph("test.yaml", "", {one.name: one for one in steps}))


class Freeing(Bus):
    """Release a stuck node when the event about this node and flow has arrived."""

    def __init__(self, stuck: Stuck, event: str, node: str, victim: Callable[[str], bool]) -> None:
        super().__init__()
        self.node = node
        self.stuck = stuck
        self.event = event
        self.victim = victim

    def emit(self, name: str, flow: str = "", node: str = "", **data: Any) -> None:
        super().emit(name, flow, node, **data)
        if name == self.event and node == self.node and self.victim(flow):
            self.stuck.release()


def numbered():
    numbers = itertools.count(1)
    return lambda: f"flow{next(numbers)}"


@pytest.mark.fault(32)
def test_a_node_that_blocks_the_loop_is_named_and_no_call_loses_a_chunk(tmp_path):
    stuck = Stuck(at=2)
    with Live(
        "record",
        [f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse"],
        calls=10,
        change=lambda plan: inject(plan, "voices", stuck, nth(4)),
        bus=Freeing(stuck, "loop_blocked", "voices", nth(4)),
        new_id=numbered(),
    ) as live:
        load = Load(live.url, 10, 2.0).run()
    # (On a machine that gives this process no time for 200 ms, a node that is just at work may be named as well.)
    reports = [event for event in live.named("loop_blocked") if event.node == "voices" and nth(4)(event.flow)]
    assert any("in _meet" in report.data["stack"] or "in wait" in report.data["stack"] for report in reports)
    everyone_recorded(tmp_path, 10, 2.0)
    assert live.dropped() == {}
    assert (
        not live.named("hold_ended") or not load.in_time
    )  # which a machine may make that keeps the callers from calling


@pytest.mark.fault(53)
@pytest.mark.slow
def test_a_dead_disk_in_one_call_costs_no_other_and_the_log_names_it(tmp_path):
    """Also with really stuck threads: the other calls' writers run in others."""
    stuck = Stuck(at=3)
    with Live(
        "record",
        [f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse"],
        calls=10,
        change=lambda plan: inject(plan, "wav", stuck, nth(4)),
        new_id=numbered(),
        drain=3.0,  # the others must be through by then, on a machine that stalls too
    ) as live:
        Load(live.url, 10, 2.0).run()
        until(lambda: live.named("node_hung"))
        stuck.release()
    (hangs,) = live.named("node_hung")
    assert (hangs.node, hangs.flow[-6:]) == ("wav", "-flow4")
    dead = next(flow for flow in live.named("flow_closed") if flow.flow == hangs.flow)
    assert dead.data["reason"] == "drain_deadline"
    whole = [path.name for path in tmp_path.iterdir() if path.name.endswith(".wav")]
    assert len(whole) >= 9
    for name in whole:
        call = int(name[5:11])
        if len(stereo(tmp_path / name)) == 16000:
            assert np.array_equal(stereo(tmp_path / name), said(call, 2.0))
    assert sum(len(stereo(tmp_path / name)) == 16000 for name in whole) == 9


@pytest.mark.fault(53)
def test_more_dead_disks_than_threads_cost_no_other_branch(tmp_path):
    """A disk that is stuck in many calls does not stop other branches."""
    Listening.ages.clear()
    stuck, calls = Stuck(at=0), 20
    with Live(
        "record",
        [f"wav.path={tmp_path}/{{call_id}}.wav"],
        calls=calls,
        change=lambda plan: inject(with_branch(plan, "stt", Listening, "voices"), "wav", stuck),
        pool=ThreadPool(max_threads=8),
        drain=3.0,  # the others must be through by then, on a machine that stalls too
    ) as live:
        Load(live.url, calls, 1.0).run()
        until(lambda: len(live.named("flow_closed")) == calls or live.engine.totals.reasons)
        stuck.release()
    assert len(Listening.ages) == calls * 2 * 5
    assert {event.node for event in live.named("node_hung")} == {"wav"}


@pytest.mark.fault(53)
def test_a_subscriber_that_raises_costs_the_audio_nothing(tmp_path):
    class Broken(Bus):
        def __init__(self) -> None:
            super().__init__()
            self.subscribe(self.fail)

        def fail(self, event: Any) -> None:
            raise OSError(28, "No space left on device")

    bus = Broken()
    result = run_plan(recording(tmp_path, calls=3, length="1s"), bus=bus)
    assert len(result.flows) == 3
    everyone_recorded(tmp_path, 3, 1.0)
    assert bus.failed > 0


@pytest.mark.fault(31)
def test_a_node_that_cannot_be_made_fails_its_flow_only(tmp_path):
    graph = recording(tmp_path, calls=5, length="1s")
    made = itertools.count()

    class Odd(graph.nodes["voices"].cls):
        def __init__(self, config):
            if next(made) == 2:
                raise MemoryError("no room for this one")
            super().__init__(config)

    graph = replace(graph, nodes={**graph.nodes, "voices": replace(graph.nodes["voices"], cls=Odd)})
    result = run_plan(graph)
    assert sorted(flow.reason for flow in result.flows) == ["node_failed"] + ["stop"] * 4
    everyone_recorded(tmp_path, 5, 1.0, but={2})
    (failed,) = result.named("node_failed")
    assert (failed.node, failed.flow[-6:]) == ("voices", "-flow3")


class Hanging(Resource):
    """Opens at once, and never closes."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def open(self) -> None: ...

    def close(self) -> None:
        self.free.wait(60)


@pytest.mark.fault(53)
def test_a_part_that_never_closes_does_not_keep_the_process(tmp_path, monkeypatch):
    from flowcore.engine import engine

    monkeypatch.setattr(engine, "CLOSE_TIMEOUT", 0.2)  # for every part: on a busy machine another may be late as well
    part = Hanging()

    class Holding(Listening):
        @classmethod
        def make_resource(cls, config: Any) -> Resource:
            return part

    graph = with_branch(recording(tmp_path, length="1s"), "stt", Holding, "voices")
    with Live("record", [f"wav.path={tmp_path}/x.wav"], calls=1, change=lambda _: _with_socket(graph)) as live:
        Load(live.url, 1, 0.2).run()
    assert not part.free.is_set()
    assert "stt" in {event.node for event in live.named("resource_failed")}
    part.free.set()


def _with_socket(graph):
    from nodes.sources.ringcx import RingCX

    listener = replace(graph.listener, cls=RingCX, config=RingCX.Config(port=0))
    return replace(graph, nodes={**graph.nodes, listener.name: listener})
