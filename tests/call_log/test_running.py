"""``flowcore run`` and ``flowcore calls --ended`` as a user runs them: which calls lost audio, and why."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess

import pytest

from flowcore.call_log.database import Database
from tests.support.phone import MESSAGE, Phone
from tests.support.postgres import postgres
from tests.support.service import FLOWCORE, PATIENCE, Service

pytestmark = pytest.mark.slow


def call(service, name, lost=0):
    phone = Phone(service.url, name)
    phone.start()
    phone.talk(1, 0.5)
    for _ in range(lost):
        phone.sender.media("agent", bytes(MESSAGE))  # numbered, and never sent
    phone.talk(1, 0.5)
    phone.stop()
    phone.hang_up()


def in_journal(folder, *flows):
    """Wait until these calls are in the journals of a run."""
    while flows:
        text = "".join(file.read_text() for file in (folder / "calls.waiting").glob("*.jsonl"))
        flows = [flow for flow in flows if flow not in text]


def ended(place, *options):
    command = [FLOWCORE, "calls", "--ended", "--call-log", place, "--json", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout)


@pytest.mark.fault(76)
def test_which_calls_lost_audio_and_why(tmp_path):
    with Service(tmp_path, workers=1) as service:
        call(service, "good")
        call(service, "bad", lost=2)
        events = {event["call_id"]: event for event in service.heard("flow_closed", 2)}
        service.stop()
        (opened,) = service.named("call_log_opened")
    assert opened["database"] == f"{tmp_path}/calls.sqlite"
    assert not list((tmp_path / "calls.waiting").glob("*.jsonl"))
    (row,) = ended(opened["database"], "--since", "today", "--lost", "20ms")
    assert row["call_id"] == "bad"
    for name in ("flow", "lost_ms", "lost", "reason", "seconds", "delay_ms", "parties"):
        assert row[name] == events["bad"][name]
    assert row["lost_ms"] == 40
    recording = tmp_path / "bad.wav"
    assert row["files"] == [{"path": str(recording), "sha256": hashlib.sha256(recording.read_bytes()).hexdigest()}]
    assert len(ended(opened["database"])) == 2
    table = subprocess.run(
        [FLOWCORE, "calls", "--ended", "--since", "1h"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "ordered: lost 40 ms" in table.stdout


@pytest.mark.fault(78)
def test_rows_of_all_workers_come_once_also_of_one_that_was_killed(tmp_path):
    with Service(tmp_path) as service:
        for number in range(6):
            call(service, f"ended{number}")
        service.heard("flow_closed", 6)
        phones = [Phone(service.url, f"running{number}") for number in range(6)]
        for phone in phones:
            phone.start()
        calls = service.until(lambda calls: len(calls) == 6)
        in_journal(tmp_path, *(call["flow"] for call in calls))
        victim = calls[0]["worker"]
        os.kill(service.pids()[victim - 1], signal.SIGKILL)
        service.heard("worker_started", 3)
        service.stop()
    rows = ended(f"{tmp_path}/calls.sqlite")
    assert len({row["flow"] for row in rows}) == len(rows) == 12
    killed = {call["flow"] for call in calls if call["worker"] == victim}
    assert {row["flow"] for row in rows if row["reason"] == "killed"} == killed


@pytest.mark.fault(78)
def test_a_killed_run_loses_no_row_of_an_ended_call(tmp_path):
    with Service(tmp_path, workers=1) as service:
        call(service, "ended")
        (event,) = service.heard("flow_closed")
        phone = Phone(service.url, "running")
        phone.start()
        (running,) = service.until(lambda calls: len(calls) == 1)
        in_journal(tmp_path, running["flow"])
        service.process.kill()
    with Service(tmp_path, workers=1) as service:
        service.heard("call_log_opened")
        service.stop()
    rows = {row["flow"]: row["reason"] for row in ended(f"{tmp_path}/calls.sqlite")}
    assert rows == {event["flow"]: "stop", running["flow"]: "killed"}


@pytest.mark.fault(76)
def test_workers_write_to_postgresql_also_what_ended_while_it_was_away(tmp_path):
    with postgres() as cluster:
        with Service(tmp_path, "--call-log", cluster.url) as service:
            call(service, "before")
            service.heard("flow_closed")
            cluster.stop()
            for number in range(4):
                call(service, f"away{number}")
            service.heard("flow_closed", 5)
            service.heard("call_log_failed")
            cluster.start()
            service.heard("call_log_restored")
            service.stop()
        assert {row["call_id"] for row in ended(cluster.url)} == {"before", *(f"away{number}" for number in range(4))}


def test_a_run_without_a_call_log_leaves_nothing(tmp_path):
    with Service(tmp_path, "--call-log", "none", workers=1) as service:
        call(service, "a")
        service.heard("flow_closed")
        service.stop()
    assert not list(tmp_path.glob("calls.*"))
    assert not service.named("call_log_opened")


def test_hashed_rows_hide_numbers_from_everyone_without_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWCORE_CALL_LOG_KEY", "a key of this test")
    with Service(tmp_path, "--call-log-personal", "hash", workers=1) as service:
        phone = Phone(service.url, "a", ani="+15550100")
        phone.start()
        phone.stop()
        phone.hang_up()
        service.heard("flow_closed")
        service.stop()
    database = Database(f"{tmp_path}/calls.sqlite")
    (row,) = database.find()
    database.close()
    assert len(row["attributes"]["ani"]) == 64
    assert b"15550100" not in (tmp_path / "calls.sqlite").read_bytes()
