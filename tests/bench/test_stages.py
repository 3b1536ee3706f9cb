"""Latency by stage: stamped messages are followed from the socket to the file, and the file stays the same."""

import pytest

from flowcore.bench.stages import STAGES, Stages
from flowcore.testing import run_plan
from tests.bench.calls import RECORD, lost, receive
from tests.engine.nodes import Double, Keep, KeepInThread, Tones, plan, step


@pytest.mark.slow
def test_latency_is_measured_by_stage_and_the_recordings_are_unchanged() -> None:
    done = receive(RECORD, 10, 4.0, probe=False, stages=True, together=False)
    assert lost(done) == []
    middle, most = done.stages_ms(0.5), done.stages_ms(0.99)
    assert tuple(middle) == tuple(most) == STAGES
    assert all(0 <= middle[stage] <= most[stage] for stage in STAGES)
    assert most["reorder"] > 150  # the first message of a piece of 200 ms waits for nine others
    assert len({len(seconds) for seconds in done.report["stages"].values()}) == 1
    assert 10 * 50 / 10 <= len(done.report["stages"]["sink"]) <= 10 * 3 * 50 / 10


@pytest.mark.parametrize("sink", [Keep, KeepInThread])
def test_audio_without_stamps_has_no_stages_and_passes_unchanged(sink):
    Keep.kept.clear()
    stages = Stages(plan(step("call", Tones), step("twice", Double, "call"), step("end", sink, "twice")))
    run_plan(stages.plan, prepare=lambda engine: engine.on_opened.append(stages.attach))
    assert stages.measured() == {}
    assert [len(kept) for kept in Keep.kept.values()] == [53]
