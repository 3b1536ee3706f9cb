"""Telephone speech with known words.

The prompts of Asterisk, a studio voice at 8 kHz, from Debian (``asterisk-core-sounds-en-wav``) with their texts
(``asterisk-core-sounds-en``), through mu-law. flowcore is tuned on prompts with names from a to m; reported figures are
of names from n to z. Prompts of fewer than six words are left out, and so are texts that are not written as they are
spoken (numbers of two digits, symbols, addresses, stage directions).
"""

from __future__ import annotations

import gzip
import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nodes.audio import g711
from tools.error_rate import normalised

RATE = 8000
SOUNDS = Path("/usr/share/asterisk/sounds/en")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
MUSIC = Path("/usr/share/asterisk/moh")
INSTALL = "apt-get install asterisk-core-sounds-en-wav asterisk-core-sounds-en asterisk-moh-opsound-wav"
UNSPOKEN = re.compile(r"[\[\](){}<>#*@]|www|\d\d")
MIN_WORDS = 6
MISPRINTS = {
    "represenatives": "representatives",
    "umute": "unmute",
    "Un-indentified": "Unidentified",
    "witheld": "withheld",
}
"""Spelling mistakes of the printed texts."""


@dataclass(frozen=True)
class Prompt:
    """A prompt: its name, its text, and the samples, s16 at 8 kHz."""

    name: str
    text: str
    samples: Any


def prompts(first: str, last: str) -> list[Prompt]:
    """Return the prompts whose names begin with a letter from ``first`` to ``last``.

    Raises `FileNotFoundError` with the command that installs them.
    """
    if not TEXTS.exists() or not SOUNDS.exists():
        raise FileNotFoundError(f"the prompts are not installed: {INSTALL}")
    with gzip.open(TEXTS, "rt") as file:
        lines = file.read().splitlines()
    found = []
    for line in lines:
        match = re.match(r"([\w/-]+): (.*)", line)
        if match is None or not first <= match[1][0] <= last or UNSPOKEN.search(match[2]):
            continue
        path = SOUNDS / f"{match[1]}.wav"
        if len(normalised(match[2]).split()) >= MIN_WORDS and path.exists():
            text = " ".join(MISPRINTS.get(word, word) for word in match[2].split())
            found.append(Prompt(match[1], text, telephone(path)))
    return found


def telephone(path: Path) -> Any:
    """Return the samples of a WAV file at 8 kHz, through mu-law."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, RATE)
        return g711.decode(g711.encode(np.frombuffer(file.readframes(file.getnframes()), np.int16)))


def monologue(said: Sequence[Prompt], pause: float) -> Any:
    """Join the prompts, with ``pause`` seconds of silence around each."""
    silence = np.zeros(round(pause * RATE), np.int16)
    return np.concatenate([silence, *(part for prompt in said for part in (prompt.samples, silence))])


def conversation(said: Sequence[Prompt], pause: float) -> tuple[Any, Any]:
    """Let two parties speak the prompts in turn, ``pause`` seconds apart; both channels have the same length."""
    parties: tuple[list[Any], list[Any]] = ([], [])
    for number, prompt in enumerate(said):
        turn = np.concatenate([prompt.samples, np.zeros(round(pause * RATE), np.int16)])
        parties[number % 2].append(turn)
        parties[1 - number % 2].append(np.zeros_like(turn))
    return np.concatenate(parties[0]), np.concatenate(parties[1])
