import json
import os
import threading

import msgspec

from nodes.ringcx.rest.call_files import add_agents, waiting
from tests.nodes.ringcx.rest import calls
from tests.nodes.ringcx.rest.calls import call_file
from tools.fake_platform import SUB_ACCOUNT


def found(folder, oldest=0.0):
    return list(waiting([folder], SUB_ACCOUNT, oldest))


def test_recordings_and_transcripts_without_agents_are_found(tmp_path):
    recording = call_file(tmp_path / "2026" / "a.wav.json", call_id="1", dialog_id="s-v-1", session_id="9")
    transcript = call_file(tmp_path / "b.jsonl.json", call_id="2", seconds=None)
    assert [(file.path, file.ids) for file in found(tmp_path)] == [(recording, ("s-v-1", "1")), (transcript, ("2",))]


def test_the_time_of_a_call_is_that_of_its_audio(tmp_path):
    path = call_file(tmp_path / "a-2.wav.json", call_id="1", seconds=30.0, start=3600.0)
    assert [(file.began, file.ended) for file in found(tmp_path)] == [(calls.BEGAN, calls.BEGAN + 3630.0)]
    os.utime(path, (calls.BEGAN + 5.0, calls.BEGAN + 5.0))  # a call that was played faster ended when its file did
    assert found(tmp_path)[0].ended == calls.BEGAN + 5.0


def test_what_is_not_waiting_is_left_alone(tmp_path):
    call_file(tmp_path / "done.wav.json", call_id="1", agents=[])
    call_file(tmp_path / "anonymous.wav.json")
    call_file(tmp_path / "of-another-account.wav.json", call_id="1", sub_account_id="1")
    call_file(tmp_path / "old.wav.json", call_id="1", age=7200.0)
    (tmp_path / "foreign.json").write_text('{"flow": 1}')
    (tmp_path / "torn.json").write_bytes(b"\xff{")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "unfinished.wav.json.part").write_text("{}")
    assert not found(tmp_path, oldest=calls.BEGAN - 3600.0)


def test_agents_are_added_once_and_nothing_else_changes(tmp_path):
    path = call_file(tmp_path / "a.wav.json", call_id="1")
    before = json.loads(path.read_text())
    assert add_agents(path, [{"agent_id": "7"}])
    assert json.loads(path.read_text()) == before | {"agents": [{"agent_id": "7"}]}
    assert not add_agents(path, [])
    assert not found(tmp_path)
    assert not list(tmp_path.glob("*.new"))


def test_a_recording_that_was_taken_away_is_no_error(tmp_path):
    assert not add_agents(tmp_path / "gone.wav.json", [])


def test_two_processes_add_agents_once(tmp_path):
    path = call_file(tmp_path / "a.wav.json", call_id="1")
    together, added = threading.Barrier(4), []

    def add():
        together.wait()
        added.append(add_agents(path, [{"agent_id": "7"}]))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [False, False, False, True]
    assert msgspec.json.decode(path.read_bytes())["agents"] == [{"agent_id": "7"}]
