"""Chunks of a tap as a WAV file."""

import io

import numpy as np
import pytest
import soundfile

from flowcore.admin.wav_stream import DTYPES, MAX_SILENCE, WavStream
from flowcore.errors import UsageError

RATE = 8000
SUBTYPES = {"s16": "PCM_16", "f32": "FLOAT", "mulaw": "ULAW"}


def chunk(samples, encoding="s16", start=0, channels=1):
    head = {"track": "agent", "start": start, "rate": RATE, "encoding": encoding, "channels": channels}
    return head, samples.astype(DTYPES[encoding]).tobytes()


@pytest.mark.parametrize("encoding", SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_encoding_is_a_wav_file(encoding, channels):
    wav = WavStream({"kind": "audio", "layout": "mono"}, "")
    samples = np.arange(0, 100 * channels).reshape(100, channels)
    data = b"".join(wav.encode(*chunk(samples, encoding, start, channels)) for start in (0, 100))
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.format, file.subtype, file.samplerate) == ("WAV", SUBTYPES[encoding], RATE)
        assert file.read().size == 200 * channels


def test_pauses_are_silence_of_their_length_and_long_ones_are_shortened():
    wav = WavStream({"kind": "audio", "layout": "mono"}, "")
    longest = round(MAX_SILENCE * RATE)
    starts = [500, 1000, 1000 + longest + 1_000_000]
    sizes = [len(wav.encode(*chunk(np.ones(100), start=start))) for start in starts]
    assert sizes == [44 + 200, 800 + 200, 2 * longest + 200]
    assert wav.encode(*chunk(np.ones(100), start=starts[-1] + 101))[:2] == b"\0\0"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"kind": "text"}, "this node gives no audio: leave out format=wav"),
        ({"kind": "audio", "layout": "tracks"}, "choose one with track=agent or track=customer"),
    ],
)
def test_what_is_no_wav_file_is_refused_with_what_to_do(form, text):
    with pytest.raises(UsageError, match=text):
        WavStream(form, "").check()
