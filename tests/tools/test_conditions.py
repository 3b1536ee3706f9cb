"""What a telephone network does to speech."""

import numpy as np
import pytest

from tools.conditions import PACKET, lossy, noisy, quieter

TONE = (8000 * np.sin(np.arange(80 * PACKET) / 3)).astype(np.int16)


def power(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2)))


def test_quieter_speech_has_the_same_shape():
    quiet = quieter(20)(TONE)
    assert power(TONE) - power(quiet) == pytest.approx(20, abs=0.2)
    assert np.corrcoef(TONE, quiet)[0, 1] > 0.99


def test_noise_keeps_its_distance_to_the_speech_and_is_the_same_each_time():
    added = noisy(10)(TONE).astype(float) - TONE
    assert power(TONE) - power(added) == pytest.approx(10, abs=0.3)
    np.testing.assert_array_equal(noisy(10)(TONE), noisy(10)(TONE))


def test_lost_packets_are_silent_and_the_others_as_before():
    packets = lossy(0.25)(TONE).reshape(-1, PACKET)
    lost = ~packets.any(axis=1)
    assert 10 <= lost.sum() <= 30
    np.testing.assert_array_equal(packets[~lost], TONE.reshape(-1, PACKET)[~lost])
