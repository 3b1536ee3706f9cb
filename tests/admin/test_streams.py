"""Events and taps over real connections."""

import io
import json
import socket
import wave
from contextlib import ExitStack

import numpy as np
import pytest

from flowcore.admin import event_feed, streams
from tests.support.admin_api import SECRET
from tests.support.asking import call
from tests.support.live import PATIENCE, until
from tests.support.phone import said

pytestmark = pytest.mark.slow


def read(stream, lines):
    """The next lines of a stream, without empty ones."""
    got = []
    for line in stream:
        got += [line] * bool(line)
        if len(got) == lines:
            return got
    return got


def test_events_are_streamed_as_they_come(served):
    with served.client.stream("GET", "/v1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        lines = answer.iter_lines()
        assert read(lines, 1) == [": connected"]
        served.emit("flow_opened", flow="f", call_id="c")
        number, name, data = read(lines, 3)
        assert (number, name) == ("id: 1", "event: flow_opened")
        assert json.loads(data.removeprefix("data: ")) == {
            "event": "flow_opened",
            "level": "info",
            "flow": "f",
            "call_id": "c",
        }


def test_one_reader_too_many_is_told_to_try_again(served, monkeypatch):
    monkeypatch.setattr(event_feed, "MAX_READERS", 1)
    with served.client.stream("GET", "/v1/events") as first:
        lines = first.iter_lines()  # once it is gone, httpx closes the connection
        read(lines, 1)
        answer = served.get("/v1/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert served.reported() == {"rejected": ["too_many_readers", "127.0.0.1", 1]}

    def is_let_in() -> bool:
        with served.client.stream("GET", "/v1/events") as answer:
            return answer.status_code == 200

    until(is_let_in)


def test_a_reader_that_never_reads_is_dropped_and_reported_and_others_miss_nothing(served):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as deaf, ExitStack() as stack:
        deaf.sendall(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode())
        assert deaf.recv(1).startswith(b"H")
        lines = stack.enter_context(served.client.stream("GET", "/v1/events")).iter_lines()
        read(lines, 1)
        count = 3000
        for number in range(count):
            served.emit("gap", number=number, detail="x" * 4000)
            data = read(lines, 3)[2]
            assert json.loads(data.removeprefix("data: "))["number"] == number
        assert served.reported() == {"rejected": ["slow_reader", "", 1]}


def test_a_tap_gives_times_and_levels_until_the_call_ends(live, served):
    phone = call(live, "one")
    with served.client.stream("GET", "/v1/calls/one/tap", params={"node": "voices", "track": "agent"}) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        phone.talk(7, 1.0)
        phone.stop()
        phone.hang_up()
        chunks = [json.loads(line) for line in answer.iter_lines()]
    assert {chunk["track"] for chunk in chunks} == {"agent"}
    assert (chunks[0]["start"], chunks[-1]["end"], sum(chunk["lost"] for chunk in chunks)) == (0, 1, 0)
    assert all(-60 < chunk["rms_db"] < 0 for chunk in chunks)


def test_a_tap_gives_a_wav_file_with_every_sample_of_a_party(live, served):
    phone = call(live, "one")
    options = {"node": "voices", "track": "customer", "format": "wav"}
    with served.client.stream("GET", "/v1/calls/one/tap", params=options) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        phone.talk(7, 1.0)
        phone.stop()
        phone.hang_up()
        data = answer.read()
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
    assert (np.frombuffer(data[44:], "<i2") == said(7, 1.0)[:, 1]).all()


def test_a_tap_gives_the_stereo_that_the_recorder_gets(live, served):
    phone = call(live, "one")
    with served.client.stream("GET", "/v1/calls/one/tap", params={"node": "wav", "format": "wav"}) as answer:
        phone.talk(7, 1.0)
        phone.stop()
        phone.hang_up()
        data = answer.read()
    assert (np.frombuffer(data[44:], "<i2").reshape(-1, 2) == said(7, 1.0)).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"node": "nope"}, "there is no node 'nope': name one of"),
        ({"node": "voices", "format": "wav"}, "choose one with track=agent or track=customer"),
    ],
)
def test_what_cannot_be_tapped_is_400_with_what_to_do(live, served, options, text):
    call(live, "one")
    answer = served.get("/v1/calls/one/tap", params=options)
    assert answer.status_code == 400
    assert text in answer.json()["detail"]


def test_one_tap_too_many_is_told_to_try_again(live, served, monkeypatch):
    monkeypatch.setattr(streams, "MAX_TAPS", 1)
    call(live, "one")
    with served.client.stream("GET", "/v1/calls/one/tap") as first:
        assert first.status_code == 200
        assert served.get("/v1/calls/one/tap").status_code == 503
