"""A recorded call that is played again is the same call, to the last byte of its WAV file."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from flowcore import CannotStart
from flowcore.graph.load import load, load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import run_listener, run_plan
from nodes.doctor.call_recorder import CallRecorder
from nodes.doctor.redact_grpc import redact_event
from nodes.ringcx.call_peer import CallPeer
from nodes.ringcx.call_recording import VERSION, Closed, Message, Opened, encode
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.dialog_sender import METHOD, DialogSender
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.redact import Redactor
from nodes.simulators.known_audio import mulaw
from nodes.sources.ringcx_recording import RingCXRecording
from tests.support.live import Live
from tests.support.phone import Phone, said, stereo
from tests.support.phone_grpc import GrpcPhone, over_grpc
from tests.support.watching import SPOKEN

GRAPH = """
flowcore: 1
nodes:
  call: {{use: ringcx_recording, with: {{path: "{recording}", speed: {speed}}}}}
  ordered: {{use: reorder, from: call, with: {{window: 120ms, chunk: 100ms}}}}
  voices: {{use: decode_mulaw, from: ordered}}
  wav: {{use: wav_file, from: voices, with: {{path: "{folder}/{{flow}}.wav"}}}}
"""


def played(recording: Path, folder: Path, speed: float = 0):
    """The run of a recording on a virtual clock, and its WAV file."""
    text = GRAPH.format(recording=recording, speed=speed, folder=folder)
    result = run_plan(compile_graph(load_text(text)))
    return result, next(iter(folder.glob("*.wav")), None)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """Every connection of the listener `ringcx` is recorded."""

    class RecordedPeer(CallPeer):
        def __init__(self, host, request, *arguments, **limits):
            super().__init__(host, request, *arguments, **limits)
            self.recorder = CallRecorder(tmp_path / "call.jsonl", Redactor(None))
            self.recorder.begin(request, self._opened_at)

        def messages_received(self, messages, now):
            for data in messages:
                self.recorder.message(data, now)
            super().messages_received(messages, now)

        def closed(self, reason):
            assert self.recorder.close(reason, None, self._host.now())
            super().closed(reason)

    monkeypatch.setattr("nodes.ringcx.listener.CallPeer", RecordedPeer)
    return tmp_path / "call.jsonl"


def troubled(call: int, seconds: float, seed: int) -> list[bytes]:
    """Both parties' messages with some lost, doubled and overtaken, and some that are none."""
    chance = random.Random(seed)
    caller = CallSender({"call_id": "troubled"})
    parts = {track: mulaw(call, track, seconds) for track in ("agent", "customer")}
    sent = []
    for at in range(0, len(parts["agent"]), 160):
        for track, data in parts.items():
            message = caller.media(track, data[at : at + 160])
            sent += [message] * chance.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    for _ in range(20):
        at = chance.randrange(len(sent) - 4)
        sent[at], sent[at + 3] = sent[at + 3], sent[at]
    sent[30:30] = [b"no JSON", b'{"event":"Weather"}', b'{"event":"Media"}']
    return sent


@pytest.mark.parametrize("seed", range(3))
def test_live_call_with_losses_plays_again_to_the_same_bytes(recorded, tmp_path, seed):
    live, again = tmp_path / "live", tmp_path / "again"
    # What a busy machine makes a pause is one in both.
    with Live("record", [f"wav.path={live}/{{flow}}.wav", "ordered.hold=fill"], calls=1) as engine:
        phone = Phone(engine.url)
        phone.start()
        phone.say(*troubled(seed, 3.0, seed))
        phone.stop()
        phone.hang_up()
    result, wav = played(recorded, again)
    heard = next(live.glob("*.wav")).read_bytes()
    assert len(heard) > 80_000
    assert wav.read_bytes() == heard
    assert [flow.reason for flow in result.flows] == ["stop"]


