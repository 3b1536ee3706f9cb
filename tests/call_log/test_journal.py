"""The journal takes every row at once, also while its disk is full, and says what a dead process left."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import threading

import pytest

from flowcore.call_log import journal as module
from flowcore.call_log.database import Database
from flowcore.call_log.journal import Journal
from flowcore.call_log.replay import Replay
from tests.call_log.rig import Events, begun, ended, journalled, replayed


def test_a_call_is_a_row_with_the_checksums_of_its_files(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"audio")
    journal = Journal(tmp_path / "waiting", Events().emit)
    journal.write("a", ended("a"), [f"{tmp_path}/a.wav", f"{tmp_path}/moved.wav"])
    journal.close()
    (row,) = replayed(tmp_path / "waiting", Database(f"{tmp_path}/calls.sqlite"))
    digest = hashlib.sha256(b"audio").hexdigest()
    assert row["files"] == [
        {"path": f"{tmp_path}/a.wav", "sha256": digest},
        {"path": f"{tmp_path}/moved.wav", "sha256": None},
    ]
    assert not list((tmp_path / "waiting").glob("*.jsonl"))


def test_a_process_goes_on_in_another_file_with_its_running_calls(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILE", 1)  # each batch begins a file
    waiting, database = tmp_path / "waiting", Database(f"{tmp_path}/calls.sqlite")
    journal = Journal(waiting, Events().emit)
    replay = Replay(waiting, database)
    journal.write("long", begun("long"), [])
    for flow in "abc":
        journal.write(flow, ended(flow), [])
        while [row["flow"] for row in database_after(replay, database)][-1:] != [flow]:
            pass
    journal.write("long", ended("long"), [])
    journal.close()
    assert [(row["flow"], row["reason"]) for row in database_after(replay, database)] == [
        (flow, "stop") for flow in ("a", "b", "c", "long")
    ]
    assert not list(waiting.glob("*.jsonl"))


def database_after(replay, database):
    replay.once()
    return sorted(database.find(), key=lambda row: row["flow"])


@pytest.mark.fault(77)
def test_a_full_disk_keeps_rows_in_memory_and_tears_none(tmp_path):
    """The limit of a file's size (RLIMIT_FSIZE) stands for a full disk: it cuts a write short in the same way."""
    events, told = Events(), threading.Event()

    def emit(name, **data):
        events.emit(name, **data)
        told.set()

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        journal = Journal(tmp_path / "waiting", emit)
        for number in range(100):
            journal.write(f"{number:02}", ended(f"{number:02}"), [])
        assert told.wait(60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.close()
    rows = replayed(tmp_path / "waiting", Database(f"{tmp_path}/calls.sqlite"))
    assert sorted(row["flow"] for row in rows) == [f"{number:02}" for number in range(100)]
    assert events.names == ["call_log_failed", "call_log_restored"]


@pytest.mark.fault(77)
def test_rows_beyond_the_queue_of_a_dead_disk_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_QUEUE", 5)
    (tmp_path / "waiting").touch()  # a file where the folder should be: every write fails
    events = Events()
    journalled(tmp_path / "waiting", *(ended(str(number)) for number in range(5)), events=events)
    assert events.names == ["call_log_failed", "call_log_rows_lost"]
    assert events[-1][1]["rows"] == 5
    gate = threading.Event()
    monkeypatch.setattr(Journal, "_run", lambda self: gate.wait(60))
    journal = Journal(tmp_path / "waiting", events.emit)
    for number in range(8):
        journal.write(str(number), ended(str(number)), [])
    assert (len(journal._queue), journal._lost) == (5, 3)
    gate.set()
    journal.close()


@pytest.mark.fault(78)
def test_calls_of_a_killed_process_are_rows_and_ended_ones_keep_their_figures(tmp_path):
    code = (
        "import sys, os, signal, pathlib; from flowcore.call_log.journal import Journal\n"
        "from tests.call_log.rig import begun, ended\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), print)\n"
        "for flow in 'abc': journal.write(flow, begun(flow), [])\n"
        "journal.write('b', ended('b', lost_ms=40), [])\n"
        "while journal._queue: pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "waiting")], check=False, timeout=60)
    rows = replayed(tmp_path / "waiting", Database(f"{tmp_path}/calls.sqlite"))
    found = {row["flow"]: (row["reason"], row["lost_ms"]) for row in rows}
    assert found == {"a": ("killed", None), "b": ("stop", 40), "c": ("killed", None)}


@pytest.mark.fault(78)
def test_a_torn_line_costs_no_other_row(tmp_path):
    waiting = tmp_path / "waiting"
    journalled(waiting, ended("a"), ended("b"))
    (path,) = waiting.glob("*.jsonl")
    lines = path.read_bytes().splitlines()
    path.write_bytes(lines[0] + b'\n{"row": {"fl\n' + lines[1] + b'\n{"row": {"flow": "torn"')
    assert [row["flow"] for row in replayed(waiting, Database(f"{tmp_path}/calls.sqlite"))] == ["a", "b"]


def test_the_journal_is_read_by_its_owner_only(tmp_path):
    journalled(tmp_path / "waiting", ended("a"))
    (path,) = (tmp_path / "waiting").glob("*.jsonl")
    assert os.stat(path).st_mode & 0o777 == 0o600
