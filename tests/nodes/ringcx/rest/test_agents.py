"""Agents in the metadata of calls: whole calls over real sockets, and many calls in few requests."""

import json
import time

import pytest

from nodes.ringcx.rest.agents import Join, ready, windows_of
from nodes.ringcx.rest.call_files import waiting
from nodes.ringcx.rest.interactions import metadata
from nodes.ringcx.rest.token_cache import TokenCache
from tests.nodes.ringcx.rest import calls
from tests.nodes.ringcx.rest.calls import call_file, segment
from tests.nodes.ringcx.rest.conftest import Clock, client
from tests.support.live import Live
from tests.support.phone import Phone
from tests.support.phone_grpc import GrpcPhone, over_grpc
from tools.fake_platform import RC_ACCOUNT, SUB_ACCOUNT


def find(folder, oldest=0.0):
    return list(waiting([folder], SUB_ACCOUNT, oldest))


def ask(rest, files, now=None):
    join = Join(files)
    for window in windows_of(files, now or time.time()):
        join.add(window, rest.send(metadata(RC_ACCOUNT, SUB_ACCOUNT, window)))
    return join


def agents(path):
    return [agent["agent_id"] for agent in json.loads(path.read_text())["agents"]]


@pytest.fixture
def rest(platform, tmp_path):
    rest = client(platform, TokenCache(tmp_path / "cache" / "t.json", pytest.fail))
    yield rest
    rest.close()


@pytest.mark.slow
def test_a_call_over_either_transport_gets_its_agents(platform, rest, tmp_path):
    recordings = tmp_path / "recordings"
    settings = [f"wav.path={recordings}/{{flow}}.wav"]
    with Live("record", settings, calls=1) as live:
        phone = Phone(live.url, "uii-1")
        phone.start()
        phone.talk(0, 0.4)
        phone.stop()
        phone.hang_up()
    with Live(over_grpc(tmp_path, "record"), settings, calls=1) as live:
        phone = GrpcPhone(live.url, "uii-2")
        phone.start()
        phone.talk(0, 0.4)
        assert phone.hang_up() == "OK"
    files = find(recordings)
    assert not ready(files, files[0].ended + 60.0)
    after = max(file.ended for file in files) + 1000.0
    platform.ahead = 1000.0
    now = files[0].began - calls.BEGAN
    platform.interactions = [segment(call, call * 7, start=now, end=now + 1.0) for call in (1, 2)]
    join = ask(rest, ready(files, after), after)
    assert (len(join.joined), join.waiting) == (2, [])
    found = {json.loads(path.read_text())["session"]["call_id"]: agents(path) for path in recordings.glob("*.json")}
    assert found == {"uii-1": ["7"], "uii-2": ["14"]}


def test_a_transferred_call_has_its_agents_in_order(platform, rest, tmp_path):
    path = call_file(tmp_path / "a.wav.json", call_id="uii-1")
    other = call_file(tmp_path / "b.wav.json", call_id="uii-1", session_id="3")
    platform.interactions = [segment(1, 8, start=30.0), segment(1, 7, start=5.0, end=30.0), segment(1, None, end=5.0)]
    assert len(ask(rest, find(tmp_path)).joined) == 2
    assert agents(path) == agents(other) == ["7", "8"]
    assert len(platform.interactions) == 3


def test_a_call_is_found_by_its_dialog_or_segment_too(platform, rest, tmp_path):
    by_dialog = call_file(tmp_path / "a.wav.json", call_id="s-v-1")
    by_segment = call_file(tmp_path / "b.wav.json", agent_segment_id="p-v-2-8")
    platform.interactions = [segment(1, 7), segment(2, 8)]
    assert len(ask(rest, find(tmp_path)).joined) == 2
    assert (agents(by_dialog), agents(by_segment)) == (["7"], ["8"])


def test_a_call_that_no_agent_took_has_none(platform, rest, tmp_path):
    path = call_file(tmp_path / "a.wav.json", call_id="uii-1")
    platform.interactions = [segment(1, None)]
    assert len(ask(rest, find(tmp_path)).joined) == 1
    assert agents(path) == []


def test_a_call_that_ringcx_does_not_know_waits_unchanged(platform, rest, tmp_path):
    path = call_file(tmp_path / "a.wav.json", call_id="uii-1")
    before = path.read_bytes()
    platform.interactions = [segment(2, 7)]
    join = ask(rest, find(tmp_path))
    assert (join.joined, [file.path for file in join.waiting]) == ([], [path])
    assert path.read_bytes() == before
    platform.interactions.append(segment(1, 8))
    assert len(ask(rest, find(tmp_path)).joined) == 1


def test_a_recording_that_ended_before_its_call_waits_for_the_last_agent(platform, rest, tmp_path):
    """The stream was stopped for a payment a minute after a transfer: the second agent is still in the call."""
    path = call_file(tmp_path / "a.wav.json", call_id="uii-1", seconds=600.0)
    platform.interactions = [segment(1, 7, end=300.0)]
    assert len(ask(rest, find(tmp_path)).joined) == 0
    platform.interactions.append(segment(1, 8, start=300.0, end=1500.0))
    assert len(ask(rest, find(tmp_path)).joined) == 1
    assert agents(path) == ["7", "8"]


def test_an_agent_who_never_comes_is_not_waited_for_longer_than_a_call(platform, rest, tmp_path):
    path = call_file(tmp_path / "a.wav.json", call_id="uii-1", seconds=600.0, age=9000.0)
    platform.interactions = [segment(1, 7, end=300.0, age=9000.0)]
    assert len(ask(rest, find(tmp_path)).joined) == 1
    assert agents(path) == ["7"]


def test_calls_complete_while_later_windows_are_still_asked_for(platform, rest, tmp_path):
    early = call_file(tmp_path / "a.wav.json", call_id="uii-1", age=40_000.0)
    late = call_file(tmp_path / "b.wav.json", call_id="uii-2")
    platform.interactions = [segment(1, 7, age=40_000.0), segment(2, 8)]
    files = find(tmp_path)
    first, second = windows_of(files, time.time())
    join = Join(files)
    join.add(first, rest.send(metadata(RC_ACCOUNT, SUB_ACCOUNT, first)))
    assert (agents(early), "agents" in json.loads(late.read_text())) == (["7"], False)
    join.add(second, rest.send(metadata(RC_ACCOUNT, SUB_ACCOUNT, second)))
    assert agents(late) == ["8"]


@pytest.mark.slow
def test_many_calls_keep_within_three_requests_a_minute_and_nine_in_fifteen(platform, tmp_path):
    """144 calls of two days, one every 20 minutes: none of the requests is refused."""
    clock, said = Clock(platform), []
    rest = client(platform, TokenCache(tmp_path / "cache" / "t.json", pytest.fail, clock), said.append, clock.sleep)
    ages = {number: 1200.0 * number for number in range(144)}
    for number, age in ages.items():
        call_file(tmp_path / f"{number}.wav.json", call_id=f"uii-{number}", age=age)
    platform.interactions = [segment(number, number + 1, age=age) for number, age in ages.items()]
    files = find(tmp_path)
    expected = len(windows_of(files, time.time()))
    join = ask(rest, files)
    assert (len(files), len(join.joined), join.waiting) == (144, 144, [])
    assert 15 <= expected <= 17
    assert platform.count("/voice/") == expected
    assert not any(answer.status == 429 for answer in platform.answered)
    assert clock.ahead > 900.0
    assert agents(tmp_path / "143.wav.json") == ["144"]
    rest.close()
