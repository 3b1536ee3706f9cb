"""Moonshine's English models: the packages that their weights are part of, and what is known of each model.

Only the packages' files of weights are used, never their libraries. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowcore import CannotStart
from nodes.speech.engines.moonshine_words import ConfidenceWeights

INSTALL = "pip install 'flowcore[moonshine]'"
REINSTALL = "pip install --force-reinstall 'flowcore[moonshine]'"
ENCODER, DECODER, TOKENS = "encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"


@dataclass(frozen=True)
class MoonshineFiles:
    """A model in ``version`` of ``package``, which has it in ``folder``."""

    package: str
    version: str
    module: str
    folder: str
    sha256: Mapping[str, str]
    """Hash of each file of that version."""
    heads: tuple[tuple[int, int], ...]
    """Layer and head of the decoder's attention to the audio that look at the sound of their token."""
    confidence: ConfidenceWeights
    platform: str = ""
    """What the package is for, if not for all platforms."""
    otherwise: str = ""
    """Advice beside that to install the package again."""

    def find(self) -> Path | None:
        """Return the folder of the files, without importing a package; None if a package is missing."""
        package, *others = map(importlib.util.find_spec, (self.module, "onnx", "onnxruntime"))
        if package is None or package.origin is None or None in others:
            return None
        return Path(package.origin).parent / self.folder

    def read(self, folder: Path | None) -> list[bytes]:
        """Return the encoder, the decoder and the tokens. Raises `CannotStart` if one is missing or another file."""
        if folder is None:
            missing = f"the model needs {self.package}{self.platform}: {INSTALL}{self.otherwise}"
            raise CannotStart(missing, field="engine")
        return [self._read(folder / name, digest) for name, digest in self.sha256.items()]

    def _read(self, path: Path, digest: str) -> bytes:
        advice = f"{REINSTALL}{self.otherwise}"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CannotStart(f"{path} cannot be read ({error.strerror}): {advice}", field="engine") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise CannotStart(f"{path} is not the file of {self.package} {self.version}: {advice}", field="engine")
        return content


BASE = MoonshineFiles(
    package="moonshine-cpp",
    version="0.1.4",
    module="moonshine_cpp",
    folder="models/base-en",
    sha256={
        ENCODER: "9d1a19e044cbf89a207723d1adb667de89a5671a1e3e611b8ebe721b2c31219c",
        DECODER: "370e0c1f161d68dc1c2264c1a82024fb123380da3b73f47f05531d1e8d3308c3",
        TOKENS: "04670d78994d030185c3dd843c60591788fed0a56cc6750747bd326825f13ca9",
    },
    heads=((2, 7), (4, 0), (4, 1)),
    confidence=ConfidenceWeights(bias=-0.24, word=0.49, mean=1.23, repetition=-1.55),
    platform=", which is for Linux with an x86-64 processor",
    otherwise=", or set model: tiny",
)
TINY = MoonshineFiles(
    package="moonshine-voice",
    version="0.0.73",
    module="moonshine_voice",
    folder="assets/tiny-en",
    sha256={
        ENCODER: "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
        DECODER: "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
        TOKENS: "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
    },
    heads=((0, 4), (2, 0), (4, 2)),
    confidence=ConfidenceWeights(bias=-0.55, word=0.42, mean=1.32, repetition=-1.03),
)
