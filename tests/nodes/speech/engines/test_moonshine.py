"""The engine moonshine: its models, their decoding, and their errors."""

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from flowcore.speech import Decoded
from nodes.speech.engines.moonshine import Moonshine
from nodes.speech.engines.moonshine_files import BASE, MoonshineFiles
from tools.voices import telephone

soxr = pytest.importorskip("soxr")
needs_base = pytest.mark.skipif(BASE.find() is None, reason="moonshine-cpp is for Linux on x86-64")
MODELS = ["tiny", pytest.param("base", marks=needs_base)]


def opened(model: str) -> Moonshine:
    engine = Moonshine(Moonshine.Config(model=model))
    engine.open()
    return engine


def speech() -> np.ndarray:
    return soxr.resample(telephone("beckett.wav"), 8000, 16000)


@needs_base
def test_base_is_the_default_where_it_is_installed():
    assert Moonshine().model == "moonshine base"


def test_tiny_is_the_default_elsewhere(monkeypatch):
    monkeypatch.setattr(MoonshineFiles, "find", lambda files: None)
    assert Moonshine().model == "moonshine tiny"


def test_a_model_that_it_does_not_have_is_refused():
    with pytest.raises(ValidationError, match="'auto', 'base' or 'tiny'"):
        Moonshine.Config(model="small")


@pytest.mark.parametrize(("language", "advice"), [("de", "take whisper, google or openai"), ("en-US", "write en")])
def test_another_language_is_refused_by_check_with_what_to_do(language, advice):
    engine = f"{{use: moonshine, language: {language}}}"
    with pytest.raises(GraphError, match=f"moonshine knows English only, not '{language}': {advice}"):
        load_text(
            "flowcore: 1\nnodes:\n  call: {use: wav_source, with: {path: x.wav}}\n"
            f"  words: {{use: transcribe, from: call, with: {{engine: {engine}}}}}\n"
        )


@pytest.mark.model
@pytest.mark.parametrize("model", MODELS)
def test_the_same_words_each_time(model):
    engine = opened(model)
    words = engine.decode(speech())
    assert "try again" in words.text.lower()
    assert engine.decode(speech()) == words
    engine.close()


@pytest.mark.model
@pytest.mark.parametrize("model", MODELS)
def test_no_sample_of_the_last_block_is_lost(model):
    engine = opened(model)
    words = speech()[: 16000 * 2 - 100]
    assert engine.decode(words).text == engine.decode(np.pad(words, (0, 100))).text
    engine.close()


@pytest.mark.model
@pytest.mark.parametrize("model", MODELS)
def test_audio_of_any_length_is_decoded(model):
    engine = opened(model)
    for length in (0, 1, 511, 4095, 30 * 16000):
        assert engine.decode(np.zeros(length, np.int16)) == Decoded("")
        assert isinstance(engine.decode(np.ones(length, np.int16)).text, str)
    engine.close()


@needs_base
@pytest.mark.model
def test_interim_texts_of_base_are_those_of_tiny():
    base, tiny = opened("base"), opened("tiny")
    assert base.decode_interim(speech()) == tiny.decode_interim(speech()) == Decoded(tiny.decode(speech()).text)
    assert base.decode_interim(np.zeros(16000, np.int16)) == Decoded("")
    base.close()
    tiny.close()


def test_closing_what_never_opened_does_nothing():
    Moonshine().close()
