from datetime import datetime, timedelta

import pytest
import typer

from flowcore.call_log.database import Database
from flowcore.cli.ended import parse_time
from tests.call_log.rig import begun, ended, journalled, replayed

NOW = datetime(2026, 11, 30, 22, 17).astimezone()


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("yesterday", datetime(2026, 11, 29).astimezone()),
        ("today", datetime(2026, 11, 30).astimezone()),
        ("2h", NOW - timedelta(hours=2)),
        ("2026-12-24", datetime(2026, 12, 24).astimezone()),
        ("2026-12-24T18:00+00:00", datetime.fromisoformat("2026-12-24T18:00+00:00")),
        ("", None),
    ],
)
def test_times_as_people_say_them(text, time):
    assert parse_time(text, NOW, "--since") == time


def test_another_time_says_what_to_give():
    with pytest.raises(typer.BadParameter, match="yesterday"):
        parse_time("last week", NOW, "--since")


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = Database("recordings/calls.sqlite")
    lost = {"ordered": {"late": {"chunks": 2, "ms": 40.0}}, "text": {"queue_full": {"chunks": 3, "ms": 0.0}}}
    bad = ended("bad", 40, lost=lost, failures=[{"node": "wav", "error": "OSError"}], call_id="x\x1b[2J")
    journalled(tmp_path / "waiting", ended("good"), bad, begun("dead"))
    replayed(tmp_path / "waiting", database)
    database.close()
    return database


def test_ended_calls_are_listed_with_the_cause_of_each_loss(log, flowcore):
    done = flowcore("calls", "--ended", "--lost", "20ms")
    assert done.code == 0
    head, dead, bad, count = done.out.splitlines()
    assert head.split() == ["flow", "call", "id", "ended", "reason", "length", "lost", "why"]
    assert dead.split()[-3:] == ["killed", "?", "?"]
    assert bad.endswith("40 ms  ordered: late 40 ms, text: queue_full (3 texts), wav failed: OSError")
    assert "\x1b" not in bad
    assert count == "2 calls"


def test_options_of_ended_calls_say_that_they_need_it(flowcore):
    done = flowcore("calls", "--since", "today")
    assert done.code == 2
    assert "give --ended too" in done.err


@pytest.mark.parametrize("options", [("--watch",), ("--control", "a.sock")])
def test_options_of_live_calls_are_refused_for_ended_ones(log, flowcore, options):
    done = flowcore("calls", "--ended", *options)
    assert done.code == 2
    assert f"{options[0]}: this is for live calls: leave out --ended" in done.err


def test_no_call_log_or_several_say_what_to_give(log, tmp_path, flowcore):
    (tmp_path / "calls.sqlite").touch()
    done = flowcore("calls", "--ended")
    assert done.code == 2
    assert "give --call-log one of them" in done.err
    (tmp_path / "calls.sqlite").unlink()
    (tmp_path / "recordings" / "calls.sqlite").unlink()
    assert "no calls.sqlite here" in flowcore("calls", "--ended").err
    assert flowcore("calls", "--ended", "--call-log", "nowhere.sqlite").code == 2
    assert not (tmp_path / "nowhere.sqlite").exists()
