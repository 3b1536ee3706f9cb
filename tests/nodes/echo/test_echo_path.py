import numpy as np
import pytest

from nodes.echo.echo_path import EchoPath
from nodes.echo.echo_search import WINDOW
from nodes.echo.history import TrackHistory
from tests.support.echoes import echo, telephone, voice

BLOCK = 160
FAR = voice(4, talking=(0.0, 2.0)).astype(float)


def fitted(near, delay):
    far = TrackHistory()
    far.append(0, FAR.astype(np.int16), 0)
    return EchoPath.fit(near[-WINDOW * BLOCK :], far, len(FAR), delay, BLOCK)


@pytest.mark.parametrize("delay", [0, 1000, 4000])
def test_a_fit_explains_a_part_of_the_echo_that_it_has_not_seen(delay):
    path = fitted(telephone(echo(FAR, delay / 8000, -20)).astype(float), delay)
    assert path.left < 0.03
    assert 10 * np.log10(path.gain) == pytest.approx(-20, abs=3)


def test_a_fit_to_another_voice_is_of_no_use():
    assert fitted(voice(4, seed=2, talking=(0.0, 2.0)).astype(float), 1000).left == 1.0


def test_a_fit_to_silence_is_of_no_use():
    assert fitted(np.zeros(len(FAR)), 1000).left == 1.0
