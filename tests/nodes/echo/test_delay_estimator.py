import pytest

from nodes.echo.delay_estimator import DelayEstimator
from nodes.echo.echo_search import FOUND
from tests.support.echoes import echo, telephone, voice

WINDOW, LONGEST = 2400, 4320


def peaks(near, far):
    """The delay and the height of the peak for every 0.1 s from the first second on."""
    estimator = DelayEstimator(WINDOW, LONGEST)
    ends = range(LONGEST + WINDOW, len(near) + 1, 800)
    return [estimator.update(near[end - WINDOW : end], far[end - WINDOW - LONGEST : end]) for end in ends]


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.15, 0.5])
@pytest.mark.parametrize("level", [-10, -40])
def test_the_delay_of_an_echo_is_found_at_every_level(delay, level):
    agent = voice(4, talking=(0.0, 2.0)).astype(float)
    found, height = peaks(telephone(echo(agent, delay, level)), agent)[-1]
    assert found == pytest.approx(delay * 8000, abs=20)
    assert height > FOUND


def test_another_voice_is_no_echo():
    agent, customer = (voice(20, seed, talking=(0.0, 2.0)).astype(float) for seed in (1, 2))
    assert max(height for _, height in peaks(customer, agent)) < FOUND


def test_silence_has_no_peak():
    silence = voice(2) * 0.0
    assert all(height < FOUND for _, height in peaks(silence, silence))
