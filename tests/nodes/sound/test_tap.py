"""The WAV file of a tap: both parties side by side, by the positions of their chunks."""

import wave

import numpy as np

from nodes.sound.tap import _write

RATE = 100


class Heard:
    """The messages of a tap on two tracks, all of which have come when the call ends."""

    def __init__(self, *chunks):
        self.hello = {"format": {"layout": "tracks", "rate": RATE}}
        self.end = None
        self._chunks = chunks

    def messages(self, wait):
        self.end = "stop"
        for track, start, value in self._chunks:
            head = {"track": track, "start": start, "rate": RATE, "encoding": "s16", "channels": 1, "lost": 0}
            yield head, np.full(100, value, np.int16).tobytes()


def written(tmp_path, *chunks):
    path = tmp_path / "out.wav"
    _write(Heard(*chunks), path)
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T.tolist()


def test_parties_are_joined_by_their_positions(tmp_path):
    assert written(tmp_path, ("agent", 500, 1), ("customer", 500, 2)) == [[1] * 100, [2] * 100]


def test_a_missing_party_is_silent_and_what_comes_late_of_it_is_left_out(tmp_path):
    chunks = [("agent", at, 1) for at in range(0, 500, 100)]
    assert written(tmp_path, *chunks, ("customer", 0, 2)) == [[1] * 500, [0] * 500]


def test_a_hole_of_both_parties_is_silence_of_its_length(tmp_path):
    agent, customer = written(tmp_path, *((track, at, 1) for at in (0, 300) for track in ("agent", "customer")))
    assert agent == customer == [1] * 100 + [0] * 200 + [1] * 100
