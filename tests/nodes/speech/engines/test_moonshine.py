"""The engine moonshine: its decoding and its errors."""

import importlib.metadata

import numpy as np
import pytest

from flowcore import CannotStart
from flowcore.speech import DecodeFailed
from nodes.speech.engines.moonshine import Moonshine
from tools.voices import telephone

soxr = pytest.importorskip("soxr")


def test_another_version_of_the_library_is_refused_with_the_command_that_helps(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "0.1.0")
    with pytest.raises(CannotStart, match=r"0\.1\.0 .* pip install 'flowcore\[moonshine\]'"):
        Moonshine().open()


@pytest.mark.model
def test_hears_words_and_says_what_is_wrong_when_it_cannot():
    model = Moonshine()
    model.open()
    speech = soxr.resample(telephone("beckett.wav"), 8000, 16000)
    assert "try again" in model.decode(speech).lower()
    assert model.decode(speech) == model.decode(speech)
    model._model._lib.moonshine_free_transcriber(model._model._handle)
    with pytest.raises(DecodeFailed, match="of audio: error -2"):
        model.decode(speech)
    model._model._handle = None
    model.close()


def test_closing_what_never_opened_does_nothing():
    Moonshine().close()


@pytest.mark.model
def test_no_sample_of_the_last_block_is_lost():
    model = Moonshine()
    model.open()
    speech = soxr.resample(telephone("beckett.wav"), 8000, 16000)[: 16000 * 2 - 100]
    assert model.decode(speech) == model.decode(np.pad(speech, (0, 100)))
    model.close()
