"""What a speech engine that is given utterances must keep to, as tests that run it: inherit from `DecoderConformance`.

::

    class TestAcme(DecoderConformance):
        engine = "acme"
        def speech(self): ...     # somebody speaking, and the words

pytest finds the tests; nothing here imports it.
"""

from __future__ import annotations

import re
import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flowcore.registry import available
from flowcore.speech import Decoder, find
from flowcore.testing.nodes import NodeHarness
from flowcore.testing.speech import cut
from flowcore.text import Text

RATE = 16000
LONGEST = 30  # seconds: no utterance is longer
SOON = 60.0  # seconds; a decoder that takes longer for a few seconds of speech is of no use


class DecoderConformance:
    """Words of what was spoken, none of silence, and the same ones each time."""

    engine: ClassVar[str]
    """Its name in graphs."""
    config: ClassVar[Mapping[str, Any]] = {}
    """What stands beside its name."""
    wrong: ClassVar[float] = 0.2
    """The share of words that it may get wrong."""

    @abstractmethod
    def speech(self) -> tuple[NDArray[np.int16], str]:
        """A few seconds of one voice, s16 at 16 kHz, with silence before and after, and what it says."""

    def setup_method(self) -> None:
        """For each test a decoder that is open."""
        self.decoder = self.make()
        self.decoder.open()

    def teardown_method(self) -> None:
        """Close it."""
        self.decoder.close()

    def make(self) -> Decoder:
        """A decoder that is not open yet."""
        cls = find(self.engine)
        assert issubclass(cls, Decoder)
        return cls(cls.Config(**self.config))

    def test_it_hears_what_is_said_and_the_same_each_time(self) -> None:
        samples, said = self.speech()
        heard = self.decoder.decode(samples)
        assert mistaken(said, heard) <= self.wrong, heard
        self.decoder.decode(samples[: len(samples) // 2])
        assert self.decoder.decode(samples) == heard  # whatever it heard in between

    def test_it_may_be_used_in_another_thread_than_it_was_opened_in(self) -> None:
        samples, said = self.speech()
        heard: list[str] = []
        thread = threading.Thread(target=lambda: heard.append(self.decoder.decode(samples)))
        thread.start()
        thread.join(SOON)
        assert mistaken(said, heard[0]) <= self.wrong

    def test_no_length_of_audio_is_too_much_or_too_little(self) -> None:
        samples, _ = self.speech()
        before = samples.copy()
        samples.setflags(write=False)  # others hear it, too
        for length in (0, 1, RATE // 100, RATE // 2, LONGEST * RATE):
            assert isinstance(self.decoder.decode(np.resize(samples, length)), str)
        assert np.array_equal(samples, before)
        assert self.decoder.decode(samples[:0]).strip() == ""

    def test_one_that_never_opened_can_be_closed(self) -> None:
        self.make().close()

    def test_a_call_with_it_has_every_word_once_and_the_last_one_too(self) -> None:
        samples, said = self.speech()
        texts = transcript({"use": self.engine, **self.config}, samples)
        finals = [text for text in texts if text.final]
        assert mistaken(said, " ".join(text.text for text in finals)) <= self.wrong, finals
        assert [text.utterance for text in finals] == list(range(len(finals)))
        assert not any(text.gap for text in texts)
        bounds = [place for text in finals for place in (text.start, text.end)]
        assert bounds == sorted(bounds)
        assert 0 <= bounds[0] <= bounds[-1] <= len(samples) / RATE
        assert transcript({"use": self.engine, **self.config}, np.zeros(5 * RATE, np.int16)) == []


def transcript(engine: Mapping[str, Any], samples: NDArray[np.int16]) -> list[Text]:
    """What the node `transcribe` makes of one party's audio, as fast as it can."""
    cls: Any = available()["transcribe"].load()
    config = {"engine": engine, "processes": 1}
    part = cls.make_resource(cls.Config(**config))
    part.open()
    try:
        harness = NodeHarness(cls, config, resource=part)
        woken = threading.Event()
        harness.node.wake = woken.set
        harness.push(*cut(samples, "s16", RATE))
        harness.node.flush(harness.out.append)
        deadline = time.monotonic() + SOON
        while harness.node.busy():
            assert woken.wait(deadline - time.monotonic()), "no answer from the decoder"
            woken.clear()
            harness.collect()
        harness.collect()
        harness.node.close()
        return list(harness.out)
    finally:
        part.close()


def mistaken(said: str, heard: str) -> float:
    """The word error rate: words left out, put in or mistaken, for each one that was said."""
    wanted, found = _words(said), _words(heard)
    row = list(range(len(found) + 1))  # Levenshtein's distance, row by row
    for place, word in enumerate(wanted, 1):
        before, row = row, [place]
        for other, candidate in enumerate(found):
            row.append(min(before[other] + (word != candidate), before[other + 1] + 1, row[other] + 1))
    return row[-1] / max(1, len(wanted))


def _words(text: str) -> Sequence[str]:
    return re.findall(r"[\w']+", text.lower())