def test_live_grpc_call_with_losses_plays_again_to_the_same_bytes(monkeypatch, tmp_path):
    class RecordedPeer(GrpcPeer):
        def __init__(self, *arguments, **limits):
            super().__init__(*arguments, **limits)
            self.recorder = CallRecorder(tmp_path / "call.jsonl", Redactor(None))
            self.recorder.begin(Request(METHOD, Headers()), self._opened_at, "grpc")

        def receive(self, data, now):
            self.recorder.message(data, now)
            super().receive(data, now)

        def end(self, reason, detail=""):
            if not self.closed:
                assert self.recorder.close(reason, None, self._host.now())
            super().end(reason, detail)

    monkeypatch.setattr("nodes.ringcx.grpc_service.GrpcPeer", RecordedPeer)
    live, again = tmp_path / "live", tmp_path / "again"
    with Live(over_grpc(tmp_path, "record"), [f"wav.path={live}/{{flow}}.wav", "ordered.hold=fill"], calls=1) as engine:
        phone = GrpcPhone(engine.url)
        phone.start()
        phone.talk(3, 1.0)
        phone.say(b"\xff\xff", phone.sender.info("agent", "hold"), b"", phone.sender.dialog_init())
        phone.sender.media("agent", b"lost")
        phone.say(phone.sender.media("nowhere", bytes(800)), phone.sender.media("agent", bytes(800), 3))
        phone.talk(4, 2.0)
        assert phone.hang_up() == "OK"
    result, wav = played(tmp_path / "call.jsonl", again)
    heard = next(live.glob("*.wav")).read_bytes()
    assert len(heard) > 80_000
    assert wav.read_bytes() == heard
    assert [flow.reason for flow in result.flows] == ["stop"]
    assert {event.data["what"] for event in result.named("segment_reported")} == {"hold"}


def test_a_recording_of_grpc_is_not_held_back_however_fast_the_call_came(tmp_path):
    sender = DialogSender({"call_id": "c"})
    parts = {track: mulaw(1, track, 60.0) for track in ("agent", "customer")}
    messages = [sender.dialog_init(), *map(sender.segment_start, parts)]
    for at in range(0, 480_000, 800):
        messages += [sender.media(track, data[at : at + 800]) for track, data in parts.items()]
    lines = [encode(Opened(VERSION, 100.0, "2026-01-02T03:04:05+00:00", METHOD, [], "grpc"))]
    lines += [encode(Message(100.0, redact_event(message, Redactor(None)))) for message in messages]
    (tmp_path / "a.jsonl").write_bytes(b"".join([*lines, encode(Closed(101.0, "cancelled"))]))
    result, wav = played(tmp_path / "a.jsonl", tmp_path)
    assert [flow.reason for flow in result.flows] == ["cancelled"]
    assert (stereo(wav) == said(1, 60.0)).all()


def recording(path: Path, *events: tuple[float, bytes], query: str = "", closed: Closed | None = None) -> Path:
    lines = [encode(Opened(VERSION, 100.0, "2026-01-02T03:04:05+00:00", f"/{query}", []))]
    lines += [encode(Message(100.0 + at, data.decode())) for at, data in events]
    lines += [encode(closed)] if closed else []
    path.write_bytes(b"".join(lines))
    return path


def talk(caller: CallSender, call: int, seconds: float, since: float = 0.0, hold: float = 0.0):
    """Both parties' messages in real time; in the middle there is a pause of ``hold`` seconds."""
    parts = {track: mulaw(call, track, seconds) for track in ("agent", "customer")}
    for at in range(0, len(parts["agent"]), 160):
        when = since + at / 8000 + (hold if at >= len(parts["agent"]) / 2 else 0.0)
        for track, data in parts.items():
            yield round(when, 6), caller.media(track, data[at : at + 160])


def call(path: Path, seconds: float = 4.0, hold: float = 0.0) -> Path:
    caller = CallSender({"call_id": "c", "session_id": "1"})
    events = [(0.0, caller.connected()), (0.0, caller.start()), *talk(caller, 1, seconds, hold=hold)]
    end = seconds + hold
    return recording(
        path, *events, *[(end, caller.stop(4, "2026"))] * 2, closed=Closed(100.5 + end, "peer_closed", 1000)
    )


