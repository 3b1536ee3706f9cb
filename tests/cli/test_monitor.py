"""`flowcore devices` and `flowcore monitor`, against a card that is recorded and a graph that runs."""

import json
from pathlib import Path

import pytest

from tests.support.asking import call, hub
from tests.support.live import Live, until
from tools.card import Card

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """graphs/monitor.yaml with two calls, without a card, and a hub where the commands look for one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    with Live("monitor", ["sound.device=pulse"]) as live, hub(live):
        for name in ("first", "second"):
            call(live, name)
        yield live


def state(flowcore, *arguments):
    done = flowcore("monitor", "--json", *arguments)
    assert done.code == 0, done.err
    calls = json.loads(done.out)["1"]["calls"]
    return {call["call_id"]: call for call in calls}


def heard(calls):
    return [name for name, call in calls.items() if call["heard"]]


def test_monitor_shows_and_changes_the_selection(engine, flowcore):
    assert heard(state(flowcore)) == ["second"]
    assert heard(state(flowcore, "fir")) == ["first"]  # the beginning of a call id
    calls = state(flowcore, "--channels", "stereo")
    assert heard(calls) == ["first"]
    assert calls["first"]["channels"] == "stereo"
    calls = state(flowcore, "all", "--volume", "-6dB")
    assert heard(calls) == ["first", "second"]
    assert (calls["second"]["channels"], calls["second"]["volume_db"]) == ("stereo", -6)
    assert heard(state(flowcore, "off")) == []
    assert heard(state(flowcore, "--reset")) == ["second"]


def test_monitor_prints_a_table(engine, flowcore):
    lines = flowcore("monitor").out.splitlines()
    assert lines[0] == "plays nowhere: there is no sound output now"
    assert lines[1].split() == ["flow", "call", "id", "select", "channels", "volume"]
    assert lines[3].split()[0] == "♪"
    assert lines[3].split()[2:] == ["second", "newest", "mix", "0", "dB"]


def test_monitor_says_why_a_call_is_not_heard(engine, flowcore):
    assert flowcore("call", "second", "pause").code == 0
    until(lambda: state(flowcore)["second"]["paused"])
    head, first, second = flowcore("monitor").out.splitlines()[1:4]
    assert head.split()[-1] == "silenced"
    assert (first.split()[-1], second.split()[-1]) == ("dB", "paused")
    assert flowcore("call", "second", "resume").code == 0
    until(lambda: not state(flowcore)["second"]["paused"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["third"], "there is no live call 'third': `flowcore calls` lists them"),
        (["--volume", "3"], "'3' is not a quantity"),
        (["--volume", "30dB"], "give a level from -60dB to 20dB"),
        (["--channels", "left"], "left"),
    ],
)
def test_wrong_arguments_are_reported(engine, flowcore, arguments, said):
    done = flowcore("monitor", *arguments)
    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_nothing_runs(tmp_path, monkeypatch, flowcore):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = flowcore("monitor")
    assert (done.code, done.err.split(":")[1]) == (2, " no flowcore is running")


def test_devices_lists_the_outputs(monkeypatch, flowcore):
    with Card() as card:
        for name, value in card.added.items():
            monkeypatch.setenv(name, value)
        done = flowcore("devices")
        assert done.code == 0
        assert any(line.split()[:2] == ["*", "default"] for line in done.out.splitlines())
        outputs = json.loads(flowcore("devices", "--json").out)
        assert [one["default"] for one in outputs].count(True) == 1


@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has a sound card")
def test_devices_reports_a_missing_output(monkeypatch, tmp_path, flowcore):
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    done = flowcore("devices")
    assert (done.code, done.err) == (1, "")
    assert "there is no sound output" in done.out
