import numpy as np
import pytest

from nodes.echo import least_squares

chance = np.random.default_rng(1)
RESPONSE = chance.normal(0, 1, 40)


def signals(colour):
    source = np.convolve(chance.normal(0, 100, 1100), colour, "valid")
    return source, np.convolve(source, RESPONSE, "valid")


def test_the_filter_that_made_a_signal_is_found():
    source, target = signals([1])
    assert least_squares.fit(source, target, 40, 0.0) == pytest.approx(RESPONSE, abs=1e-6)


def test_it_is_what_the_normal_equations_give():
    source, target = signals([1, 0.9])
    rows = np.lib.stride_tricks.sliding_window_view(source, 40)[:, ::-1]
    ridge = 0.01 * float(source @ source)
    exact = np.linalg.solve(rows.T @ rows + ridge * np.eye(40), rows.T @ target)
    assert least_squares.fit(source, target, 40, ridge) == pytest.approx(exact, abs=1e-6)


def test_silence_gives_an_empty_filter():
    assert not least_squares.fit(np.zeros(100), np.zeros(61), 40, 1.0).any()
