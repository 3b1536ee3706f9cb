"""A trial is a real receiver and real callers in processes of their own; a broken one says why."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flowcore.bench.stages import STAGES
from flowcore.bench.trial import Cores, Outcome, TrialFailed, trial
from tests.bench.calls import LOAD_GENERATOR, RECORD, receive


def lost(done: Outcome) -> list[str]:
    """What went wrong, but for what a busy machine does: it holds callers up, and that is heard as a pause."""
    return replace(done, load=done.load | {"blocked": 0}, report=done.report | {"events": {}}).losses()


@pytest.mark.slow
def test_all_that_is_sent_arrives_and_has_an_age() -> None:
    done = receive(RECORD, 5, 3.0, probe=True, together=False)
    assert lost(done) == []
    assert done.load["messages"] == done.report["packets"] == 5 * 3 * 100
    assert len(done.ages) == 5 * 3 * 50 / 10
    assert 0 < done.age_ms(0.5) <= done.age_ms(0.99)
    assert done.cpu > 0
    assert done.resident > 1e6


@pytest.mark.slow
def test_latency_is_told_by_stage_and_the_recordings_are_as_ever() -> None:
    done = receive(RECORD, 10, 4.0, probe=False, stages=True, together=False)
    assert lost(done) == []
    middle, most = done.stages_ms(0.5), done.stages_ms(0.99)
    assert tuple(middle) == tuple(most) == STAGES
    assert all(0 <= middle[stage] <= most[stage] for stage in STAGES)
    assert most["reorder"] > 150  # the first message of a piece of 200 ms waits for nine others
    assert len({len(seconds) for seconds in done.report["stages"].values()}) == 1
    assert 10 * 50 / 10 <= len(done.report["stages"]["sink"]) <= 10 * 3 * 50 / 10


@pytest.mark.slow
def test_the_profile_names_listener_stages_and_nodes(tmp_path: Path) -> None:
    settings = ["call.port=0", f"wav.path={tmp_path}/{{call_id}}.wav"]
    done = trial(RECORD, settings, LOAD_GENERATOR, 200, 5.0, Cores.share(1), probe=False, profile=True)
    assert {"socket", "frame", "JSON", "ordered", "wav", "engine"} <= set(done.profile)
    assert sum(done.profile.values()) == pytest.approx(done.cpu, rel=0.2)
    assert done.ages == []


@pytest.mark.slow
def test_a_receiver_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrialFailed, match="cannot write to"):
        trial(RECORD, ["call.port=0", f"wav.path={tmp_path}/file/x.wav"], LOAD_GENERATOR, 1, 3.0, Cores.share(1))


@pytest.mark.slow
def test_a_receiver_whose_bench_was_killed_ends(tmp_path: Path) -> None:
    settings = ["--set=call.port=0", f"--set=wav.path={tmp_path}/{{call_id}}.wav"]
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "flowcore.bench.server", RECORD, *settings, "--report", str(writing)]
    with os.fdopen(reading) as pipe, subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.PIPE) as receiver:
        os.close(writing)
        assert "url" in pipe.readline()
        pipe.close()
        try:
            receiver.wait(30)
        finally:
            receiver.kill()
