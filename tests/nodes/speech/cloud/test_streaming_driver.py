"""Streaming engines in whole graphs: providers that fail, the recording beside them, and the fallback."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flowcore import Audio, Emit, Text, speech
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.speech import Ended, Listener, OverQuota, Rejected, Stream, Unavailable
from flowcore.testing import joined, run_plan
from nodes.audio import g711, wav
from nodes.speech.cloud.streaming_driver import StreamingDriver
from nodes.speech.driver import FLUSH_TIMEOUT, Transcripts
from nodes.speech.testing import SpokenWord, TranscribeHarness, to_chunks, word_error_rate
from tests.support.parrot import Parrot, speak
from tools.voices import telephone
from tools.wer import BECKETT


class Useless(Parrot):
    """Every stream ends with ``error``, or hangs where there is none."""

    error: Any = None

    def stream(self, encoding: Any, rate: int, listener: Listener) -> Stream:
        stream = super().stream(encoding, rate, listener)
        if self.error is not None:
            listener(Ended(self.error("no")))
        return stream


@pytest.fixture
def useless(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(kind: Any) -> None:
        cls = type("Cls", (Useless,), {"error": kind})
        monkeypatch.setitem(speech.available(), "useless", SimpleNamespace(load=lambda: cls))

    return make


GRAPH = """
flowcore: 1
nodes:
  voices: {use: wav_source, with: {agent: agent.wav, customer: agent.wav, chunk: 100ms}}
  coded: {use: encode_mulaw, from: voices}
  wav: {use: wav_file, from: voices, with: {path: "recording.wav"}}
  text: {use: transcribe, from: coded, with: {engine: useless}}
  file: {use: transcript_file, from: text, with: {path: "text.jsonl"}}
