"""The conformance suite for engines that decode whole utterances: a test class inherits from `DecoderConformance`.

::

    class TestAcme(DecoderConformance):
        engine = "acme"
        def speech(self): ...     # a few seconds of speech, and its words

pytest finds the tests; this module does not import pytest.
"""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flowcore import Text
from flowcore.speech import DECODER_RATE, Decoded, Decoder, find
from nodes.speech.testing.harness import TranscribeHarness, to_chunks

MAX_UTTERANCE = 30  # seconds: no utterance is longer
ANSWER_TIMEOUT = 60.0  # seconds; a decoder that needs longer for a few seconds of speech is useless


class DecoderConformance:
    """Speech gives its words, the same ones each time, and silence gives none."""

    engine: ClassVar[str]
    """Name of the engine in graphs."""
    config: ClassVar[Mapping[str, Any]] = {}
    """Config of the engine in graphs."""
    max_error_rate: ClassVar[float] = 0.2
    """Share of words that the engine may get wrong."""

    @abstractmethod
    def speech(self) -> tuple[NDArray[np.int16], str]:
        """A few seconds of one voice, s16 at 16 kHz, with silence before and after, and the words it says."""

    def setup_method(self) -> None:
        """Open a decoder for each test."""
        self.decoder = self.make()
        self.decoder.open()

    def teardown_method(self) -> None:
        """Close the decoder."""
        self.decoder.close()

    def make(self) -> Decoder:
        """A decoder that is not open yet."""
        cls = find(self.engine)
        assert issubclass(cls, Decoder)
        return cls(cls.Config(**self.config))

    def test_speech_gives_its_words_the_same_each_time(self) -> None:
        samples, said = self.speech()
        heard = self.decoder.decode(samples)
        assert word_error_rate(said, heard.text) <= self.max_error_rate, heard
        check_decoded(heard, len(samples) / DECODER_RATE)
        self.decoder.decode(samples[: len(samples) // 2])
        assert self.decoder.decode(samples) == heard  # whatever the decoder heard in between

    def test_a_decoder_may_be_used_in_another_thread_than_it_was_opened_in(self) -> None:
        samples, said = self.speech()
        heard: list[str] = []
        thread = threading.Thread(target=lambda: heard.append(self.decoder.decode(samples).text))
        thread.start()
        thread.join(ANSWER_TIMEOUT)
        assert word_error_rate(said, heard[0]) <= self.max_error_rate

    def test_no_length_of_audio_is_too_much_or_too_little(self) -> None:
        samples, _ = self.speech()
        before = samples.copy()
        samples.setflags(write=False)  # other consumers share them
        for length in (0, 1, DECODER_RATE // 100, DECODER_RATE // 2, MAX_UTTERANCE * DECODER_RATE):
            check_decoded(self.decoder.decode(np.resize(samples, length)), length / DECODER_RATE)
        assert np.array_equal(samples, before)
        assert self.decoder.decode(samples[:0]).text.strip() == ""

    def test_a_decoder_that_never_opened_can_be_closed(self) -> None:
        self.make().close()

    def test_a_call_with_the_engine_has_every_word_once_and_the_last_one_too(self) -> None:
        samples, said = self.speech()
        texts = transcript({"use": self.engine, **self.config}, samples)
        finals = [text for text in texts if text.final]
        assert word_error_rate(said, " ".join(text.text for text in finals)) <= self.max_error_rate, finals
        assert [text.utterance for text in finals] == list(range(len(finals)))
        assert not any(text.gap for text in texts)
        bounds = [bound for text in finals for bound in (text.start, text.end)]
        assert bounds == sorted(bounds)
        assert 0 <= bounds[0] <= bounds[-1] <= len(samples) / DECODER_RATE
        assert transcript({"use": self.engine, **self.config}, np.zeros(5 * DECODER_RATE, np.int16)) == []


def check_decoded(decoded: Decoded, seconds: float) -> None:
    """Check what a decoder said of ``seconds`` of audio: confidences from 0 to 1, and all words in order, or none."""
    assert isinstance(decoded.text, str)
    confidences = [decoded.confidence, *(word.confidence for word in decoded.words)]
    assert all(confidence is None or 0 <= confidence <= 1 for confidence in confidences)
    if decoded.words:
        assert [word.text for word in decoded.words] == decoded.text.split()
        bounds = [bound for word in decoded.words for bound in (word.start, word.end)]
        assert bounds == sorted(bounds)
        assert 0 <= bounds[0] <= bounds[-1] <= seconds


def transcript(engine: Mapping[str, Any], samples: NDArray[np.int16]) -> list[Text]:
    """Transcribe one party's audio with the node `transcribe`, as fast as the engine can."""
    call = TranscribeHarness(engine, {}, lambda number: "", 0.0, {"processes": 1}, lambda now: None)
    call.harness.node.source_waits = lambda: True  # nothing is left out on a busy machine
    try:
        call.harness.push(*to_chunks(samples, "s16", DECODER_RATE))
        call.drain(ANSWER_TIMEOUT)
    finally:
        call.close()
    return call.texts


def word_error_rate(said: str, heard: str) -> float:
    """Words left out, put in or mistaken, for each word that was said; case and punctuation do not count."""
    import jiwer

    return float(jiwer.wer(_words(said), _words(heard)))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower()))
