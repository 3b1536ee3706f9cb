"""The model base: its files, and what it refuses."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flowcore import CannotStart
from flowcore.speech import DecodeFailed
from nodes.speech.engines.moonshine_base import SHA256, Base, folder
from tests.support.live import ROOT
from tools import prompts
from tools.noise import add_noise

soxr = pytest.importorskip("soxr")

FILES = folder() or pytest.skip("moonshine-cpp is for Linux on x86-64", allow_module_level=True)


def cut(path: Path) -> None:
    content = path.resolve().read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])


def change(path: Path) -> None:
    content = bytearray(path.resolve().read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


@pytest.fixture
def copy(tmp_path) -> Path:
    for name in SHA256:
        (tmp_path / name).symlink_to(FILES / name)
    return tmp_path


@pytest.mark.fault(70)
@pytest.mark.parametrize("name", SHA256)
@pytest.mark.parametrize(
    ("damage", "says"),
    [(cut, "is not the file of"), (change, "is not the file of"), (Path.unlink, "No such file")],
    ids=["cut", "changed", "missing"],
)
def test_a_damaged_model_is_refused_with_what_to_do(copy, name, damage, says):
    damage(copy / name)
    with pytest.raises(CannotStart, match=rf"{name} .*{says}.*pip install .*or set model: tiny") as error:
        Base(copy)
    assert "\n" not in str(error.value)
    assert error.value.field == "engine"


def test_without_its_package_it_is_refused_with_what_to_do():
    with pytest.raises(CannotStart, match=r"needs moonshine-cpp.*pip install 'flowcore\[moonshine\]', or set model"):
        Base(None)


@pytest.mark.slow
@pytest.mark.fault(70)
def test_a_run_with_a_damaged_model_ends_before_the_first_call_with_one_line(tmp_path):
    package = tmp_path / "moonshine_cpp"
    models = package / "models" / "base-en"
    models.mkdir(parents=True)
    (package / "__init__.py").touch()
    (models / "encoder_model.ort").write_bytes(b"cut")
    command = [str(Path(sys.executable).with_name("flowcore")), "run", "graphs/transcribe.yaml", "--set", "call.port=0"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.count("is not the file of moonshine-cpp") == 1
    assert "listener_opened" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def model() -> Iterator[Base]:
    model = Base(FILES)
    yield model
    model.close()


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


@pytest.mark.model
@pytest.mark.parametrize("level", [60, 1600], ids=["hiss", "noise"])
def test_without_a_word_there_is_no_text(model, level):
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
    model = Base(FILES)
    model._encoder = model._decoder
    with pytest.raises(DecodeFailed, match=r"could not decode 1\.0 s of audio: "):
        model.decode(np.zeros(16000, np.int16))
    model.close()


@pytest.mark.model
def test_a_loop_of_the_model_ends():
    model = Base(FILES)
    model._decoder = Endless(model._decoder)
    words = model.decode(np.zeros(10 * 16000, np.int16))
    assert 0 < len(words.text.split()) <= 65
    assert words.confidence < 0.1
    model.close()


class Endless:
    """Never finds the end of the words."""

    def __init__(self, decoder):
        self.decoder = decoder

    def run(self, names, inputs):
        logits, *past = self.decoder.run(names, inputs)
        logits[..., 2] = -1e9
        return [logits, *past]
