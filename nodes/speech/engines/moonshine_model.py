"""A Moonshine model in ONNX Runtime.

The files of weights are prepared in memory at every start, and nothing is written to the disk.
"""

from __future__ import annotations

import ctypes
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
from nodes.speech.engines.moonshine_files import REINSTALL, MoonshineFiles
from nodes.speech.engines.moonshine_phrases import PhraseSearch, Prediction, Step, greedy
from nodes.speech.engines.moonshine_tokens import END, START, Tokens
from nodes.speech.engines.moonshine_words import Token, decoded, text
from nodes.speech.onnx_session import BadModel, memory_file, open_session

SIZES = {"batch_size": 1, "decoder_sequence_length": 1}
"""Sizes of the graphs' inputs that are always the same: with them known, a step has half as many operations."""
SILENCE = 8  # frames, 0.2 s, put around the audio: without it the model mishears first and last words
MAX_TOKENS_PER_SECOND = 6.5  # as Moonshine's own library: more are a loop of the model
MIN_SILENCE = 0.97
"""Probability of no words at all that is believed. The model gives 0.99 and more to hiss and noise, up to 0.95 to
single words with silence around, of which it would leave out one in nine."""


class MoonshineModel:
    """The loaded model."""

    def __init__(self, files: MoonshineFiles, folder: Path | None = None) -> None:
        """Load the model from ``folder``, by default that of its package. Raises `CannotStart`.

        Takes 0.7 CPU seconds, and 500 MB for base or 300 MB for tiny meanwhile.
        """
        self._files = files
        encoder, decoder, tokens = files.read(folder or files.find())
        layers = sorted({layer for layer, _ in files.heads})
        self._heads = [(layers.index(layer), head) for layer, head in files.heads]
        try:
            self._encoder, self._decoder = _sessions(encoder, decoder, layers)
        except BadModel as error:
            raise CannotStart(
                f"onnxruntime cannot load the model ({error}): {REINSTALL}{files.otherwise}", field="engine"
            ) from error
        ctypes.CDLL(None).malloc_trim(0)  # half of the memory held now was only needed for loading
        self._tokens = Tokens(tokens)
        self._audio = [output.name for output in self._encoder.get_outputs()]
        outputs = [output.name for output in self._decoder.get_outputs()]
        self._past = [name.replace("present", "past_key_values") for name in outputs if name.startswith("present")]
        past = next(value for value in self._decoder.get_inputs() if value.name == self._past[0])
        _, heads, _, width = past.shape
        self._empty = np.zeros((1, heads, 0, width), np.float32)

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        """Return the words in ``samples``, s16 at 16 kHz, preferring ``phrases``. Raises `DecodeFailed`."""
        steps = self._steps(samples, phrases)
        texts = self._tokens.texts
        tokens = [Token(texts[step.token], step.score, step.prediction.attention) for step in steps]
        return decoded(tokens, samples, self._files.confidence)

    def text(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> str:
        """As `decode`, but only the text."""
        return text([self._tokens.texts[step.token] for step in self._steps(samples, phrases)])

    def _steps(self, samples: NDArray[np.int16], phrases: Sequence[str]) -> list[Step]:
        audio = np.pad(samples * np.float32(1 / FULL_SCALE["s16"]), SILENCE * FRAME_SAMPLES)[np.newaxis]
        try:
            return self._decode(audio, phrases)
        except Exception as error:  # ONNX Runtime's errors have no other base
            seconds = len(samples) / DECODER_RATE
            raise DecodeFailed(f"moonshine could not decode {seconds:.1f} s of audio: {error}") from error

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
        heads = [attention[layer][0, head, 0, SILENCE:] for layer, head in self._heads]
        past = dict(zip(self._past, more[: len(self._past)], strict=True))
        return Prediction(_log_softmax(logits[0, -1]), sum(heads) / len(heads), past)


def _sessions(encoder: bytes, decoder: bytes, layers: Sequence[int]) -> Iterator[Any]:
    """Yield the encoder and the decoder, loaded. Raises `BadModel`."""
    from nodes.speech.engines.moonshine_graphs import prepare

    for graph in prepare(encoder, decoder, layers):
        with memory_file(graph) as path:
            # An arena would keep the memory of the longest utterance.
            yield open_session(path, SIZES, enable_cpu_mem_arena=False)


def _log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    relative = scores - scores.max()
    return np.asarray(relative - np.log(np.exp(relative).sum()))
