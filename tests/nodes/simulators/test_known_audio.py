"""Audio of simulated calls: it is known, and each party of each call has its own."""

from typing import Any

import numpy as np
import pytest

from flowcore import Audio
from flowcore.audio import TRACKS
from flowcore.testing import joined, run
from nodes.audio import g711, wav
from nodes.simulators.known_audio import excerpt, mulaw, samples, voice
from nodes.transforms.decode_mulaw import DecodeMulaw


def test_samples_are_what_the_decoder_makes_of_the_bytes() -> None:
    coded = np.frombuffer(mulaw(3, "customer", 4), np.uint8)
    assert set(coded) == set(range(256))
    decoded = joined(run(DecodeMulaw, {}, [Audio(coded, "mulaw", 8000, "customer", 0)]))
    assert np.array_equal(decoded, samples(3, "customer", 4))


def test_every_party_of_every_call_has_audio_of_its_own() -> None:
    voices = {mulaw(call, track, 1) for call in range(20) for track in TRACKS}
    assert len(voices) == 40
    assert {len(voice) for voice in voices} == {8000}


def test_voices_are_said_from_another_place_in_each_call(tmp_path: Any) -> None:
    path = tmp_path / "voice.wav"
    spoken = np.arange(8 * 8000, dtype=np.int16)
    path.write_bytes(wav.header("s16", 8000, 1, spoken.nbytes) + spoken.tobytes())
    coded = voice(path)
    assert coded == g711.encode(spoken).tobytes()
    assert excerpt(coded, 0, 10) == coded + coded[: 2 * 8000]
    assert excerpt(coded, 1, 5) == coded[3 * 8000 :]


def test_a_voice_at_another_rate_is_resampled(tmp_path: Any) -> None:
    path = tmp_path / "voice.wav"
    spoken = np.zeros(16_000, np.int16)
    path.write_bytes(wav.header("s16", 16_000, 1, spoken.nbytes) + spoken.tobytes())
    assert len(voice(path)) == 8000


def test_an_empty_voice_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(wav.header("s16", 8000, 1, 0))
    with pytest.raises(ValueError, match="is empty"):
        voice(path)
