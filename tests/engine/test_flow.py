"""A flow from its first chunk to its end: order, fan-out, failures, borders, counters, drains and deadlines."""

import pytest

from flowcore import Audio, Emit, Transform
from flowcore.engine.stats import Reasons
from flowcore.testing import VirtualPool, run_plan, spend
from nodes.transforms.interleave import Interleave
from tests.engine.nodes import Broken, Double, FileTones, Halves, Keep, KeepInThread, Later, Tones, plan, step


@pytest.fixture(autouse=True)
def fresh():
    Keep.kept.clear()


def kept(flow=1, key=""):
    """What the sink got, without the marks of its life."""
    name = next(iter(name for name in Keep.kept if name.endswith(f"flow{flow}{key}")))
    return [item for item in Keep.kept[name] if not isinstance(item, str)]


def marks(flow=1, key=""):
    name = next(iter(name for name in Keep.kept if name.endswith(f"flow{flow}{key}")))
    return [item for item in Keep.kept[name] if isinstance(item, str)]


def test_chunks_pass_a_fused_chain_in_order_and_the_end_flushes():
    result = run_plan(plan(step("call", Tones), step("twice", Double, "call"), step("end", Keep, "twice")))
    assert [chunk.start for chunk in kept()] == [160 * n for n in range(50)]
    assert marks() == ["open", "flush", "close"]
    assert [flow.reason for flow in result.flows] == ["done"]


def test_a_border_changes_nothing_but_the_thread():
    result = run_plan(plan(step("call", Tones), step("end", KeepInThread, "call")))
    assert [chunk.start for chunk in kept()] == [160 * n for n in range(50)]
    assert marks() == ["open", "flush", "close"]
    stats = result.flows[0].stats["end"]
    assert (stats.arrived.chunks, round(stats.arrived.seconds, 6), stats.depth) == (50, 1.0, 0.0)


def test_two_targets_get_every_chunk_and_two_ports_share_them():
    result = run_plan(
        plan(
            step("call", Tones),
            step("parts", Halves, "call"),
            step("a", Keep, "parts.left", key="a"),
            step("b", KeepInThread, "parts.right", key="b"),
            step("c", Keep, "parts.left", key="c"),
        )
    )
    assert [chunk.start for chunk in kept(key="a")] == [chunk.start for chunk in kept(key="c")]
    assert sorted(chunk.start for chunk in kept(key="a") + kept(key="b")) == [160 * n for n in range(50)]
    assert result.flows[0].stats["parts"].left.chunks == 50


def test_streams_of_several_chains_meet_at_a_border_and_end_once():
    run_plan(
        plan(
            step("call", Tones),
            step("a", Double, "call", queue={"max": "1s"}),
            step("b", Double, "call", queue={"max": "1s"}),
            step("end", Keep, "a", "b"),
        )
    )
    assert len(kept()) == 100
    assert marks() == ["open", "flush", "close"]


@pytest.mark.parametrize("at", [0, 10, -1])
def test_a_trunk_node_that_raises_ends_its_flow_only(at):
    steps = [step("call", Tones, sessions=2, pace=True), step("bad", Broken, "call", at=at), step("end", Keep, "bad")]
    result = run_plan(plan(*steps))
    assert [[failure.node for failure in flow.failures] for flow in result.flows] == [["bad"], ["bad"]]
    assert [flow.reason for flow in result.flows] == ["done" if at == -1 else "node_failed"] * 2
    assert marks(1) == marks(2) == ["open", "flush", "close"]
    stats = result.flows[0].stats["bad"]
    assert stats.arrived.chunks == stats.left.chunks + stats.dropped.total().chunks


@pytest.mark.parametrize("cls", [Keep, KeepInThread])
@pytest.mark.parametrize("at", [-2, 0, 10, -3])
def test_a_sink_that_raises_ends_its_branch_only(cls, at):
    result = run_plan(
        plan(step("call", Tones), step("bad", cls, "call", fail_at=at, key="bad"), step("end", cls, "call"))
    )
    assert [failure.node for failure in result.flows[0].failures] == ["bad"]
    assert result.flows[0].reason == "done"
    assert len(kept()) == 50
    assert marks(key="bad")[-1] == "close"
    assert result.named("node_failed")[0].node == "bad"


def test_a_failed_node_is_restarted_after_a_pause():
    result = run_plan(
        plan(
            step("call", Tones, length="5s", pace=True),
            step("bad", Broken, "call", at=30, on_error="restart"),
            step("end", Keep, "bad"),
        )
    )
    dropped = result.flows[0].stats["bad"].dropped["node_failed"]
    assert len(result.flows[0].failures) > 1
    assert len(kept()) + dropped.chunks == 250


def test_live_recorder_border_drops_the_newest_and_counts_it():
    steps = [step("call", Tones, length="40s"), step("end", KeepInThread, "call")]
    result = run_plan(plan(*steps))
    stats = result.flows[0].stats["end"]
    assert round(stats.dropped["queue_full"].seconds, 3) == 10.0
    assert len(kept()) == 1500


def test_a_file_waits_for_a_slow_border_and_loses_nothing():
    result = run_plan(plan(step("call", FileTones, length="100s"), step("end", KeepInThread, "call")))
    assert len(kept()) == 5000
    assert not result.flows[0].stats["end"].dropped


def test_a_full_border_with_policy_fail_ends_its_branch():
    steps = [step("call", Tones, length="2s"), step("end", Keep, "call", queue={"max": "1s", "on_full": "fail"})]
    result = run_plan(plan(*steps))
    assert "queue is full" in str(result.flows[0].failures[0])


