"""The streams of one track, with an engine in memory, a virtual clock and injected faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodes.speech.cloud.streaming_driver as streaming_of_a_node
from flowcore import Word, speech
from flowcore.speech import Rejected, Result
from nodes.speech.testing import (
    SpokenWord,
    StreamFault,
    StreamingConformance,
    TranscribeHarness,
    random_words,
    to_chunks,
)
from tests.support.parrot import DELAY, PATIENCE, Parrot, speak


class _Flock:
    """All parrots that were made: the clock of those that live is set as time passes."""

    def __init__(self) -> None:
        self.all: list[Parrot] = []

    def tick(self, now: float) -> None:
        for parrot in self.all:
            parrot.now = now
            for stream in parrot.streams:
                stream.tick()


FLOCK = _Flock()


class Parrots(Parrot):
    def open(self) -> None:
        super().open()
        FLOCK.all = [self]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speech.available(), "parrot", SimpleNamespace(load=lambda: Parrots))
    monkeypatch.setattr(streaming_of_a_node, "random", lambda: 0.5)


@pytest.mark.fault(45)
class TestParrot(StreamingConformance):
    engine = "parrot"
    speed = 0.0

    def speak(self, words: Sequence[SpokenWord], seconds: float) -> Any:
        return speak(words, seconds), "mulaw", 8000

    def tick(self, now: float) -> None:
        FLOCK.tick(now)


def call(
    *,
    fault: Any = (),
    settings: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **limits: float,
) -> TranscribeHarness:
    """A call whose streams have these faults, one after another; later streams have none."""
    faults = list(fault)

    def fault_of(number: int) -> StreamFault:
        return faults[number - 1] if number <= len(faults) else ""

    return TranscribeHarness({"use": "parrot", **(config or {})}, limits, fault_of, 0.0, settings or {}, FLOCK.tick)


def say(
    call: TranscribeHarness, words: Sequence[SpokenWord], seconds: float = 0.0, holds: Any = ()
) -> TranscribeHarness:
    length = max([seconds, *(word.end for word in words)])
    return call.play(to_chunks(speak(words, length), "mulaw", 8000, holds))


def sentence(first: int, at: float, count: int = 3) -> list[SpokenWord]:
    return [SpokenWord(first + n, at + 0.4 * n, at + 0.4 * n + 0.3) for n in range(count)]


def said(call: TranscribeHarness) -> list[str]:
    return [text.text for text in call.finals]


def streams(call: TranscribeHarness) -> list[tuple[float, float]]:
    """When each stream was opened, and how many seconds of audio it heard."""
    return [(round(s.opened, 1), round(s.bytes / 8000, 1)) for s in call.injector.streams]


FAULTS = st.lists(st.sampled_from(["", "refuse", "reset", "expire", "quota", "hang"]), max_size=8)


@pytest.mark.fault(45)
@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    FAULTS.filter(lambda faults: faults.count("hang") <= 2), st.integers(0, 1000), st.sampled_from([15.0, 30.0, 300.0])
)
def test_every_word_once_whatever_befalls_the_first_streams(faults, seed, max_stream):
    words, holds = random_words(40, seed)
    running = call(fault=faults, max_stream=max_stream)
    say(running, words, words[-1].end + 100, holds)  # time enough to notice hangs, and to hear all of it again
    running.finish()
    TestParrot().assert_transcript(running, words)


class Lossy(Parrots):
    """Forgets every tenth word."""

    def stream(self, encoding: Any, rate: int, listener: Any) -> Any:
        def heard(event: Any) -> None:
            if isinstance(event, Result) and event.final:
                words = tuple(word for word in event.words if not word.text.endswith("7"))
                event = replace(event, words=words, text=" ".join(word.text for word in words))
            listener(event)

        return super().stream(encoding, rate, heard)


class Echoing(Parrots):
    """Says everything twice."""

    def stream(self, encoding: Any, rate: int, listener: Any) -> Any:
        def heard(event: Any) -> None:
            listener(event)
            if isinstance(event, Result) and event.final:
                words = tuple(Word(word.text, word.start + 0.5, word.end + 0.5) for word in event.words)
                listener(replace(event, words=words, end=event.end + 0.5))

        return super().stream(encoding, rate, heard)


class Late(Parrots):
    """Tells all times a tenth of a second too late."""

    def stream(self, encoding: Any, rate: int, listener: Any) -> Any:
        def heard(event: Any) -> None:
            if isinstance(event, Result):
                words = tuple(Word(word.text, word.start + 0.1, word.end + 0.1) for word in event.words)
                event = replace(event, words=words, end=event.end + 0.1)
            listener(event)

        return super().stream(encoding, rate, heard)


@pytest.mark.parametrize("broken", [Lossy, Echoing, Late])
def test_the_suite_finds_an_engine_that_does_not_keep_the_contract(broken, monkeypatch):
    monkeypatch.setitem(speech.available(), "parrot", SimpleNamespace(load=lambda: broken))
    words, holds = random_words(20, 1)
    running = say(call(), words, words[-1].end + 5, holds)
    running.finish()
    with pytest.raises(AssertionError):
        TestParrot().assert_transcript(running, words)


def test_speech_without_a_pause_is_cut_before_the_stream_gets_too_old():
    words = [SpokenWord(n + 1, 0.3 * n, 0.3 * n + 0.3) for n in range(250)]  # 75 s without a breath, nor a final text
    running = say(call(config={"most_words": 1000}, max_stream=30.0), words)
    running.finish()
    TestParrot().assert_transcript(running, words)
    assert [heard for _, heard in streams(running)][:2] == [pytest.approx(29.5, abs=0.3)] * 2


def test_a_stream_is_renewed_at_a_pause_long_before_it_must_be():
    words = [*sentence(1, 2), *sentence(4, 12), *sentence(7, 25), *sentence(10, 32)]
    running = say(call(max_stream=30.0), words)
    assert [opened for opened, _ in streams(running)] == [0.1, pytest.approx(20.1, abs=0.2)]
    running.finish()
    TestParrot().assert_transcript(running, words)


def test_a_hold_ends_the_stream_and_its_last_text_comes_at_once():
    words = [*sentence(1, 1), *sentence(4, 31)]
    running = say(call(), words[:3], 2.1)
    assert said(running) == []
    running.wait(6.0)
    assert said(running) == ["w1 w2 w3"]
    assert all(stream.over for stream in running.injector.streams)
    running.play(to_chunks(speak(words, 33.0), "mulaw", 8000)[300:])
    running.finish()
    assert said(running) == ["w1 w2 w3", "w4 w5 w6"]
    assert streams(running) == [(0.1, 2.1), (30.1, 3.0)]
    assert not running.injector.breaches


def test_a_stream_gets_no_older_in_a_hold_than_it_may():
    words = [SpokenWord(n + 1, 0.3 * n, 0.3 * n + 0.3) for n in range(90)]  # 27 s without a breath
    running = say(call(config={"most_words": 1000}, max_stream=30.0), words)
    running.wait(6.0)  # a hold, which would be noticed after 5 s
    running.finish()
    TestParrot().assert_transcript(running, words)


def test_when_the_next_stream_cannot_begin_the_old_one_goes_on():
    words = [SpokenWord(n, float(n), n + 0.4) for n in range(1, 29)]
    running = say(call(fault=["", "refuse", "refuse"], max_stream=30.0), words)
    running.finish()
    TestParrot().assert_transcript(running, words)
    first, second, third, _ = streams(running)
    assert first[1] > third[0] > second[0]  # it heard on while the others failed


def test_failures_are_repeated_with_growing_pauses_and_what_was_said_meanwhile_is_heard():
    words = [*sentence(1, 1), *sentence(4, 4), *sentence(7, 11)]
    running = say(call(fault=["refuse"] * 5), words, 20.0)
    running.finish()
    TestParrot().assert_transcript(running, words)
    opened = [opened for opened, _ in streams(running)]
    pauses = [later - sooner for sooner, later in pairwise(opened)]
    assert len(pauses) == 5
    assert all(0.12 * 2**n <= pause <= 0.25 * 2**n + 0.15 for n, pause in enumerate(pauses))


@pytest.mark.fault(45)
def test_what_no_stream_could_hear_any_more_is_marked_and_counted():
    words = [*sentence(1, 1), *sentence(4, 20), *sentence(7, 45)]
    running = call(fault=["", *["refuse"] * 8], settings={"backlog": "10s"})
    say(running, words[:3], 4.0)
    running.injector.streams[0]._fail()
    running.play(to_chunks(speak(words, 46.2), "mulaw", 8000)[40:])
    running.finish()
    (start, _), *_, (_, end) = running.gaps
    assert all(before[1] == after[0] for before, after in pairwise(running.gaps))  # told of while it lasts
    assert said(running)[0] == "w1 w2 w3"
    assert said(running)[-1] == "w7 w8 w9"
    assert start < 4.0 < 10.0 < end < 45.0
    assert running.harness.dropped["untranscribed"] == pytest.approx(end - start)
    heard = {word.text for text in running.finals for word in text.words}
    assert heard >= {f"w{w.number}" for w in words if w.start >= end or w.end <= start}
    finals = [text.utterance for text in running.texts if text.final]
    assert finals == list(range(len(running.finals) + len(running.gaps)))


def test_a_request_that_will_never_do_fails_the_branch_and_what_was_said_before_counts():
    words = [*sentence(1, 1), *sentence(4, 4)]
    running = call(fault=["", "reject"])
    say(running, words, 3.0)
    running.injector.streams[0]._fail()
    with pytest.raises(Rejected, match="fault: reject"):
        running.wait(2.0)
    assert said(running) == ["w1 w2 w3"]


def test_interim_texts_come_early_and_are_replaced_by_final_ones():
    running = say(call(), [*sentence(1, 1), *sentence(4, 4)], 7.0)
    texts = [(text.text, text.final, text.utterance) for text in running.texts]
    assert texts == [
        ("w1", False, 0), ("w1 w2", False, 0), ("w1 w2 w3", False, 0), ("w1 w2 w3", True, 0),
        ("w4", False, 1), ("w4 w5", False, 1), ("w4 w5 w6", False, 1), ("w4 w5 w6", True, 1),
    ]  # fmt: skip
    running.finish()
    quiet = say(call(settings={"interim": "0s"}), sentence(1, 1), 3.0)
    assert [text.final for text in quiet.texts] == [True]
    quiet.finish()


def test_the_lag_of_a_text_is_measured():
    running = say(call(), sentence(1, 1), 4.0)
    for text in running.texts:
        patience = PATIENCE if text.final else 0.0
        assert text.lag == pytest.approx(patience + DELAY, abs=0.15)
    running.finish()


def test_an_engine_that_tells_no_times_of_words_loses_none_and_doubles_none():
    words = [*sentence(1, 1), *sentence(4, 12), *sentence(7, 25), *sentence(10, 32)]
    running = say(call(fault=["reset"], config={"times": False}, max_stream=30.0), words)
    running.finish()
    assert " ".join(said(running)).split() == [f"w{word.number}" for word in words]
    assert [word for text in running.texts for word in text.words] == []


def test_two_parties_are_two_streams_and_nothing_of_one_is_in_the_other():
    running = call()
    left, right = (
        to_chunks(speak(sentence(n, at), 4.0), "mulaw", 8000, track=t) for n, at, t in [(1, 1, "a"), (7, 1.2, "b")]
    )
    running.play([chunk for pair in zip(left, right, strict=True) for chunk in pair])
    running.finish()
    assert {(text.track, text.text) for text in running.finals} == {("a", "w1 w2 w3"), ("b", "w7 w8 w9")}
    assert len(running.injector.streams) == 2


@pytest.mark.parametrize("faster", [3.0, 20.0, 1e9])
def test_audio_that_comes_faster_than_a_provider_hears_leaves_gaps_and_nothing_else(faster):
    words, holds = random_words(60, 4)
    running = call(settings={"backlog": "10s"}, max_stream=30.0)
    for chunk in to_chunks(speak(words, words[-1].end), "mulaw", 8000, holds):
        running.wait(chunk.end / chunk.rate / faster - running.harness.now)
        running.harness.push(chunk)
        running._collect()
    running.finish()
    heard = [word.text for text in running.finals for word in text.words]
    lost = [w for w in words if any(w.end > start and w.start < end for start, end in running.gaps)]
    assert lost
    assert len(heard) == len(set(heard))
    assert {f"w{w.number}" for w in words} - {f"w{w.number}" for w in lost} <= set(heard)
    assert running.harness.dropped["untranscribed"] == pytest.approx(sum(end - start for start, end in running.gaps))


class Unsteady(Parrots):
    """Streams that do not agree about times: every other one tells them 60 ms sooner or later."""

    def stream(self, encoding: Any, rate: int, listener: Any) -> Any:
        by = (-0.06, 0.06)[len(self.streams) % 2]

        def heard(event: Any) -> None:
            if isinstance(event, Result) and event.words:
                words = tuple(Word(w.text, max(0.0, w.start + by), max(0.0, w.end + by)) for w in event.words)
                event = replace(event, words=words)
            listener(event)

        return super().stream(encoding, rate, heard)


@pytest.mark.parametrize("seed", range(8))
def test_streams_that_differ_about_times_still_say_each_word_once(seed, monkeypatch):
    monkeypatch.setitem(speech.available(), "parrot", SimpleNamespace(load=lambda: Unsteady))
    words, holds = random_words(90, seed)
    running = say(call(fault=["", "reset", "", "expire", "reset"], max_stream=20.0), words, holds=holds)
    running.finish()
    assert " ".join(said(running)).split() == [f"w{word.number}" for word in words]


def test_an_ended_call_keeps_no_audio_of_which_nothing_was_said():
    running = say(call(fault=["hang"]), sentence(0, 1.0), 10.0)
    (heard,) = running.harness.node._driver._tracks.values()
    assert heard.buffer._held >= 9 * 8000
    running.finish(within=0.0)
    assert heard.buffer._held == 0
