import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nodes.echo.history import TrackHistory


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), min_size=1, max_size=20), st.integers(1, 50))
def test_samples_are_read_at_their_positions_and_holes_are_silent(pieces, kept):
    history, whole = TrackHistory(), np.zeros(0)
    for hole, frames in pieces:
        start = len(whole) + hole
        samples = np.arange(start + 1, start + frames + 1, dtype=np.int16)
        history.append(start, samples, start - kept)
        whole = np.concatenate((whole, np.zeros(hole), samples))
        assert history.end == len(whole)
        first = max(0, start - kept)
        assert np.array_equal(history.read(first, len(whole)), whole[first:])
        assert np.array_equal(history.read(first, len(whole) + 5), [*whole[first:], 0, 0, 0, 0, 0])


def test_what_is_no_longer_kept_takes_no_memory():
    history = TrackHistory()
    for start in range(0, 100_000, 100):
        history.append(start, np.ones(100, np.int16), start - 1000)
    assert len(history._samples) == 1100
    history.append(10**9, np.ones(100, np.int16), 10**9 - 1000)
    assert len(history._samples) == 1100
    assert not history.read(0, 1000).any()
