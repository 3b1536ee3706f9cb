"""`flowcore top` without a screen: one look, and what it says where there is nothing to look at."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from flowcore.top import feed
from tests.support.asking import call, hub
from tests.support.live import Live, until
from tests.support.phone import Phone
from tests.support.service import FLOWCORE, Service


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(feed, "INTERVAL", 0.0)
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"]) as live, hub(live):
        yield live


def test_once_prints_a_table_with_whole_words(live, flowcore):
    call(live, "0f2c7f54-7e2e-4bd5-9a94-c8c0fd3e2f11-and-much-longer-than-any-column-of-a-screen")
    call(live, "two\x1b[2J").talk(1, 0.5)
    until(lambda: len(live.engine.flows) == 2)
    done = flowcore("top", "--once", "--sort", "oldest")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"{live.plan.name}  1-")
    assert "2 of 2000 calls" in lines[0]
    assert lines[1].startswith("2 started  0 failed  0 refused  lost nothing")
    assert lines[2].split()[:3] == ["call", "state", "age"]
    assert lines[3].split()[:2] == [
        "0f2c7f54-7e2e-4bd5-9a94-c8c0fd3e2f11-and-much-longer-than-any-column-of-a-screen",
        "live",
    ]
    assert lines[4].split()[0] == "two·[2J"
    assert lines[5:] == ["2 calls"]
    assert "…" not in done.out


def test_once_says_how_many_calls_it_leaves_out(live, flowcore):
    for name in ("zoe-1", "zoe-2", "yan"):
        call(live, name)
    assert flowcore("top", "--once", "--limit", "2").out.splitlines()[-1] == "2 of 3 calls"
    assert flowcore("top", "--once", "--match", "zoe").out.splitlines()[-1] == "2 calls of 3 live ones"
    assert flowcore("top", "--once", "--match", "nobody").out.splitlines()[-1] == "0 calls of 3 live ones"


def test_once_as_json_is_the_live_data_on_one_line(live, flowcore):
    call(live, "one")
    done = flowcore("top", "--once", "--json")
    assert done.out.count("\n") == 1
    told = json.loads(done.out)
    assert {"at", "run", "processes", "missing", "matched", "calls"} <= told.keys()
    assert [one["call_id"] for one in told["calls"]] == ["one"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "standard output is no terminal: give --once"),
        (("--json",), "this is for one look: give --once too"),
        (("--once", "--match", "x" * 257), "give 256 characters at most"),
        (("--once", "--limit", "201"), "--limit"),
        (("--sort", "size"), "size"),
    ],
)
def test_a_wrong_command_line_is_explained(flowcore, options, message):
    done = flowcore("top", *options)
    assert done.code == 2
    assert message in done.err


def test_without_a_run_it_says_how_to_start_one(flowcore, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = flowcore("top", "--once")
    assert done.code == 2
    assert done.err.startswith("error: no flowcore is running: start one with")


def test_without_its_package_it_says_what_to_install(flowcore, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "textual" else find_spec(name))
    done = flowcore("top")
    assert done.code == 2
    assert done.err == "error: `flowcore top` needs textual: run  pip install 'flowcore[top]'\n"


@pytest.mark.slow
def test_calls_of_all_workers_are_in_one_table(tmp_path):
    with Service(tmp_path) as service:
        phones = [Phone(service.url, f"call-{number}") for number in range(6)]
        for phone in phones:
            phone.start()
            phone.talk(1, 0.2)
        service.until(lambda calls: len(calls) == 6)
        command = [FLOWCORE, "top", "--once", "--control", service.control]
        table = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
        assert table.splitlines()[-1] == "6 calls"
        assert "2 processes" in table
        told = json.loads(subprocess.run([*map(str, command), "--json"], capture_output=True, check=True).stdout)
        assert {one["worker"] for one in told["processes"]} == {1, 2}
        assert sorted(one["call_id"] for one in told["calls"]) == [f"call-{number}" for number in range(6)]
        assert all(one["levels"].keys() == {"agent", "customer"} for one in told["calls"])
        for phone in phones:
            phone.stop()
            phone.hang_up()
        assert service.stop() == 0
