"""What a telephone network does to two parties."""

import numpy as np
import pytest

from tools.conditions import PACKET, Condition, echoing, lossy, noisy, quieter

TONE = (8000 * np.sin(np.arange(80 * PACKET) / 3)).astype(np.int16)


def power(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2)))


def changed(condition: Condition, samples: np.ndarray = TONE) -> np.ndarray:
    return condition.change({"agent": samples})["agent"]


def test_quieter_speech_has_the_same_shape():
    quiet = changed(quieter(20))
    assert power(TONE) - power(quiet) == pytest.approx(20, abs=0.2)
    assert np.corrcoef(TONE, quiet)[0, 1] > 0.99


def test_noise_keeps_its_distance_to_the_speech_and_is_the_same_each_time():
    added = changed(noisy(10)).astype(float) - TONE
    assert power(TONE) - power(added) == pytest.approx(10, abs=0.3)
    np.testing.assert_array_equal(changed(noisy(10)), changed(noisy(10)))


def test_lost_packets_are_silent_and_the_others_as_before():
    packets = changed(lossy(0.25)).reshape(-1, PACKET)
    lost = ~packets.any(axis=1)
    assert 10 <= lost.sum() <= 30
    np.testing.assert_array_equal(packets[~lost], TONE.reshape(-1, PACKET)[~lost])


def test_an_echo_of_each_party_comes_into_the_other_channel_and_is_removed():
    half = np.random.default_rng(1).normal(0, 3000, 8 * 8000).astype(np.int16)
    agent, customer = np.concatenate((half, 0 * half)), np.concatenate((0 * half, half))
    heard = echoing(-25, in_turn=True).change({"agent": agent, "customer": customer})
    for track, voice in (("agent", agent), ("customer", customer)):
        assert np.corrcoef(heard[track], voice)[0, 1] > 0.99
        quiet = heard[track][voice == 0][8000:-8000]  # but for the edges, where the echo is found
        assert power(quiet + 1e-9) < power(voice) - 60
