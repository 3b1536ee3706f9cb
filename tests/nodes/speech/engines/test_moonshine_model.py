"""Moonshine's models: words, silence, times, and errors."""

import numpy as np
import pytest

from flowcore.speech import DecodeFailed
from nodes.speech.engines.moonshine_files import BASE, TINY
from nodes.speech.engines.moonshine_model import MoonshineModel
from tools import prompts
from tools.noise import add_noise

soxr = pytest.importorskip("soxr")

needs_base = pytest.mark.skipif(BASE.find() is None, reason="moonshine-cpp is for Linux on x86-64")


@pytest.fixture(scope="module", params=[TINY, pytest.param(BASE, marks=needs_base)], ids=["tiny", "base"])
def model(request) -> MoonshineModel:
    return MoonshineModel(request.param)


@pytest.mark.model
@pytest.mark.parametrize("name", ["17", "40", "60", "h-15", "14", "1", "30", "90", "oh"])
def test_a_single_word_with_silence_around_is_written(model, name):
    word = prompts.telephone(prompts.SOUNDS / "digits" / f"{name}.wav")
    assert model.decode(soxr.resample(np.pad(word, (4000, 5000)), 8000, 16000)).text


@pytest.mark.model
def test_a_word_at_the_very_beginning_is_heard(model):
    prompt = prompts.telephone(prompts.SOUNDS / "vm-tocallback.wav")
    assert (
        model.decode(soxr.resample(prompt, 8000, 16000)).text == "Press two to call the person who sent this message."
    )


@needs_base
@pytest.mark.model
@pytest.mark.parametrize("level", [60, 1600], ids=["hiss", "noise"])
def test_without_a_word_base_writes_no_text(level):
    model = MoonshineModel(BASE)
    noise = np.random.default_rng(1).normal(0, level, (10, 16000)).astype(np.int16)
    assert [model.decode(second).text for second in noise] == [""] * 10


@pytest.mark.model
def test_words_are_certain_in_clear_speech_and_not_in_noise(model):
    said = [np.pad(prompt.samples, 4000) for prompt in prompts.prompts("n", "z")[:12]]
    noisy = [add_noise(samples, "white", snr=-2) for samples in said]
    clear, loud = ([model.decode(soxr.resample(one, 8000, 16000)) for one in some] for some in (said, noisy))
    certain = [decoded.confidence > 0.5 for decoded in clear]
    made_up = [decoded.confidence < 0.5 for decoded in loud if decoded.text]
    print(
        f"certain in clear speech {sum(certain)} of {len(certain)}, uncertain in noise {sum(made_up)} of {len(made_up)}"
    )
    assert all(certain)
    assert sum(made_up) >= 0.75 * len(made_up) > 0  # whatever a version of onnxruntime rounds


@pytest.mark.model
@pytest.mark.parametrize("pause", [0.15, 0.3, 0.6])
def test_words_begin_and_end_where_the_audio_was_cut(model, pause):
    before, after = (_voiced(prompt.samples) for prompt in prompts.prompts("n", "z")[:2])
    quiet = np.zeros(round(pause * prompts.RATE), np.int16)
    spoken = np.concatenate((quiet, before, quiet, after, quiet))
    words = model.decode(soxr.resample(spoken, prompts.RATE, 16000)).words
    cuts = np.cumsum([len(part) / prompts.RATE for part in (quiet, before, quiet, after)])
    said = sum(word.start + word.end < cuts[1] + cuts[2] for word in words)  # words of the first prompt
    found = [words[0].start, words[said - 1].end, words[said].start, words[-1].end]
    assert found == pytest.approx(cuts.tolist(), abs=0.1)


def _voiced(samples: np.ndarray) -> np.ndarray:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.03 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


@pytest.mark.model
def test_an_error_of_the_runtime_is_told():
    model = MoonshineModel(TINY)
    model._encoder = model._decoder
    with pytest.raises(DecodeFailed, match=r"could not decode 1\.0 s of audio: "):
        model.decode(np.zeros(16000, np.int16))


@needs_base
@pytest.mark.model
def test_a_loop_of_the_model_ends():
    model = MoonshineModel(BASE)
    model._decoder = Endless(model._decoder)
    words = model.decode(np.zeros(10 * 16000, np.int16))
    assert 0 < len(words.text.split()) <= 65
    assert words.confidence < 0.1


class Endless:
    """Never finds the end of the words."""

    def __init__(self, decoder):
        self.decoder = decoder

    def run(self, names, inputs):
        logits, *past = self.decoder.run(names, inputs)
        logits[..., 2] = -1e9
        return [logits, *past]
