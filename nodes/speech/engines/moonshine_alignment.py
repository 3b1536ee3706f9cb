"""Times of words from the decoder's attention to the audio (cross-attention).

Some attention heads look at the sound of the token that they produce. The path of the greatest attention gives each
token its frames, in order. Where words meet in a pause, the pause bounds both: the attention alone has none.
Measurements: docs/decisions/0042-times-of-words-come-from-attention-and-pauses.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from flowcore.speech import DECODER_RATE

FRAME_SAMPLES = 384  # 24 ms, for each of which the encoder makes one vector
FLOOR = 1e-4  # attention that counts as none
QUIET = 0.02  # level of a pause, relative to the loudest frame
PAUSE_FRAMES = 4  # 96 ms: the closure of a consonant such as t is shorter
MAX_DISTANCE = 12  # frames, 0.3 s, between a pause and the boundary that it moves


def word_times(
    attention: NDArray[np.float32], words: Sequence[int], samples: NDArray[np.int16]
) -> list[tuple[float, float]]:
    """Return the start and end of each word, in seconds from the first sample.

    ``attention`` is (tokens, frames); ``words`` has the number of the last token of each word, in order.
    """
    last = _last_frames(attention)
    bounds = [0, *(last[token] + 1 for token in words)]  # in frames; a word lies between two
    starts, ends = bounds[:-1], bounds[1:]
    for first, after in _pauses(samples):
        word = min(range(len(bounds)), key=lambda word: _distance(bounds[word], first, after))
        if _distance(bounds[word], first, after) <= MAX_DISTANCE:
            if word > 0:
                ends[word - 1] = first
            if word < len(words):
                starts[word] = after
    seconds = np.maximum.accumulate(np.column_stack((starts, ends)).ravel()) * FRAME_SAMPLES / DECODER_RATE
    seconds = np.minimum(seconds, len(samples) / DECODER_RATE)
    return [(float(start), float(end)) for start, end in seconds.reshape(-1, 2)]


def _last_frames(attention: NDArray[np.float32]) -> list[int]:
    """Return the last frame of each token on the path with the greatest product of attention; each has a frame."""
    scores = np.log(attention.T + FLOOR)  # frames, tokens
    best = np.full(scores.shape[1], -np.inf)
    best[0] = scores[0, 0]
    moved = np.zeros(scores.shape, bool)  # whether the token before had the frame before
    for frame in range(1, len(scores)):
        from_before = np.concatenate(([-np.inf], best[:-1]))
        moved[frame] = from_before > best
        best = np.maximum(best, from_before) + scores[frame]
    token = scores.shape[1] - 1
    last = [0] * scores.shape[1]
    last[token] = len(scores) - 1
    for frame in range(len(scores) - 1, 0, -1):
        if token and moved[frame, token]:
            token -= 1
            last[token] = frame - 1
    return last


def _pauses(samples: NDArray[np.int16]) -> Iterator[tuple[int, int]]:
    """Yield the first frame of each pause and the one after its last."""
    count = len(samples) // FRAME_SAMPLES
    frames = samples[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
    level = np.sqrt(np.mean(np.square(frames, dtype=np.float32), axis=1))
    quiet = np.concatenate(([False], level < QUIET * level.max(initial=0), [False]))
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]).tolist()
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        if after - first >= PAUSE_FRAMES:
            yield first, after


def _distance(bound: int, first: int, after: int) -> int:
    return max(0, first - bound, bound - after)