"""


@pytest.fixture
def recording(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.chdir(tmp_path)
    words = [SpokenWord(n, n * 0.5, n * 0.5 + 0.3) for n in range(1, 60)]
    samples = g711.decode(speak(words, 31.0))
    (tmp_path / "agent.wav").write_bytes(wav.header("s16", 8000, 1, 2 * len(samples)) + samples.tobytes())
    return samples


@pytest.mark.fault(45)
@pytest.mark.parametrize("kind", [None, Rejected, Unavailable, OverQuota])
def test_a_provider_of_no_use_never_touches_the_recording(kind, useless, recording):
    useless(kind)
    result = run_plan(compile_graph(load_text(GRAPH)))
    (flow,) = result.flows
    failed = [error.node for error in flow.failures]
    assert failed == (["text"] if kind is Rejected else [])  # this branch only, loudly
    rate, samples = wav.decode(Path("recording.wav").read_bytes())
    assert rate == 8000
    for channel in samples.T:
        assert np.array_equal(channel[: len(recording)], recording)
    transcript = Path("text.jsonl").read_text()
    assert ("untranscribed" in transcript) == (kind is not Rejected)  # nobody is left to believe that all was silence
    assert 31.0 <= result.seconds < 31.0 + 10.5  # the engine's deadline for the end of a flow


class Local:
    """A fallback that notes what it is given, and says how many seconds that was."""

    def __init__(self, host: Any, transcripts: Any) -> None:
        self.host = host
        self.transcripts = transcripts
        self.chunks: list[Audio] = []
        self.flushed = False
        self.closed = False
        self.took_over = host.now()

    def push(self, chunk: Audio) -> None:
        self.chunks.append(chunk)
        self.host.alarm(self.host.now() + 3.0)

    def flush(self, by: float) -> None:
        self.flushed = True

    def busy(self) -> bool:
        return False

    def collect(self, emit: Emit[Text]) -> None:
        if self.flushed and self.chunks:
            end = self.chunks[-1].end / 16000
            self.transcripts["agent"].final(0.0, end, "local")
        for text in self.transcripts["agent"].take():
            emit(text)

    def close(self) -> None:
        self.closed = True


class Stand:
    """What `StreamingDriver` needs of a node, with a clock to turn."""

    def __init__(self, engine: Parrot) -> None:
        self.engine = engine
        self.time = 0.0
        self.alarms: list[float] = []
        self.out: list[Text] = []
        self.events: list[str] = []
        self.report: Any = SimpleNamespace(event=lambda name, **data: self.events.append(name), dropped=lambda *a: None)
        self.locals: list[Local] = []
        self.transcripts = Transcripts(lambda: self.now(), 0.5)
        self.streams = StreamingDriver(self, engine, 60.0, True, self.transcripts, self.fallback)

    def fallback(self, host: Any) -> Local:
        self.locals.append(Local(host, self.transcripts))
        return self.locals[-1]

    def wake(self) -> None:
        pass

    def alarm(self, when: float) -> None:
        self.alarms.append(when)

    def now(self) -> float:
        return self.time

    def play(self, chunks: list[Audio]) -> None:
        for chunk in chunks:
            self.time = self.engine.now = chunk.end / chunk.rate
            for stream in self.engine.streams:
                stream.tick()
            self.streams.push(chunk)
            self.streams.collect(self.out.append)


@pytest.mark.parametrize(("kind", "within"), [(OverQuota, 2.0), (Unavailable, 20.0)])
def test_the_fallback_hears_all_that_has_no_final_text_from_its_first_sample(kind, within):
    engine = Useless()
    engine.open()
    stand = Stand(engine)
    samples = speak([SpokenWord(1, 0.2, 0.6), *(SpokenWord(n, n * 0.4, n * 0.4 + 0.3) for n in range(5, 70))], 30.0)
    chunks = to_chunks(samples, "mulaw", 8000)
    stand.play(chunks[:16])
    assert [text.text for text in stand.out if text.final] == ["w1"]
    told = stand.streams._tracks["agent"]._final_end
    engine.error = kind
    engine.streams[-1].over = True
    engine.streams[-1]._listener(Ended(kind("no more")))
    stand.play(chunks[16:])
    (local,) = stand.locals
    assert stand.events[-1] == "fallback_started"
    assert len(engine.streams) >= 3
    assert local.took_over < 1.6 + within
    assert local.chunks[0].start == 2 * told
    heard = joined([chunk.replace(start=chunk.start - 2 * told) for chunk in local.chunks])
    linear = g711.decode(samples)[told:]
    assert len(heard) >= 2 * len(linear) - 100  # the filter sees ahead by 6 ms
    assert np.array_equal(heard[::2], linear[: -(-len(heard) // 2)])  # every sample, once, in its place
    assert stand.alarms[-1] == pytest.approx(stand.time + 3.0)  # the fallback's own, as no stream wants one
    stand.streams.flush(stand.time + FLUSH_TIMEOUT)
    stand.streams.collect(stand.out.append)
    assert local.flushed
    assert not stand.streams.busy()
    assert [(text.text, text.utterance) for text in stand.out if text.final] == [("w1", 0), ("local", 1)]
    stand.streams.close()
    assert local.closed


def test_closing_cancels_all_streams():
    engine = Parrot()
    engine.open()
    stand = Stand(engine)
    stand.play(to_chunks(speak([SpokenWord(1, 0.2, 0.6)], 2.0), "mulaw", 8000))
    stand.streams.close()
    engine.close()


@pytest.mark.model
def test_when_the_quota_is_used_up_a_model_here_goes_on_and_no_word_is_missing(useless):
    useless(OverQuota)
    # One utterance: on a virtual clock there is no time to hear short ones in their context.
    settings = {"fallback": "moonshine", "processes": 1, "long_pause": "1600ms"}
    call = TranscribeHarness({"use": "useless"}, {}, lambda number: "", 0.0, settings, lambda now: None)
    call.play(to_chunks(g711.encode(telephone("beckett.wav")), "mulaw", 8000))
    call.drain(60.0)
    call.close()
    assert ("fallback_started", {"reason": "OverQuota"}) in call.harness.events
    assert word_error_rate(BECKETT, " ".join(text.text for text in call.finals)) <= 0.1
    assert not call.gaps
