"""`transcribe`: its own logic with a decoder that says what it was given, and the real model on real voices."""

import gc
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flowcore import Audio, Text, Word
from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.speech import Decoded, DecodeFailed, Decoder, Rejected
from flowcore.testing import NodeHarness, run
from nodes.audio import g711
from nodes.speech.engines.moonshine import Moonshine
from nodes.speech.local.decode_queue import DecodeJob
from nodes.speech.local.decoder_pool import DecoderDied, DecoderPool
from nodes.speech.local.segmenter import DECODER_RATE, WINDOW_SAMPLES, Segmenter
from nodes.speech.local.utterance_driver import DecoderResource
from nodes.transforms.resample import Resample
from nodes.transforms.transcribe import Transcribe
from tools import prompts, wer
from tools.error_rate import error_rate, normalised
from tools.voices import telephone

SOON = 60.0  # seconds; a test that waits so long has failed
QUICK = {"enough": "0s", "interim": "0s"}


class Call(NodeHarness):
    """One node of one call, with an engine that collects when it is woken."""

    def __init__(self, config: dict[str, Any], resource: Any) -> None:
        super().__init__(Transcribe, config, resource=resource)
        self.woken = threading.Event()
        self.node.wake = self.woken.set

    def settle(self) -> "Call":
        """What the engine does between flush and close."""
        self.node.flush(self.out.append)
        self.catch_up().node.close()
        return self

    def catch_up(self) -> "Call":
        """Wait for the final texts that were asked for."""
        self.collect()
        while self.node.busy():
            assert self.woken.wait(SOON)
            self.woken.clear()
            self.collect()
        return self

    @property
    def finals(self) -> list[Text]:
        return [text for text in self.out if text.final]

    def said(self, track: str) -> str:
        return " ".join(text.text for text in self.finals if text.track == track)


class Loudness:
    """Holds loud windows for voice."""

    def __call__(self, window: np.ndarray) -> float:
        return float(np.mean(np.abs(window.astype(float))) > 1000)

    def reset(self) -> None:
        pass