def test_a_flow_whose_sinks_have_all_failed_ends():
    steps = [step("call", Tones, length="60s", pace=True)]
    steps += [step("a", Keep, "call", fail_at=3, key="a"), step("b", KeepInThread, "call", fail_at=5, key="b")]
    result = run_plan(plan(*steps))
    assert result.flows[0].reason == "node_failed"
    assert result.seconds == pytest.approx(60, abs=1)  # the listener of this test does not look at `ended`
    assert result.named("flow_closed")[0].data["seconds"] < 1


def test_dropped_stereo_counts_in_the_same_unit_as_arrived_stereo():
    interleaved = step("both", Interleave, "call")
    steps = [step("call", Tones, length="40s"), interleaved, step("end", KeepInThread, "both", fail_at=1000)]
    KeepInThread.kept.clear()
    stats = run_plan(plan(*steps)).flows[0].stats["end"]
    (kept,) = KeepInThread.kept.values()
    taken = sum(item.seconds for item in kept if isinstance(item, Audio))
    assert stats.dropped.keys() == {"queue_full", "node_failed"}
    assert stats.arrived.seconds == pytest.approx(taken + sum(tally.seconds for tally in stats.dropped.values()))


def test_a_flow_may_be_released_while_another_thread_asks_what_it_lost(monkeypatch):
    total, lost = Reasons.total, []

    def ask(flow):
        def released(reasons):
            flow.release()
            return total(reasons)

        with monkeypatch.context() as patch:
            patch.setattr(Reasons, "total", released)
            lost.append((flow.losses().seconds, flow.queued()))

    steps = step("call", Tones), step("twice", Double, "call"), step("end", KeepInThread, "twice")
    run_plan(plan(*steps), prepare=lambda engine: engine.on_closed.append(ask))
    assert lost == [(0.0, 0.0)]


def test_the_end_of_the_stream_waits_for_results_that_come_later():
    Keep.kept.clear()
    run_plan(plan(step("call", Tones), step("slow", Later, "call"), step("end", Keep, "slow")))
    (kept,) = Keep.kept.values()
    assert [item.start for item in kept if not isinstance(item, str)] == [160 * n for n in range(50)]
    assert kept[-2:] == ["flush", "close"]


def test_a_flow_that_was_given_up_lets_go_of_its_nodes_once_they_are_closed():
    flows = []
    steps = [step("call", Tones, sessions=2), step("slow", Later, "call", never=True)]
    run_plan(
        plan(*steps, step("end", Keep, "slow")), drain=3, prepare=lambda engine: engine.on_closed.append(flows.append)
    )
    assert [flow.reason for flow in flows] == ["drain_deadline"] * 2
    assert [(flow.runs, flow.chains) for flow in flows] == [({}, [])] * 2


def test_a_node_that_never_finishes_is_named_at_the_deadline_and_the_flow_ends_anyway():
    Keep.kept.clear()
    steps = [step("call", Tones), step("slow", Later, "call", never=True), step("other", Keep, "call")]
    result = run_plan(plan(*steps, step("end", Keep, "slow", key="end")), drain=3)
    assert result.flows[0].reason == "drain_deadline"
    assert {event.node for event in result.named("node_hung")} == {"slow"}
    assert 3 <= result.seconds < 3.1
    other, end = (Keep.kept[name] for name in sorted(Keep.kept))
    assert other[-2:] == ["flush", "close"]
    assert end == ["open", "close"]


class Slow(Transform[Audio, Audio]):
    """Takes a second for each chunk."""

    runs = "thread"

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        spend(1.0)
        emit(chunk)


Slow.name = "slow"


def slowly(listener, slow=Slow, **options):
    """A second of audio through a slow node; what came of it, and the result."""
    steps = step("call", listener), step("slow", slow, "call"), step("end", Keep, "slow")
    result = run_plan(plan(*steps), drain=3, pool=VirtualPool(), **options)
    (all_kept,) = Keep.kept.values()
    Keep.kept.clear()
    return [item for item in all_kept if isinstance(item, Audio)], result


def test_the_end_of_a_file_waits_for_nodes_that_still_work_and_that_of_a_call_does_not():
    chunks, result = slowly(FileTones)
    assert (len(chunks), result.flows[0].reason) == (50, "done")
    chunks, result = slowly(Tones)
    assert (len(chunks) < 5, result.flows[0].reason) == (True, "drain_deadline")


class SlowAtTheEnd(Slow):
    """Has its results long after the end, one after another."""

    def __init__(self, config):
        super().__init__(config)
        self.held = []
        self.flushed = False

    def process(self, chunk, emit):
        self.held.append(chunk)

    def flush(self, emit):
        self.alarm(self.now() + 10)

    def busy(self):
        return bool(self.held)

    def collect(self, emit):
        if self.held:
            emit(self.held.pop(0))
            self.alarm(self.now() + 10)


def test_the_end_of_a_file_waits_for_results_as_long_as_a_node_expects_them():
    chunks, result = slowly(FileTones, SlowAtTheEnd)
    assert (len(chunks), result.flows[0].reason) == (50, "done")
    assert result.seconds > 200


def test_a_process_that_stops_gives_the_end_of_a_file_no_more_than_that_of_a_call():
    def prepare(engine):
        began = engine.now()
        engine.every_slot(lambda: engine.stop() if engine.now() > began + 30 else None)

    _, result = slowly(FileTones, SlowAtTheEnd, prepare=prepare)
    assert result.flows[0].reason == "drain_deadline"
    assert result.seconds < 40


class Hung(Slow):
    def process(self, chunk, emit):
        spend(1e6)


def test_a_node_that_hangs_is_named_at_the_deadline_although_its_source_waits():
    chunks, result = slowly(FileTones, Hung)
    assert (chunks, result.flows[0].reason) == ([], "drain_deadline")
    assert {event.node for event in result.named("node_hung")} == {"slow"}
