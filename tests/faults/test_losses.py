"""Row 56: what a call lost is the same figure wherever a user looks."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flowcore import ANY_AUDIO, TEXT, Audio, Duration, Emit, Format, Packet, Sink, Text, Transform, node
from flowcore.cli.log import Log
from flowcore.control.handler import calls as live_calls
from flowcore.engine.engine import Engine
from flowcore.graph.load import load
from flowcore.graph.model import GraphNode
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan
from flowcore.testing import Fail, FakeDisk, GraphResult, VirtualPool, inject, run_plan, spend
from nodes.sinks.transcript_file import TranscriptFile
from nodes.transforms.netsim import Netsim
from tests.engine.nodes import Broken, Tones, plan, step
from tests.faults.calls import TRACKS, recording, with_calls
from tests.support.phone import said, stereo

pytestmark = pytest.mark.slow

SECONDS = 20.0
GRAPH = """
flowcore: 1
nodes:
  call:    {{use: ringcx, with: {{port: 0}}}}
  line:    {{use: netsim, from: call, with: {line}}}
  ordered: {{use: reorder, from: line}}
  voices:  {{use: decode_mulaw, from: ordered}}
  wav:     {{use: wav_file, from: voices, with: {{path: "{folder}/{{call_id}}.wav"}}}}
