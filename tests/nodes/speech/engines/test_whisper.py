"""The engine whisper: errors are one line before the first call, and nothing is downloaded."""

import re
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from flowcore import CannotStart
from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from flowcore.speech import DecodeFailed
from nodes.speech.engines.whisper import LANGUAGES, Whisper

pytest.importorskip("faster_whisper")


def opened(**config: str) -> Whisper:
    whisper = Whisper(Whisper.Config(**config))
    whisper.open()
    return whisper


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    """No model that somebody downloaded, and no network to download one from."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was to be downloaded"))


def test_a_model_that_is_not_here_is_named_with_the_command_that_brings_it():
    with pytest.raises(CannotStart, match=r"tiny\.en is not on this machine yet: run .*download_model\('tiny\.en'\)"):
        opened(model="tiny.en")


def test_a_model_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(CannotStart, match=r"there is no model tinny: give a folder, or one of tiny\.en, tiny, base"):
        opened(model="tinny")


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(CannotStart, match=r"holds no model that faster-whisper can load .*model\.bin"):
        opened(model=str(tmp_path))


def test_a_multilingual_looking_model_that_knows_english_only_is_named(monkeypatch):
    model = SimpleNamespace(supported_languages=["en"])
    monkeypatch.setattr("faster_whisper.WhisperModel", lambda *_, **__: model)
    for language in ("de", "auto"):
        with pytest.raises(CannotStart, match=r"the model my-tiny knows English only: set language: en"):
            opened(model="my-tiny", language=language)
    opened(model="my-tiny")


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        ({"model": "small", "language": "de-DE"}, "whisper has no language 'de-DE': write de$"),
        ({"model": "small", "language": "pt_BR"}, "write pt$"),
        ({"model": "small", "language": "EN"}, "write en$"),
        ({"model": "small", "language": "deutsch"}, r"did you mean de\? it knows af, am, ar.* yue, zh$"),
        ({"model": "small", "language": "klingon"}, "'klingon': it knows af, am, ar"),
        ({"language": "de"}, "the model tiny.en knows English only: take one without .en, such as small"),
    ],
)
def test_a_language_that_whisper_cannot_take_is_refused_by_check_with_the_right_spelling(config, advice):
    engine = {"use": "whisper", **config}
    with pytest.raises(GraphError) as error:
        load_text(
            f"flowcore: 1\nnodes:\n  call: {{use: wav_source, with: {{path: x.wav}}}}\n"
            f"  words: {{use: transcribe, from: call, with: {{engine: {engine}}}}}\n"
        )
    (problem,) = [one for one in error.value.problems if "engine" in one.message]
    assert re.search(advice, problem.message)


def test_the_languages_are_those_of_the_library():
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert sorted(LANGUAGES) == sorted(_LANGUAGE_CODES)


def test_closing_what_never_opened_does_nothing():
    Whisper().close()


def test_what_it_cannot_decode_is_told():
    whisper = Whisper()
    whisper._model = SimpleNamespace(transcribe=Mock(side_effect=RuntimeError("out of memory\nat line 7")))
    with pytest.raises(DecodeFailed, match=r"whisper could not decode 1\.0 s of audio: out of memory$"):
        whisper.decode(np.zeros(16000, np.int16))
