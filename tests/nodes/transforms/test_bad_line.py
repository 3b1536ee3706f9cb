"""`reorder` undoes or counts what `netsim` does to a call: the counters of both ends agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.testing import NodeHarness
from nodes.transforms.netsim import Netsim
from nodes.transforms.packetize import Packetize
from nodes.transforms.reorder import Reorder
from tools.load import mulaw

SECONDS = 6.0
VOICES = {track: np.frombuffer(mulaw(7, track, SECONDS), np.uint8) for track in ("agent", "customer")}


def through(cls, chunks, **config):
    return NodeHarness(cls, config).push(*chunks).end()


def packets(sequence):
    pieces = range(0, round(SECONDS * 8000), 160)
    sound = [Audio(voice[at : at + 160], "mulaw", 8000, track, at) for at in pieces for track, voice in VOICES.items()]
    return through(Packetize, sound, sequence=sequence).out


def sound(chunks, track):
    return b"".join(chunk.samples.tobytes() for chunk in chunks if chunk.track == track)


@pytest.mark.parametrize("sequence", ["per_track", "shared"])
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_a_line_that_only_mixes_doubles_and_delays_costs_no_sample(sequence, seed):
    config = {
        "duplicate": 0.1,
        "duplicate_within": 2,
        "reorder": 0.2,
        "reorder_window": "40ms",
        "jitter": "30ms",
        "freeze": "100ms",  # in all, less than the window
        "freeze_every": "1s",
    }
    line = through(Netsim, packets(sequence), seed=seed, **config)
    heard = through(Reorder, line.out, window="240ms")
    for track, voice in VOICES.items():
        assert sound(heard.out, track) == voice.tobytes()
    assert heard.dropped["duplicate"] == pytest.approx(line.filled["duplicated"])
    assert set(heard.dropped) <= {"duplicate"}
    assert not heard.filled


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), burst=st.integers(1, 4))
def test_what_is_lost_is_silence_of_its_length_at_its_place(seed, burst):
    sent = packets("per_track")
    # The first packet sets the clock, and nobody can know of a packet that was lost behind the last one.
    lost = through(Netsim, sent[4:-4], loss=0.05, loss_burst=burst, seed=seed)
    heard = through(Reorder, [*sent[:4], *lost.out, *sent[-4:]])
    assert heard.filled.total() == pytest.approx(lost.dropped["simulated_loss"])
    kept = {
        track: {packet.seq for packet in [*sent[:4], *lost.out, *sent[-4:]] if packet.track == track}
        for track in VOICES
    }
    for track, voice in VOICES.items():
        expected = b"".join(
            voice[n * 160 : (n + 1) * 160].tobytes() if n + 1 in kept[track] else b"\xff" * 160 for n in range(300)
        )
        assert sound(heard.out, track) == expected


def test_what_is_changed_is_changed_at_the_receiver_and_nothing_else_is():
    noisy = through(Netsim, packets("per_track"), corrupt=0.1, corrupt_bytes=10, seed=1)
    heard = through(Reorder, noisy.out)
    wrong = sum(np.count_nonzero(np.frombuffer(sound(heard.out, t), np.uint8) != voice) for t, voice in VOICES.items())
    assert wrong == round(noisy.dropped["corrupted"] / 0.02) * 10
