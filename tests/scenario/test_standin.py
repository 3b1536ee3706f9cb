"""Voices of a test: pieces of sound, one after the other, from a stand-in for the graph's listener."""

# tables, one row a line
import wave

import numpy as np

from tests.scenario.graph import TEST, differences


def test_voices_of_a_file(written, tmp_path):
    samples = (8000 * np.sin(np.arange(16000) / 5)).astype("<i2")
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    path = written(TEST.replace("[{tone: 2s}]", "[{wav: voice.wav}, {tone: 1s}]"))
    assert differences(path) == ()
    (tmp_path / "voice.wav").write_text("no sound")
    assert differences(path)[0].startswith("UsageError: cannot read")
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setparams((2, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    assert "voice.wav is not mono of 16 bits: convert it" in differences(path)[0]
