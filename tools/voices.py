"""Make two voices in telephone quality: ``python tools/voices.py DIR`` writes agent.wav and caller.wav.

The voices are recordings of real people from the wheel of moonshine-voice: the opening of *A Tale of Two Cities*
(44 s) for the agent, six sentences of Beckett (10 s) for the caller. Both become 8 kHz, through mu-law and back.
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np

from nodes.audio import g711

RATE = 8000
RECORDINGS = {"agent": "two_cities.wav", "caller": "beckett.wav"}


def telephone(name: str) -> Any:
    """Return the samples, s16 at 8 kHz, of a recording in the wheel."""
    import soxr
    from moonshine_voice.utils import get_assets_path

    with wave.open(str(get_assets_path() / name)) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
        narrow = soxr.resample(samples, wav.getframerate(), RATE)
    return g711.decode(g711.encode(narrow))


def write(path: Path, samples: Any) -> None:
    with path.open("wb") as file, wave.open(file, "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        wav.writeframes(samples.tobytes())


def main(directory: str) -> None:
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for party, recording in RECORDINGS.items():
        samples = telephone(recording)
        write(folder / f"{party}.wav", samples)
        print(f"{folder / party}.wav: {len(samples) / RATE:.1f} s, from {recording}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/voices.py DIR")
    try:
        main(sys.argv[1])
    except OSError as error:
        sys.exit(f"cannot write to {sys.argv[1]}: {error.strerror}")
