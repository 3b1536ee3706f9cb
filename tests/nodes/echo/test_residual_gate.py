import numpy as np

from nodes.echo.residual_gate import HANGOVER, ResidualGate

BLOCK = 160
noise = np.random.default_rng(1)


def block(level):
    return noise.normal(0, level, BLOCK) if level else np.zeros(BLOCK)


def test_what_cancellation_leaves_of_an_echo_is_silenced():
    gate = ResidualGate()
    for _ in range(20):
        echo = block(300)
        assert not gate.process(echo + block(30), echo).any()


def test_a_voice_above_what_is_left_passes_without_the_echo_until_after_its_end():
    gate = ResidualGate()
    for _ in range(20):
        echo, voice = block(300), block(500)
        assert np.allclose(gate.process(voice + echo, echo), voice)
    soft = [bool(gate.process((echo := block(300)) + block(20), echo).any()) for _ in range(2 * HANGOVER)]
    assert soft == [True] * (HANGOVER - 1) + [False] * (HANGOVER + 1)


def test_without_an_echo_every_block_is_unchanged():
    gate = ResidualGate()
    for level in (0, 3, 300, 3):
        near = block(level)
        assert gate.process(near, np.zeros(BLOCK)) is near


def test_a_wrong_prediction_adds_nothing():
    gate = ResidualGate()
    near = block(500)
    assert np.array_equal(gate.process(near, 5 * block(500)), near) or not gate.process(near, 5 * block(500)).any()


def test_an_echo_in_single_steps_of_mu_law_is_silenced():
    gate = ResidualGate()
    steps = np.where(np.arange(BLOCK) % 7 == 0, 8.0, 0.0)
    assert not gate.process(steps, block(1)).any()