def test_recording_plays_what_was_said(tmp_path):
    _, wav = played(call(tmp_path / "a.jsonl"), tmp_path)
    assert (stereo(wav) == said(1, 4.0)).all()


def test_hold_is_as_long_as_it_was_at_any_speed(tmp_path):
    path = call(tmp_path / "a.jsonl", hold=300.0)
    results = {}
    for speed in (0, 1, 100):
        results[speed], wav = played(path, tmp_path / str(speed), speed)
        assert (tmp_path / "0" / wav.name).read_bytes() == wav.read_bytes()
        assert stereo(wav).shape[0] == pytest.approx(304 * 8000, abs=400)
    assert results[0].seconds < 1
    assert results[100].seconds == pytest.approx(3.04, abs=1)
    assert results[1].seconds == pytest.approx(304, abs=1)


def test_silence_longer_than_idle_ends_the_call_as_it_did_then(tmp_path):
    result, wav = played(call(tmp_path / "a.jsonl", hold=3601.0), tmp_path)
    assert [flow.reason for flow in result.flows] == ["idle"]
    assert (stereo(wav) == said(1, 2.0)).all()


def test_one_stop_and_silence_end_the_call_where_they_did(tmp_path):
    caller = CallSender({"call_id": "c"})
    stop = (1.0, caller.stop(1, "2026"))
    path = recording(
        tmp_path / "a.jsonl", (0.0, caller.start()), *talk(caller, 1, 1.0), stop, *talk(caller, 2, 1.0, since=4.0)
    )
    result, wav = played(path, tmp_path)
    assert [flow.reason for flow in result.flows] == ["stop"]
    assert (stereo(wav) == said(1, 1.0)).all()


def test_half_a_recording_ends_like_a_lost_connection(tmp_path):
    path = call(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result, wav = played(path, tmp_path)
    assert [flow.reason for flow in result.flows] == ["peer_lost"]
    half = stereo(wav)
    assert 0 < len(half) < 4 * 8000
    both = min(len(half), len(said(1, 4.0))) - 160
    assert (half[:both] == said(1, 4.0)[:both]).all()


def test_session_is_known_by_what_the_query_and_start_said(tmp_path):
    caller = CallSender({"call_id": "by-start"})
    path = recording(tmp_path / "a.jsonl", (0.0, caller.start()), query="?callId=by-query&agentId=7")
    heard = run_listener(RingCXRecording, {"path": str(path), "speed": 0})
    assert heard[0].session.attributes["call_id"] == "by-start"
    assert heard[0].session.attributes["agent_id"] == "7"


def test_recording_without_a_call_says_so(tmp_path):
    path = recording(tmp_path / "a.jsonl", (0.0, CallSender({}).connected()), closed=Closed(101.0, "peer_closed"))
    result, wav = played(path, tmp_path)
    assert wav is None
    assert [event.data["reason"] for event in result.named("start_missing")] == ["peer_closed"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory; give the path of a recording"),
        (b"", "it is empty; `flowcore capture` makes recordings"),
        (b"RIFF\x00\x00WAVE\n", "line 1 is not valid in a recording"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(tmp_path, content, why):
    path = tmp_path / "a.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CannotStart) as error:
        run_listener(RingCXRecording, {"path": str(path), "speed": 0})
    assert why in str(error.value)
    assert str(path) in str(error.value)


def test_captions_page_has_no_port_in_a_replay(tmp_path: Path) -> None:
    shutil.copy(SPOKEN, tmp_path)
    graph = tmp_path / "replay.yaml"
    graph.write_text(
        f"flowcore: 1\nimport: [{SPOKEN.name}]\nnodes:\n"
        f"  call: {{use: ringcx_recording, with: {{path: {call(tmp_path / 'call.jsonl', 0.1)}, speed: 0}}}}\n"
        "  words: {use: spoken, from: call}\n  page: {use: captions, from: words}\n"
    )
    result = run_plan(compile_graph(load(graph)))
    assert [event.node for event in result.named("page_unavailable")] == ["page"]