"""


def over_a_line(folder: Path, line: str, *settings: str) -> Plan:
    """The plan of a recorded call of 20 s whose packets pass a bad line."""
    path = folder / "graph.yaml"
    path.write_text(GRAPH.format(line=line, folder=folder))
    return with_calls(compile_graph(load(path, settings)), calls=1, length=Duration(f"{SECONDS:g}s"))


def played(plan: Plan) -> tuple[GraphResult, list[dict[str, Any]]]:
    """Run a plan; return its result, and the list of live calls in the slot before the last."""
    seen: list[list[dict[str, Any]]] = []

    def prepare(engine: Engine) -> None:
        engine.every_slot(lambda: seen.append(live_calls(engine)))

    result = run_plan(plan, prepare=prepare)
    return result, next(calls for calls in reversed(seen) if calls)


def logged(result: GraphResult, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The log of a run, as JSON."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log = Log(as_json=True)
    for event in result.events:
        log.event(event)
    log.close(result.engine.totals)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def end_of(result: GraphResult) -> Any:
    (closed,) = result.named("flow_closed")
    return closed


@pytest.mark.fault(56)
def test_twenty_percent_of_lost_packets_are_the_same_loss_everywhere(tmp_path):
    result, (call,) = played(over_a_line(tmp_path, "{loss: 0.2, seed: 3}"))
    end = end_of(result)
    silence = result.flows[0].stats["ordered"].filled["lost"]
    assert end.data["lost_ms"] == pytest.approx(0.2 * 2 * SECONDS * 1000, rel=0.1)
    assert end.data["lost"] == {"ordered": {"lost": silence.json()}}
    assert (end.level, end.data["reason"], end.data["call_id"]) == ("warning", "stop", "load-000000")
    assert end.data["parties"] == ["agent", "customer"]
    totals = result.engine.totals
    assert totals.json()["lost"] == end.data["lost"]
    assert totals.json()["lost_ms"] == end.data["lost_ms"]
    assert totals.exit_code == 1
    assert call["lost_ms"] == pytest.approx(end.data["lost_ms"], abs=500)  # what was missing at the very end


def about(recording: Path) -> dict[str, Any]:
    return json.loads(recording.with_name(f"{recording.name}.json").read_text())


@pytest.mark.fault(56)
def test_the_gaps_of_a_recording_are_where_packets_were_lost_and_nowhere_else(tmp_path):
    result = run_plan(over_a_line(tmp_path, "{loss: 0.2, loss_burst: 3, seed: 3}"))
    (path,) = tmp_path.glob("*.wav")
    found, heard = about(path), stereo(path)
    assert (found["end"], found["complete"]) == ("call", False)
    assert found["lost"] == {"ordered": {"lost": pytest.approx(end_of(result).data["lost_ms"] / 1000)}}
    assert {(gap["reason"], gap["node"]) for gap in found["gaps"]} == {("lost", "ordered")}
    sent = said(0, SECONDS)[: len(heard)]
    for channel, track in enumerate(TRACKS):
        whole = sent[:, channel].copy()
        for gap in found["gaps"]:
            if gap["track"] == track:
                whole[round(gap["start"] * 8000) : round(gap["end"] * 8000)] = 0
        assert (heard[:, channel] == whole).all()


@pytest.mark.fault(56)
def test_the_files_of_a_recording_share_its_losses(tmp_path):
    result = run_plan(over_a_line(tmp_path, "{loss: 0.2, seed: 3}", "wav.length=6s"))
    parts = sorted((about(path) for path in tmp_path.glob("*.wav")), key=lambda part: part["segment"])
    assert len(parts) == 4
    lost = [part["lost"]["ordered"]["lost"] for part in parts]
    assert sum(lost) == pytest.approx(end_of(result).data["lost_ms"] / 1000)
    for part, seconds in zip(parts, lost, strict=True):
        assert not part["complete"]
        assert all(part["start"] <= gap["start"] < gap["end"] for gap in part["gaps"])
        assert all(gap["end"] <= part["start"] + part["seconds"] for gap in part["gaps"])
        assert sum(gap["end"] - gap["start"] for gap in part["gaps"]) == pytest.approx(seconds)


class BadLineOfTheCustomer(Netsim):
    """Loses packets of the customer only."""

    def process(self, chunk: Packet, emit: Emit[Packet]) -> None:
        super().process(chunk, emit) if chunk.track == "customer" else emit(chunk)


@pytest.mark.fault(56)
def test_the_recording_and_the_transcript_of_one_party_have_the_losses_of_that_party_only(tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_text(
        GRAPH.format(line="{loss: 0.2, seed: 3}", folder=tmp_path)
        + "".join(
            f"""
  {track}: {{use: wav_file, from: party.{track}, with: {{path: "{tmp_path}/{track}.wav"}}}}
  {track}_words: {{use: transcribe, from: party.{track}, with: {{engine: moonshine}}}}
  {track}_text: {{use: transcript_file, from: {track}_words, with: {{path: "{tmp_path}/{track}.jsonl"}}}}"""
            for track in TRACKS
        )
        + "\n  party: {use: split, from: voices}\n"
    )
    plan = with_calls(compile_graph(load(path)), calls=1, length=Duration("5s"))
    for words in ("agent_words", "customer_words"):
        plan = plan.with_class(words, Scribe)
    result = run_plan(plan.with_class("line", BadLineOfTheCustomer))
    lost = end_of(result).data["lost_ms"] / 1000
    assert lost > 0.5
    for name in ("agent.wav", "agent.jsonl"):
        assert (about(tmp_path / name)["complete"], about(tmp_path / name)["gaps"]) == (True, [])
    for name in ("customer.wav", "customer.jsonl", "load-000000.wav"):
        found = about(tmp_path / name)
        assert not found["complete"]
        assert found["lost"] == {"ordered": {"lost": pytest.approx(lost)}}
        assert {gap["track"] for gap in found["gaps"]} == {"customer"}


@pytest.mark.fault(56)
def test_a_recording_is_complete_from_the_socket_to_the_file_when_nothing_was_lost(tmp_path):
    run_plan(over_a_line(tmp_path, "{duplicate: 0.5, reorder: 0.1, seed: 3}"))
    (path,) = tmp_path.glob("*.wav")
    assert about(path)["complete"]
    assert about(path)["gaps"] == []
    assert "lost" not in about(path)


@pytest.mark.fault(56)
def test_a_recording_behind_a_node_that_failed_is_not_complete(tmp_path):
    result = run_plan(inject(recording(tmp_path, calls=1, length=Duration("10s")), "ordered", Fail(at=505)))
    (path,) = tmp_path.glob("*.wav")
    held = result.flows[0].stats["ordered"].dropped["node_failed"].seconds
    assert held > 0
    assert (about(path)["end"], about(path)["complete"]) == ("call", False)
    assert about(path)["lost"] == {"ordered": {"node_failed": pytest.approx(held)}}


@pytest.mark.fault(56)
def test_packets_that_come_twice_are_no_loss(tmp_path):
    result, (call,) = played(over_a_line(tmp_path, "{duplicate: 1, seed: 3}"))
    end = end_of(result)
    repeats = result.flows[0].stats["ordered"].dropped["duplicate"]
    assert repeats.chunks == 2 * SECONDS * 50
    assert (end.data["lost_ms"], end.data["lost"], end.level) == (0, {}, "info")
    assert end.data["dropped"] == {"ordered": {"duplicate": repeats.json()}}
    assert (call["lost_ms"], result.engine.totals.exit_code) == (0, 0)


@pytest.mark.fault(56)
def test_a_packet_that_comes_after_its_silence_is_lost_once(tmp_path):
    result, _ = played(over_a_line(tmp_path, "{reorder: 0.05, reorder_window: 900ms, seed: 3}"))
    stats = result.flows[0].stats["ordered"]
    assert stats.dropped["late"].chunks > 10
    assert end_of(result).data["lost"] == {"ordered": {"lost": stats.filled["lost"].json()}}


def full_for(disk: FakeDisk, begin: float, end: float) -> Callable[[Engine], None]:
    def prepare(engine: Engine) -> None:
        began = engine.now()

        def look() -> None:
            full = begin <= engine.now() - began < end
            if full != (disk.room is not None):
                disk.room = 5000 if full else None

        engine.every_slot(look)

    return prepare


@pytest.mark.fault(56)
def test_the_end_of_a_call_tells_what_a_full_disk_cost_where_and_which_files_there_are(tmp_path, monkeypatch):
    recorded = recording(tmp_path, calls=1, length=Duration("40s"))
    with FakeDisk(tmp_path) as disk:
        result = run_plan(recorded, prepare=full_for(disk, 10, 30))
    end, lost = end_of(result), result.flows[0].stats["wav"].dropped["disk_full"]
    assert end.level == "warning"
    assert end.data["lost"] == {"wav": {"disk_full": lost.json()}}
    assert end.data["lost_ms"] == pytest.approx(20_000, abs=6_000)  # it tries again every 5 s
    assert [Path(path).name for path in end.data["files"]] == ["load-000000.wav", "load-000000-2.wav"]
    second = about(tmp_path / "load-000000-2.wav")
    assert (second["complete"], second["lost"]) == (False, {"wav": {"disk_full": pytest.approx(lost.seconds)}})
    lines = [line for line in logged(result, monkeypatch) if line["event"] == "audio_dropped"]
    told = {key: lines[0][key] for key in ("level", "flow", "node", "call_id", "reason")}
    assert told == {
        "level": "warning", "flow": end.flow, "node": "wav", "call_id": "load-000000", "reason": "disk_full",
    }  # fmt: skip
    assert len(lines) == 1


@pytest.mark.fault(56)
def test_each_call_has_a_line_for_each_reason_however_often_it_dropped(tmp_path, monkeypatch):
    path = tmp_path / "graph.yaml"
    path.write_text(GRAPH.format(line="{loss: 0.1, duplicate: 0.5}", folder=tmp_path))
    result = run_plan(with_calls(compile_graph(load(path)), calls=3, length=Duration("3s")))
    lines = [line for line in logged(result, monkeypatch) if line["event"] == "audio_dropped"]
    drops = {("line", "simulated_loss"), ("ordered", "duplicate")}
    assert {(line["call_id"], line["node"], line["reason"]) for line in lines} == {
        (f"load-00000{call}", *drop) for call in range(3) for drop in drops
    }
    assert len(lines) == 6
    assert {line["level"] for line in lines} == {"info"}  # what the line lost is missed by `ordered`


@pytest.mark.fault(56)
def test_the_longest_wait_in_a_queue_is_told_at_the_end_of_the_call(tmp_path):
    with FakeDisk(tmp_path) as disk:
        disk.seconds = 0.5
        slow = run_plan(recording(tmp_path / "slow", calls=1, length=Duration("5s")), pool=VirtualPool())
    quick = run_plan(recording(tmp_path / "quick", calls=1, length=Duration("5s")))
    assert end_of(slow).data["delay_ms"] >= 500
    assert end_of(quick).data["delay_ms"] <= 40


@node("scribe")
class Scribe(Transform[Audio, Text]):
    """Writes a text for each piece of audio."""

    caps = (ANY_AUDIO,)

    @classmethod
    def gives(cls, config: Any, given: Format) -> Format:
        return Format("text")

    def process(self, chunk: Audio, emit: Emit[Text]) -> None:
        emit(Text(chunk.track, chunk.start / chunk.rate, chunk.end / chunk.rate, "word", True, chunk.start))


def transcribed(folder: Path, *line: GraphNode, read: str) -> GraphResult:
    """A call of 2 s whose texts go to a file, from the node ``read``."""
    words = step("words", Scribe, read)
    return run_plan(plan(*line, words, step("text", TranscriptFile, "words", path=f"{folder}/{{flow}}.jsonl")))


@pytest.mark.fault(56)
def test_a_transcript_is_not_complete_where_audio_was_lost_before_the_words(tmp_path):
    broken = step("broken", Broken, "call", at=20, on_error="restart")
    result = transcribed(tmp_path, step("call", Tones, length="2s", pace=True), broken, read="broken")
    (path,) = tmp_path.glob("*.jsonl")
    found, lost = about(path), end_of(result).data["lost"]["broken"]["node_failed"]["ms"] / 1000
    assert not found["complete"]
    assert found["lost"] == {"broken": {"node_failed": lost}}
    assert {(gap["reason"], gap["node"], gap["track"]) for gap in found["gaps"]} == {("node_failed", "broken", "agent")}


@pytest.mark.fault(56)
def test_a_transcript_without_losses_is_complete(tmp_path):
    transcribed(tmp_path, step("call", Tones, length="2s"), read="call")
    (path,) = tmp_path.glob("*.jsonl")
    assert (about(path)["complete"], about(path)["gaps"], "lost" in about(path)) == (True, [], False)


class Words(Sink[Text]):
    """Keeps the texts of a call."""

    caps = (TEXT,)
    kept: ClassVar[list[Text]] = []

    def process(self, chunk: Text) -> None:
        self.kept.append(chunk)


class Post(Words):
    """Waits in ``process``, and does not say so, for an endpoint that hangs at the sixth text."""

    kept: ClassVar[list[Text]] = []
    hang: ClassVar[float] = 0.0

    def process(self, chunk: Text) -> None:
        if len(self.kept) == 5:
            spend(self.hang)
        self.kept.append(chunk)


class Wordy(Scribe):
    """Writes a text a second, in a thread, and may lose what it has no time for."""

    runs = "thread"
    loss = "allowed"

    def process(self, chunk: Audio, emit: Emit[Text]) -> None:
        if chunk.end % 8000 == 0:
            super().process(chunk, emit)


for cls, name in ((Words, "words"), (Post, "post"), (Wordy, "wordy")):
    cls.name = name


def posted(hang: float) -> GraphResult:
    """A call of 60 s, whose texts go to two sinks."""
    for sink in (Words, Post):
        sink.kept.clear()
    Post.hang = hang
    sinks = step("post", Post, "words"), step("keep", Words, "words")
    call = step("call", Tones, length="60s", pace=True)
    return run_plan(plan(call, step("words", Wordy, "call"), *sinks), pool=VirtualPool())


@pytest.mark.fault(56)
@pytest.mark.parametrize("hang", [20.0, 50.0])
def test_a_sink_of_words_that_hangs_costs_no_word_while_its_queue_holds(hang):
    end = end_of(posted(hang))
    assert len(Words.kept) == len(Post.kept) == 60
    assert (end.data["reason"], end.data["lost"], end.level) == ("done", {}, "info")


@pytest.mark.fault(56)
def test_which_words_a_sink_lost_is_told_at_the_end_of_the_call(monkeypatch):
    result = posted(1e6)
    end = end_of(result)
    assert (len(Words.kept), end.data["reason"], end.data["failed"]) == (60, "drain_deadline", ["post"])
    assert end.data["lost"] == {"post": {"drain_deadline": {"chunks": 54, "ms": 0.0}}}
    assert end.data["lost_between"] == {"post": {"drain_deadline": (6.98, 60.0)}}  # the sixth may yet arrive
    (line,) = (line for line in logged(result, monkeypatch) if line["event"] == "audio_dropped")
    assert (line["call_id"], line["node"], line["reason"], line["chunks"]) == ("0", "post", "drain_deadline", 54)
