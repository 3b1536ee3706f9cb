"""The command line of the load generators, and the percentiles of a result."""

import gc
import json
import os

import numpy as np
import pytest

from nodes.audio import wav
from nodes.simulators.load import Result, call_id, command


class FakeLoad:
    """Calls nobody, and has the result of the test."""

    def __init__(self, url, calls, seconds, **options):
        self.options = options
        self.result = Result(calls, seconds, messages=7)
        self.talking = lambda: None
        if "nothing" in url:
            raise OSError("nothing listens there")

    def run(self):
        self.talking()
        return self.result


@pytest.fixture
def run(monkeypatch):
    """Run the command line with arguments; return the exit code and the loads that it made."""
    loads = []

    def make(*arguments, **options):
        loads.append(FakeLoad(*arguments, **options))
        return loads[-1]

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["load", *arguments])
        return command("Load a receiver.", "ws://127.0.0.1:3333/", make), loads

    yield run
    gc.enable()


def test_calls_have_numbered_ids():
    assert call_id(7) == "load-000007"


def test_a_result_is_ok_when_nothing_failed_and_all_was_in_time():
    result = Result(1, 10)
    result.set_lags([])
    assert result.fine
    result.set_lags([n / 1000 for n in range(1, 101)])
    assert (result.lag_p50_ms, result.lag_p99_ms, result.lag_max_ms) == (51, 99, 100)
    assert not result.in_time
    assert not Result(1, 10, refused=1).fine


def test_figures_are_printed(run, capsys):
    code, [load] = run("ws://x/", "--calls", "3", "--seconds", "2", "--together", "--announce")
    assert code == 0
    assert load.options["together"]
    assert load.options["voices"] is None
    out, err = capsys.readouterr()
    assert "               calls  3\n             seconds  2.000\n            messages  7\n" in out
    assert err == "talking\n"


def test_json_says_whether_the_load_was_in_time(run, capsys):
    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    try:
        assert run("ws://x/", "--json", "--core", str(core))[0] == 0
        assert os.sched_getaffinity(0) == {core}
    finally:
        os.sched_setaffinity(0, before)
    figures = json.loads(capsys.readouterr().out)
    assert (figures["messages"], figures["fine"], figures["in_time"]) == (7, True, True)


def test_voices_are_read_from_files(run, tmp_path):
    path = tmp_path / "voice.wav"
    path.write_bytes(wav.header("s16", 8000, 1, 1600) + np.zeros(800, np.int16).tobytes())
    _, [load] = run("ws://x/", "--voices", str(path), str(path))
    assert {track: len(voice) for track, voice in load.options["voices"].items()} == {"agent": 800, "customer": 800}


def test_a_receiver_that_is_not_there_is_exit_code_1(run, capsys):
    code, _ = run("ws://nothing/")
    assert code == 1
    assert capsys.readouterr().err == "no call to ws://nothing/: nothing listens there\n"
