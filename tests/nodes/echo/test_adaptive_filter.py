import numpy as np

from nodes.echo.adaptive_filter import AdaptiveFilter
from tests.support.echoes import echo, voice

BLOCK, PARTITIONS = 160, 3
SECONDS = 10
FAR = voice(SECONDS, talking=(0.0, 2.0)).astype(float)
ECHO = echo(FAR, 0.0, -15)


def predicted(near, far=FAR, path=None):
    """The echo that the filter sees in ``near``, learning as it goes."""
    learning = AdaptiveFilter(np.zeros(PARTITIONS * BLOCK) if path is None else path, 0.03, BLOCK)
    past = np.concatenate((np.zeros(PARTITIONS * BLOCK), far))
    starts = range(0, len(near), BLOCK)
    return np.concatenate(
        [learning.process(past[at : at + (PARTITIONS + 1) * BLOCK], near[at : at + BLOCK]) for at in starts]
    )


def decibels(rest, of):
    late = slice(len(of) // 2, None)
    return 10 * np.log10(np.mean(rest[late] ** 2) / np.mean(of[late] ** 2))


def test_an_echo_is_predicted_within_seconds():
    assert decibels(ECHO - predicted(ECHO), ECHO) < -20


def test_another_voice_at_the_same_time_does_not_spoil_the_prediction():
    near = voice(SECONDS, seed=2, talking=(0.0, 2.0)).astype(float)
    assert decibels(ECHO - predicted(near + ECHO), ECHO) < -6
    assert decibels(predicted(near), near) < -20, "a voice is not taken for an echo"


def test_an_echo_that_gets_softer_is_followed():
    near = np.concatenate((ECHO[: len(ECHO) // 4], 0.5 * ECHO[len(ECHO) // 4 :]))
    assert decibels(near - predicted(near), near) < -15


def test_a_path_that_is_given_is_used_from_the_first_sample():
    path = np.zeros(PARTITIONS * BLOCK)
    path[[0, 200, 400]] = 0.2, -0.1, 0.05
    near = np.convolve(FAR, path)[: len(FAR)]
    rest = near - predicted(near, path=path)
    assert np.max(np.abs(rest[:8000])) < 0.01 * np.max(np.abs(near[:8000]))