class Pitches(Decoder):
    """A decoder that says the levels it hears, and that tests can hold up."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.began = threading.Event()
        self.says: dict[int, str | Decoded | Exception] = {}
        self.decoded = 0
        self.phrases: set[tuple[str, ...]] = set()
        self.lengths: list[float] = []  # seconds

    def open(self) -> None: ...
    def close(self) -> None: ...

    def decode(self, samples: np.ndarray, phrases: tuple[str, ...] = ()) -> Decoded:
        self.phrases.add(phrases)
        self.began.set()
        assert self.let.wait(SOON)
        self.decoded += 1
        self.lengths.append(len(samples) / DECODER_RATE)
        heard = " ".join(str(level) for level in np.unique(samples[samples > 0]))
        answer = next((text for level, text in self.says.items() if str(level) in heard.split()), heard)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Decoded) else Decoded(answer)


@pytest.fixture
def pitches() -> Pitches:
    return Pitches()


@pytest.fixture
def resource(pitches: Pitches) -> Iterator[Any]:
    pool = DecoderPool([pitches], 60)
    yield SimpleNamespace(voice=SimpleNamespace(detector=Loudness), pool=pool)
    pitches.let.set()
    assert pool.close(SOON)


def catch_up(resource: Any) -> None:
    """Wait until the interims that are in the queue now are decoded."""
    done = threading.Event()
    resource.pool.queue.put(DecodeJob("test", object(), np.zeros(1, np.int16), False, lambda outcome: done.set()))
    assert done.wait(SOON)


def speech(level: int, seconds: float = 1.0) -> np.ndarray:
    return np.full(round(seconds * DECODER_RATE), level, np.int16)


def silence(seconds: float = 1.0) -> np.ndarray:
    return np.zeros(round(seconds * DECODER_RATE), np.int16)


def chunks(*parts: np.ndarray, track: str = "agent", start: float = 0) -> list[Audio]:
    samples, first = np.concatenate(parts), round(start * DECODER_RATE)
    return [
        Audio(samples[at : at + 1600], "s16", DECODER_RATE, track, first + at) for at in range(0, len(samples), 1600)
    ]


def test_each_utterance_is_one_final_text_with_its_times(resource):
    call = Call(QUICK, resource).push(*chunks(silence(), speech(2000), silence(), speech(3000, 2), silence())).settle()
    assert [(t.text, t.utterance, round(t.start, 1), round(t.end, 1)) for t in call.out] == [
        ("2000", 0, 1.0, 2.0),
        ("3000", 1, 3.0, 5.0),
    ]


def test_parties_in_one_stream_are_told_apart(resource):
    agent = chunks(silence(), speech(2000), silence())
    customer = chunks(silence(), speech(3000), silence(), track="customer")
    call = Call(QUICK, resource).push(*(chunk for pair in zip(agent, customer, strict=True) for chunk in pair)).settle()
    assert {(t.track, t.text, t.utterance) for t in call.out} == {("agent", "2000", 0), ("customer", "3000", 0)}


def test_stereo_is_transcribed_as_two_parties(resource):
    left = np.concatenate([silence(), speech(2000), silence(2)])
    right = np.concatenate([silence(2), speech(3000), silence()])
    both = Audio(np.stack([left, right], axis=1), "s16", DECODER_RATE, "", 0)
    call = Call(QUICK, resource).push(both).settle()
    assert [(text.track, text.text, text.start, text.end) for text in call.finals] == [
        ("agent", "2000", pytest.approx(1, abs=0.05), pytest.approx(2, abs=0.05)),
        ("customer", "3000", pytest.approx(2, abs=0.05), pytest.approx(3, abs=0.05)),
    ]


@pytest.mark.parametrize("engine", ["moonshine", "google"])
@pytest.mark.parametrize(
    ("before", "source", "layout"),
    [
        ("", "tracks", "tracks"),
        ("  stereo: {use: interleave, from: tracks}\n", "stereo", "stereo"),
        ("  party: {use: split, from: tracks}\n", "[party.agent, party.customer]", "tracks"),
    ],
)
def test_one_node_takes_both_parties_however_they_come(engine, before, source, layout):
    plan = compile_graph(
        load_text(
            "flowcore: 1\nnodes:\n  call: {use: ringcx}\n  tracks: {use: reorder, from: call}\n"
            f"{before}  words: {{use: transcribe, from: {source}, with: {{engine: {engine}}}}}\n"
            "  text: {use: console, from: words}\n"
        )
    )
    assert plan.nodes["words"].given.layout == layout


def test_interim_texts_grow_and_a_final_one_replaces_them(resource):
    call = Call({"enough": "0s", "interim": "500ms"}, resource)
    for number, chunk in enumerate(chunks(silence(0.5), speech(2000, 1.5), speech(3000, 1.5), silence())):
        call.push(chunk)
        if number % 5 == 4:
            catch_up(resource)
            call.collect()
    call.settle()
    assert {t.utterance for t in call.out} == {0}
    assert [t.final for t in call.out] == [False] * (len(call.out) - 1) + [True]
    assert [t.text for t in call.out] == ["2000", "2000 3000", "2000 3000"]  # an unchanged interim is not repeated
    assert [round(t.start, 1) for t in call.out] == [0.5] * 3


def test_the_first_interim_comes_early_and_the_steps_grow_with_the_utterance(resource, pitches):
    call = Call({"enough": "0s", "interim": "1s"}, resource)
    for chunk in chunks(speech(2000, 10)):
        call.push(chunk)
        catch_up(resource)
    decoded = [seconds for seconds in pitches.lengths if seconds > 0.1]  # the others are catch_up's
    assert [round(seconds, 1) for seconds in decoded] == [0.8, 1.9, 3.8, 7.6]
    call.settle()


def test_no_interim_is_decoded_again_before_there_is_new_voice(resource, pitches):
    call = Call({"enough": "4s", "long_pause": "2s", "interim": "500ms"}, resource)
    for chunk in chunks(silence(), speech(2000, 0.8), silence()):
        call.push(chunk)
        catch_up(resource)
    assert len([seconds for seconds in pitches.lengths if seconds > 0.1]) == 1  # the others are catch_up's
    call.settle()


def test_under_load_interims_are_dropped_and_counted_and_finals_are_not(resource, pitches):
    call = Call({"enough": "0s", "interim": "500ms"}, resource)
    pitches.let.clear()
    call.push(*chunks(speech(2000, 6), silence(), speech(3000, 6), silence()))
    pitches.let.set()
    call.settle()
    assert [t.text for t in call.finals] == ["2000", "3000"]
    assert call.dropped_chunks["stale_interim"] >= 6
    assert call.dropped["stale_interim"] == 0.0


def test_a_file_that_is_read_faster_than_decoded_waits_and_loses_nothing(resource, pitches, monkeypatch):
    monkeypatch.setattr("nodes.speech.local.utterance_driver.MAX_LEAD", 0.0)
    monkeypatch.setattr("nodes.speech.local.utterance_driver.MAX_WAITING_SECONDS", 3.0)
    resource.pool.queue.max_wait = 0.0  # a live call would lose all
    call = Call(QUICK, resource)
    waited: list[float] = []
    results = call.node._driver._results

    def get(timeout: float | None = None) -> Any:
        """The node waits: only now the decoder goes on."""
        waited.append(sum(chunk.seconds for chunk in pushed))
        pitches.let.set()
        return results.get()

    call.node._driver._results = SimpleNamespace(get=get, put=results.put, empty=results.empty)
    pitches.let.clear()
    pushed: list[Audio] = []
    for chunk in chunks(*[speech(2000), silence()] * 10):
        call.push(chunk)
        pushed.append(chunk)
    assert 3 < waited[0] < 8
    assert [text.text for text in call.settle().finals] == ["2000"] * 10


def test_a_file_does_not_wait_for_slow_decoders_until_its_thread_seems_stuck(resource, pitches, monkeypatch):
    monkeypatch.setattr("nodes.speech.local.utterance_driver.MAX_BLOCKED_SECONDS", 0.0)
    monkeypatch.setattr("nodes.speech.local.utterance_driver.MAX_WAITING_SECONDS", 3.0)
    call = Call(QUICK, resource)
    call.node.source_waits = lambda: True
    pitches.let.clear()
    call.push(*chunks(*[speech(2000), silence()] * 10))  # returns although no decoder goes on
    pitches.let.set()
    assert [text.text for text in call.settle().finals] == ["2000"] * 10


@pytest.mark.fault(59)
@pytest.mark.parametrize(("source_waits", "said"), [(True, ["2000"]), (False, [])])
def test_the_last_words_of_a_file_are_waited_for_and_those_of_a_call_for_8_s(source_waits, said, resource, pitches):
    call = Call(QUICK, resource)
    call.node.source_waits = lambda: source_waits
    pitches.let.clear()
    call.push(*chunks(speech(2000)))
    call.node.flush(call.out.append)
    call.collect().wait(60)
    assert call.node.busy() == source_waits
    pitches.let.set()
    call.catch_up()
    assert [text.text for text in call.finals if not text.gap] == said


@pytest.mark.fault(59)
def test_utterances_that_waited_too_long_are_marked_in_the_transcript_and_told(resource, pitches):
    now = [0.0]
    resource.pool.queue._now = lambda: now[0]
    resource.pool.queue.max_wait = 15
    call = Call(QUICK, resource)
    pitches.let.clear()
    for number in range(6):
        call.push(*chunks(speech(2000), silence(), start=2 * number))
        assert pitches.began.wait(SOON)
        now[0] = 4.0 * number
    pitches.let.set()
    call.settle()
    marked = [text for text in call.finals if text.gap]
    assert [text.utterance for text in call.finals] == list(range(6))
    assert [round(text.start) for text in call.finals] == [0, 2, 4, 6, 8, 10]
    assert {text.gap for text in marked} == {"untranscribed"}
    assert {text.text for text in call.finals if not text.gap} == {"2000"}
    assert len(marked) == 2
    assert call.dropped_chunks["overloaded"] == 2
    assert call.dropped["overloaded"] > 2  # seconds
    assert sum(data["utterances"] for name, data in call.events if name == "utterances_skipped") == 2
    assert sum(data["seconds"] for _, data in call.events) == pytest.approx(call.dropped["overloaded"], abs=0.1)


@pytest.mark.fault(59)
@pytest.mark.slow
def test_of_2400_s_of_30_calls_nothing_is_lost_while_the_lag_is_below_the_bound(resource, pitches, monkeypatch):
    monkeypatch.setattr("nodes.speech.local.utterance_driver.MAX_LEAD", 1000.0)  # calls, not files
    now = [0.0]
    resource.pool.queue._now = lambda: now[0]
    resource.pool.queue.max_wait = float(Transcribe.Config().max_wait)
    calls = [Call(QUICK, resource) for _ in range(30)]
    pitches.let.clear()
    for call in calls:
        call.push(*chunks(*[speech(2000, 3), silence()] * 20))
    now[0] = 14.9
    pitches.let.set()
    for call in calls:
        call.settle()
        assert [text.text for text in call.finals] == ["2000"] * 20
        assert not call.dropped_chunks


def test_a_short_pause_leaves_the_utterance_whole(resource):
    call = Call(QUICK | {"enough": "4s"}, resource)
    call.push(*chunks(silence(), speech(2000, 2), silence(0.5), speech(3000, 2), silence(2))).settle()
    assert [t.text for t in call.finals] == ["2000 3000"]


def test_a_short_utterance_is_decoded_together_with_the_one_before(resource, pitches):
    call = Call({"interim": "0s", "long_pause": "500ms"}, resource)
    call.push(*chunks(silence(), speech(2000), silence()))
    catch_up(resource)
    call.collect()
    assert [t.text for t in call.finals] == ["2000"]
    call.push(*chunks(speech(3000), silence(), start=3)).settle()
    assert [t.text for t in call.finals] == ["2000", "3000"]
    assert max(pitches.lengths) > 3  # both, and some of the silence around them


def test_interims_are_decoded_without_the_utterance_before(resource, pitches):
    call = Call({"interim": "500ms", "long_pause": "500ms"}, resource)
    call.push(*chunks(silence(), speech(2000), silence())).catch_up()
    pitches.lengths.clear()
    call.push(*chunks(speech(3000), start=3))
    catch_up(resource)
    assert max(pitches.lengths) < 2
    call.push(*chunks(silence(), start=4)).settle()
    assert max(pitches.lengths) > 3


def test_after_a_longer_pause_nothing_is_decoded_twice(resource, pitches):
    call = Call({"interim": "0s", "long_pause": "500ms"}, resource)
    call.push(*chunks(silence(), speech(2000), silence(3), speech(3000), silence())).settle()
    assert [t.text for t in call.finals] == ["2000", "3000"]
    assert max(pitches.lengths) < 2.5


def test_a_decoder_that_hangs_at_the_end_costs_its_texts_and_not_the_call(resource, pitches):
    call = Call(QUICK, resource)
    pitches.let.clear()
    call.push(*chunks(*[speech(2000), silence()] * 3))
    call.node.flush(call.out.append)
    call.collect().wait(7.9)
    assert call.node.busy()
    assert call.finals == []
    call.wait(0.2)
    assert not call.node.busy()
    assert [(t.gap, round(t.start)) for t in call.finals] == [
        ("untranscribed", 0),
        ("untranscribed", 2),
        ("untranscribed", 4),
    ]
    assert call.dropped_chunks == {"untranscribed": 3}
    pitches.let.set()
    catch_up(resource)
    assert len(call.collect().finals) == 3  # what comes now is too late
    call.node.close()


def test_what_is_refused_leaves_no_audio_in_memory(resource, pitches, monkeypatch):
    held: list[Any] = []
    cut = Segmenter._segment

    def watched(self: Segmenter, windows: int) -> Any:
        segment = cut(self, windows)
        held.append(weakref.ref(segment.samples))
        return segment

    monkeypatch.setattr(Segmenter, "_segment", watched)
    now = [0.0]
    resource.pool.queue._now = lambda: now[0]
    resource.pool.queue.max_wait = 15
    monkeypatch.setattr("nodes.speech.local.utterance_driver.MAX_LEAD", 1000.0)
    call = Call(QUICK, resource)
    pitches.let.clear()
    for number in range(20):
        now[0] = 10.0 * number
        call.push(*chunks(speech(2000), silence(), start=2 * number))
    gc.collect()
    assert sum(len(samples()) for samples in held if samples() is not None) <= 8 * DECODER_RATE
    pitches.let.set()
    assert len(call.settle().finals) == 20


@pytest.mark.parametrize("interim", ["0s", "300ms"])
def test_no_audio_that_was_decoded_waits_for_the_garbage_collector(resource, pitches, monkeypatch, interim):
    heard, decode = [], pitches.decode

    def watched(samples):
        heard.append(weakref.ref(samples))
        return decode(samples)

    monkeypatch.setattr(pitches, "decode", watched)
    call = Call({"enough": "0s", "interim": interim}, resource)
    gc.collect()
    gc.disable()
    try:
        for second in range(0, 20, 4):
            call.push(*chunks(speech(2000, 2), silence(2), start=second)).catch_up()
        catch_up(resource)  # the worker has let go of the last one
        alive = sum(samples() is not None for samples in heard)
    finally:
        gc.enable()
    assert len(call.settle().finals) == 5
    assert len(heard) >= 5
    assert alive <= 2  # the worker's last, and what the next one may have to be heard together with


def test_an_utterance_goes_on_although_we_were_held_up_ourselves(resource):
    call = Call(QUICK, resource).push(*chunks(silence(), speech(2000)))
    call.now += 5  # the process stood still, and its audio waits
    call.collect().push(*chunks(speech(3000), silence(), start=2)).settle()
    assert [t.text for t in call.finals] == ["2000 3000"]


def test_a_party_on_hold_gets_its_last_text_although_no_audio_comes(resource):
    call = Call(QUICK, resource).push(*chunks(silence(), speech(2000, 1.01)))
    call.wait(1)
    assert call.out == []
    call.wait(1)
    assert call.woken.wait(SOON)
    call.collect()
    assert [(t.text, t.final) for t in call.out] == [("2000", True)]
    call.push(*chunks(speech(3000), silence(), start=300)).settle()
    assert [t.text for t in call.finals] == ["2000", "3000"]


def test_a_text_says_how_long_after_its_audio_it_came(resource, pitches):
    call = Call(QUICK, resource)
    pitches.let.clear()
    for chunk in chunks(silence(), speech(2000), silence()):
        call.push(chunk)
        call.now += 0.1
    pitches.let.set()
    call.settle()
    (text,) = call.finals
    assert text.lag == pytest.approx(1.0, abs=0.15)  # the second of silence went by


def test_a_hold_ends_the_utterance_and_times_stay_right(resource):
    call = Call(QUICK, resource).push(*chunks(speech(2000))).push(*chunks(speech(3000), silence(), start=300)).settle()
    assert [(t.text, round(t.start, 1)) for t in call.out] == [("2000", 0.0), ("3000", 300.0)]


def test_speech_at_the_very_end_is_not_lost(resource):
    call = Call(QUICK, resource).push(*chunks(silence(), speech(2000)))
    assert call.out == []
    assert [t.text for t in call.settle().out] == ["2000"]


@pytest.mark.parametrize("noise", ["♪♪♪", "?", " ", ""])
def test_a_result_without_words_is_left_out(resource, pitches, noise):
    pitches.says[2000] = noise
    call = Call(QUICK, resource).push(*chunks(speech(2000), silence(), speech(3000), silence())).settle()
    assert [(t.text, t.utterance) for t in call.out] == [("3000", 0)]


def test_a_text_below_the_threshold_is_uncertain(resource, pitches):
    words = (Word("well", 0.2, 0.5, 0.1), Word("then", 0.5, 0.75, 0.3))
    pitches.says |= {2000: Decoded("well then", 0.2, words, "nl"), 3000: Decoded("hello", 0.9)}
    audio = chunks(speech(2000), silence(2), speech(3000), silence(2))
    marked, all_sure = (
        Call({**QUICK, "uncertain_below": below}, resource).push(*audio).settle().out for below in (0.5, 0)
    )
    assert [(t.text, t.uncertain, t.confidence, t.language) for t in marked] == [
        ("well then", True, 0.2, "nl"),
        ("hello", False, 0.9, ""),
    ]
    assert marked[0].words == words  # the utterance begins at 0
    assert not any(text.uncertain for text in all_sure)


class Unsure(Loudness):
    """Holds windows of level 2000 for noise that may be a voice."""

    def __call__(self, window: np.ndarray) -> float:
        return 0.7 if window.max() == 2000 else super().__call__(window)


@pytest.mark.parametrize("seconds", [0.25, 3])
@pytest.mark.parametrize("said", ["You.", "Thank you."])
def test_you_is_a_word_only_where_a_voice_was(resource, pitches, said, seconds):
    pitches.says |= {2000: said, 3000: said}
    resource.voice.detector = Unsure
    call = Call({"interim": "0s"}, resource)
    call.push(*chunks(silence(), speech(2000), silence(2), speech(3000, seconds), silence(2))).settle()
    assert [(t.text, t.final) for t in call.out] == [(said, True)]
    assert pitches.decoded >= 2  # the noise too


@pytest.mark.fault(63)
@pytest.mark.parametrize("seconds", [1.0, 1.0001, 1.02, 1.0319])
def test_words_cut_off_by_a_hang_up_have_a_lag_and_end_with_the_audio(resource, seconds):
    call = Call(QUICK, resource)
    for chunk in chunks(silence(), speech(2000, seconds)):
        call.push(chunk)
    call.now = 0.5
    call.settle()
    ((text),) = call.finals
    assert text.end == pytest.approx(1 + seconds, abs=WINDOW_SAMPLES / DECODER_RATE)
    assert text.end <= chunk.end / DECODER_RATE
    assert text.lag == 0.5


def test_an_interim_text_that_was_no_words_is_taken_back(resource, pitches):
    pitches.says[3000] = "♪♪"
    call = Call({"enough": "0s", "interim": "500ms"}, resource).push(*chunks(speech(2000)))
    assert call.woken.wait(SOON)
    call.collect().push(*chunks(speech(3000), silence(), start=1)).settle()
    assert [(t.text, t.final) for t in call.out][-1] == ("", True)
    assert {t.utterance for t in call.out} == {0}


def test_what_cannot_be_decoded_is_marked_and_the_call_goes_on(resource, pitches):
    pitches.says[2000] = DecodeFailed("too bad")
    call = Call(QUICK, resource).push(*chunks(speech(2000), silence(), speech(3000), silence())).settle()
    assert [(t.text, t.gap, t.utterance) for t in call.finals] == [("", "untranscribed", 0), ("3000", "", 1)]
    assert call.dropped_chunks["decode_failed"] == 1
    assert [(name, str(data["cause"])) for name, data in call.events] == [("decode_failed", "too bad")]


def test_a_service_that_rejects_every_request_fails_the_node_once_what_waits_is_marked(resource, pitches):
    pitches.says.update(dict.fromkeys((2000, 3000, 4000), Rejected("the key is refused")))
    pitches.let.clear()
    call = Call(QUICK, resource).push(*chunks(speech(2000), silence(), speech(3000), silence(), speech(4000)))
    pitches.let.set()
    with pytest.raises(Rejected, match="the key is refused"):
        call.settle()
    assert [(text.text, text.gap, round(text.start)) for text in call.finals] == [
        ("", "untranscribed", second) for second in (0, 2, 4)
    ]
    call.node.close()


def test_a_decoder_that_died_is_told_and_its_utterance_comes_once(resource, pitches, monkeypatch):
    monkeypatch.setattr("nodes.speech.local.decoder_pool.MIN_RETRY_DELAY", 0.001)
    pitches.says[2000] = DecoderDied("killed")
    call = Call(QUICK, resource)
    trouble = call.node.report.event

    def event(name: str, **data: Any) -> None:
        pitches.says.clear()
        trouble(name, **data)

    call.node.report.event = event
    call.push(*chunks(speech(2000), silence(), speech(3000), silence())).settle()
    assert [t.text for t in call.finals] == ["2000", "3000"]
    assert call.events == [("decoder_replaced", {"cause": "killed"})]


def test_a_closed_call_leaves_nothing_in_the_line(resource, pitches):
    call = Call(QUICK, resource)
    pitches.let.clear()
    call.push(*chunks(*[speech(2000), silence()] * 5))
    call.node.close()
    pitches.says[2000] = AssertionError("decoded for a closed call")
    other = Call(QUICK, resource).push(*chunks(speech(3000), silence()))
    pitches.let.set()
    assert [t.text for t in other.settle().out] == ["3000"]
    assert call.node._driver._results.qsize() <= 1  # the one that was being decoded


def test_equal_configs_share_one_part():
    one, other = (Transcribe.make_resource(Transcribe.Config(interim=interim)) for interim in ("1s", "0s"))
    assert one == other
    assert hash(one) == hash(other)


def test_limits_without_sense_are_refused():
    for wrong in (
        {"max_segment": "1s"},
        {"threshold": 1.5},
        {"pause": "0s"},
        {"engine": "parrot"},
        {"interim": 1},
        {"processes": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Transcribe.Config(**wrong)


def test_live_fields_hold_for_the_next_utterance(resource, pitches):
    pitches.says |= {2000: Decoded("well then", 0.4)}
    call = Call({**QUICK, "phrases": ["Acme {call_id}"]}, resource)
    call.push(*chunks(speech(2000), silence(2))).catch_up()
    call.set(phrases=["RingCX"], uncertain_below=0.3)
    call.push(*chunks(speech(2000), silence(2), start=3)).settle()
    assert [text.uncertain for text in call.finals] == [True, False]
    assert pitches.phrases == {("Acme call-1",), ("RingCX",)}


@pytest.mark.parametrize(
    ("engine", "seconds"), [("moonshine", 2), ("google", 2), ("openai_realtime", 2), ("openai", 0)]
)
def test_interim_texts_are_left_out_by_default_where_each_is_a_request(engine, seconds, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    assert Transcribe.Config(engine=engine).interim == seconds
    assert Transcribe.Config(engine=engine, interim="3s").interim == 3


def test_each_call_has_its_phrases_without_those_that_have_no_value(resource, pitches):
    phrases = ["RingCX", "{call_id}", "Mr {ani}", "RingCX"]
    Call({**QUICK, "phrases": phrases}, resource).push(*chunks(speech(2000), silence())).settle()
    Call(QUICK, resource).push(*chunks(speech(2000), silence())).settle()
    assert pitches.phrases == {("RingCX", "call-1"), ()}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('phrases: ["{agent_nam}"]', r"words: phrases uses \{agent_nam\}, which call \(ringcx\) does not give"),
        ('phrases: ["{}"]', "write an attribute as its name alone"),
        ("phrases: [7]", "needs a text; write a number in quotes"),
    ],
)
def test_phrases_that_cannot_be_used_are_refused_by_check(settings, says):
    with pytest.raises(GraphError, match=says):
        check_with(settings)


def test_phrases_for_an_engine_that_takes_none_are_refused_by_check(monkeypatch):
    monkeypatch.setattr(Moonshine, "takes_phrases", False)
    with pytest.raises(GraphError, match="moonshine takes no phrases: leave them out"):
        check_with('phrases: ["RingCX"]')


def check_with(settings: str) -> None:
    load_text(
        "flowcore: 1\nnodes:\n  call: {use: ringcx}\n  tracks: {use: reorder, from: call}\n"
        f"  words: {{use: transcribe, from: tracks, with: {{{settings}}}}}\n  text: {{use: console, from: words}}\n"
    )


# With the model.


@pytest.fixture(scope="module")
def moonshine() -> Iterator[DecoderResource]:
    resource = DecoderResource(Moonshine, max_wait=1000)
    resource.open()
    yield resource
    resource.close()


def call_audio(track: str, recording: str) -> list[Audio]:
    """A recording as it arrives in a call: 8 kHz mu-law, decoded, resampled to 16 kHz, in chunks of 100 ms."""
    wire = g711.encode(telephone(recording))
    decoded = [Audio(g711.decode(wire[at : at + 800]), "s16", 8000, track, at) for at in range(0, len(wire), 800)]
    return list(run(Resample, {"rate": 16000}, decoded))


@pytest.mark.model
@pytest.mark.parametrize("interim", ["0s", "1s"])
def test_word_error_rate_of_both_parties(moonshine, interim, record_property):
    agent, customer = call_audio("agent", "two_cities.wav"), call_audio("customer", "beckett.wav")
    both = sorted([*agent, *customer], key=lambda chunk: chunk.end)
    call = Call({"interim": interim}, moonshine)
    for chunk in both:
        call.push(chunk).catch_up()
    call.settle()
    rates = {track: error_rate(text, call.said(track)) for track, text in wer.SPOKEN.items()}
    said = ", ".join(f"{track} {100 * rate:.1f} %" for track, rate in rates.items())
    record_property("figure", f"transcribe, interim {interim}: WER {said}")
    words = {track: len(normalised(text).split()) for track, text in wer.SPOKEN.items()}
    assert sum(rates[track] * words[track] for track in words) / sum(words.values()) <= 0.08
    for before, after in zip(call.finals, call.finals[1:], strict=False):
        assert before.track != after.track or before.end <= after.start


@pytest.mark.model
@pytest.mark.parametrize("prompt", ["conf-muted", "conf-kicked", "vm-youhave"])
def test_a_lone_you_is_written(moonshine, prompt):
    you = prompts.telephone(prompts.SOUNDS / f"{prompt}.wav")[:2400].copy()  # 300 ms
    you[-160:] = you[-160:] * np.linspace(1, 0, 160)
    quiet = np.zeros(8000, np.int16)
    spoken = np.concatenate((quiet, you, quiet, quiet))
    decoded = [Audio(spoken[at : at + 800], "s16", 8000, "agent", at) for at in range(0, len(spoken), 800)]
    call = Call({}, moonshine).push(*run(Resample, {"rate": 16000}, decoded)).settle()
    assert [normalised(text.text) for text in call.finals] == ["you"]


@pytest.mark.model
def test_many_calls_at_once_hear_only_their_own_words(moonshine):
    recordings = {"agent": "two_cities.wav", "customer": "beckett.wav"}
    audio = {track: call_audio(track, name) for track, name in recordings.items()}
    audio["agent"] = audio["agent"][:130]  # 13 s
    alone = {track: Call(QUICK, moonshine).push(*heard).settle().said(track) for track, heard in audio.items()}
    assert alone["agent"] != alone["customer"]
    calls = [(track, Call(QUICK, moonshine)) for track in list(audio) * 10]

    def drive(track: str, call: Call) -> None:
        call.push(*audio[track]).settle()

    threads = [threading.Thread(target=drive, args=each) for each in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert [call.said(track) for track, call in calls] == [alone[track] for track, _ in calls]


@pytest.mark.model
@pytest.mark.parametrize("level", [0, 60, 1600], ids=["silence", "hiss", "noise"])
def test_nothing_is_made_up_from(level, moonshine):
    noise = np.random.default_rng(1).normal(0, level, 30 * DECODER_RATE).astype(np.int16)
    assert Call({}, moonshine).push(*chunks(noise)).settle().out == []
