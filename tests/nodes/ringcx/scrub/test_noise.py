"""Noise in the place of speech has its level and nothing else of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.audio import g711
from nodes.audio.codecs import FromLinear
from nodes.ringcx.scrub.noise import ALAW, LINEAR, MULAW
from tools.voices import RECORDINGS, telephone

CODECS = {
    "mulaw": (MULAW, lambda data: g711.decode(np.frombuffer(data, np.uint8))),
    "alaw": (ALAW, lambda data: g711.decode_alaw(np.frombuffer(data, np.uint8))),
    "big": (LINEAR[">"], lambda data: np.frombuffer(data, ">i2")),
    "little": (LINEAR["<"], lambda data: np.frombuffer(data, "<i2")),
}
each_codec = pytest.mark.parametrize("name", CODECS)
payloads = st.binary(max_size=2000) | st.builds(
    lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(0, 900)
)


def level(samples) -> float:
    return 10 * np.log10((samples.astype(float) ** 2).mean())


@each_codec
@given(payload=payloads)
def test_each_20_ms_keeps_its_level_within_1_db_and_silence_is_silence(name, payload):
    codec, decode = CODECS[name]
    payload = payload[: len(payload) // codec.width * codec.width]
    noise = codec.replace(payload, "here")
    assert len(noise) == len(payload)
    before, after = decode(payload), decode(noise)
    for at in range(0, len(before), 160):
        one, other = before[at : at + 160], after[at : at + 160]
        if one.any():
            assert level(other) == pytest.approx(level(one), abs=1.0)
        else:
            assert not other.any()


@each_codec
@given(payload=payloads)
def test_noise_of_noise_is_the_same_noise(name, payload):
    codec, _ = CODECS[name]
    noise = codec.replace(payload[: len(payload) // codec.width * codec.width], "here")
    assert codec.replace(noise, "here") == noise


def spoken() -> np.ndarray:
    return telephone(RECORDINGS["agent"])[: 8000 * 8]


def test_nothing_of_the_spectrum_of_speech_is_left():
    speech = spoken()
    noise = CODECS["mulaw"][1](MULAW.replace(g711.encode(speech).tobytes(), "here")).astype(float)
    assert abs(np.corrcoef(speech, noise)[0, 1]) < 0.02
    blocks = noise[: len(noise) // 160 * 160].reshape(-1, 160)
    loud = blocks[np.abs(blocks).max(axis=1) > 300]
    spectrum = (np.abs(np.fft.rfft(loud / np.abs(loud).max(axis=1, keepdims=True), axis=1)) ** 2).mean(axis=0)[1:-1]
    assert 10 * np.log10(spectrum.max() / spectrum.min()) < 3  # speech has 40 dB and more


def test_two_keys_of_a_telephone_are_no_more_different_than_one_at_two_moments():
    at = np.arange(160) / 8000

    def key(low: float, high: float, since: float) -> bytes:
        tones = np.sin(2 * np.pi * low * (at + since)) + np.sin(2 * np.pi * high * (at + since))
        return MULAW.replace(g711.encode((tones * 4000).astype(np.int16)).tobytes(), "here")

    assert {key(697, 1209, since) for since in (0.0, 0.003)} == {key(941, 1477, since) for since in (0.0, 0.003)}


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_order_of_bytes_is_still_told_by_the_noise(order):
    codec, _ = CODECS[order]
    data = spoken().astype(codec.codes[0].dtype)
    for at in range(0, len(data) - 800, 800):
        payload = data[at : at + 800].tobytes()
        before, after = FromLinear(), FromLinear()
        before(payload)
        after(codec.replace(payload, str(at)))
        assert after.order == before.order
