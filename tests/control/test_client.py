"""Requests to a hub: calls are found by name, and errors say what to do."""

import socket
import threading

import pytest

from flowcore.call_ids import match
from flowcore.control import client
from flowcore.control.client import ask, find_call, only_running
from flowcore.errors import UsageError


def answered(monkeypatch, calls, missing=()):
    """Let every request be answered with those calls of one worker."""

    def answer(path, request):
        matches = [
            {**call, "match": match(request.get("name", ""), (call["flow"], *call.pop("ids")))} for call in calls
        ]
        return {1: matches}, list(missing)

    monkeypatch.setattr(client, "ask", answer)


def live(flow, call_id="", since="2026-01-02T03:04:05", others=()):
    return {"flow": flow, "call_id": call_id, "ids": [call_id, *others], "since": since}


@pytest.mark.parametrize("name", ["one", "newest"])
def test_a_call_that_is_not_found_may_be_held_by_a_worker_that_did_not_answer(tmp_path, monkeypatch, name):
    answered(monkeypatch, [], [1])
    with pytest.raises(UsageError, match=rf"there is no live call '{name}': .*; no answer from worker 1: ask again"):
        find_call(tmp_path / "hub", name)


@pytest.mark.parametrize(
    ("name", "found"), [("b-1", "b-1"), ("twice", "b-2"), ("a", "a-1"), ("x9", "a-1"), ("newest", "b-2")]
)
def test_a_call_is_found_by_flow_call_id_prefix_or_as_the_newest(tmp_path, monkeypatch, name, found):
    calls = [
        live("b-2", "twice", "2026-01-02T03:04:07"),
        live("a-1", "x9", "2026-01-02T03:04:05"),
        live("b-1", "twice", "2026-01-02T03:04:06"),
    ]
    answered(monkeypatch, calls)
    assert find_call(tmp_path / "hub", name)["flow"] == found


def test_a_prefix_of_several_calls_is_refused(tmp_path, monkeypatch):
    answered(monkeypatch, [live("b-1", "x"), live("b-2", "y")])
    with pytest.raises(UsageError, match=r"(?s)2 live calls match 'b': give the flow of one.*b-1  x.*b-2  y"):
        find_call(tmp_path / "hub", "b")


@pytest.mark.parametrize("name", ["20260102030405", "S-V-1f", "+1 (222) 333-4444", "12223334444", "STREAM-7"])
def test_a_call_is_found_by_any_of_its_ids(tmp_path, monkeypatch, name):
    others = ["s-v-1f", "STREAM-7", "+1-222-333-4444"]
    answered(monkeypatch, [live("b-1", "20260102030405", others=others), live("b-2", "20260102030406")])
    assert find_call(tmp_path / "hub", name)["flow"] == "b-1"


def test_two_calls_from_one_number_are_listed(tmp_path, monkeypatch):
    answered(monkeypatch, [live("b-1", "x", others=["555"]), live("b-2", "y\x1b[2J", others=["555"])])
    with pytest.raises(UsageError) as refused:
        find_call(tmp_path / "hub", "555")
    assert str(refused.value).splitlines()[1:] == ["  b-1  x", "  b-2  y·[2J"]


def test_the_only_running_process_needs_no_name(tmp_path):
    assert only_running([tmp_path / "1.sock"]) == tmp_path / "1.sock"
    with pytest.raises(UsageError, match="no flowcore is running: start one"):
        only_running([])
    with pytest.raises(UsageError, match=r"(?s)choose one with --control.*1\.sock.*2\.sock"):
        only_running([tmp_path / "1.sock", tmp_path / "2.sock"])


def test_a_hub_that_hangs_up_in_the_middle_is_no_answer(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "hub"))
        listening.listen()

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b'{"worker": 1, "answer": []}\n')

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UsageError, match="it hung up"):
            ask(tmp_path / "hub", {"ask": "calls"})
        thread.join()


def test_no_process_no_answer(tmp_path):
    with pytest.raises(UsageError, match=r"no answer at .*: No such file"):
        ask(tmp_path / "hub", {"ask": "calls"})
