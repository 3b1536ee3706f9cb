"""Prefer given phrases: write one in place of other words if the model finds it almost as probable.

The search begins with the most probable text. Where one of its words begins and a phrase could begin too, the phrase is
forced, and the model writes the rest of the text. The new text is taken if its probability, times `PREFERENCE`, is
greater. So a phrase is never written where the model is sure of something else. Measurements:
docs/decisions/0052-moonshine-scores-texts-with-phrases.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodes.speech.engines.moonshine_tokens import END, Tokens

PREFERENCE = exp(4)
"""Fitted to the prompts a-m, clear and with noise: more writes no more of the spoken phrases."""
MIN_RATIO = exp(-8)
"""Probability of a phrase's first token, relative to that of the word, below which a phrase is not tried."""
MAX_EXTRA_STEPS = 3
"""Steps of the model that phrases may take, as a multiple of those of the text: in noise many are tried."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The model's output for the next token.

    ``scores`` are the logarithms of the probabilities of all tokens, ``attention`` that to each frame of the audio, and
    ``past`` the state of the decoder, with which the step after it begins.
    """

    scores: NDArray[np.float32]
    attention: NDArray[np.float32]
    past: Any


Predict = Callable[[int, Any], Prediction]
"""Predicts the token after the given one, which follows the given past."""


@dataclass(frozen=True, eq=False)
class Step:
    """A token, and the prediction that it was taken from."""

    token: int
    prediction: Prediction

    @property
    def score(self) -> float:
        """Logarithm of the token's probability."""
        return float(self.prediction.scores[self.token])


def greedy(predict: Predict, prediction: Prediction, limit: int) -> list[Step]:
    """Return the most probable tokens from ``prediction`` on, also the one that ends the text; ``limit`` at most."""
    steps: list[Step] = []
    while len(steps) < limit:
        steps.append(Step(int(prediction.scores.argmax()), prediction))
        if steps[-1].token == END or len(steps) == limit:
            break
        prediction = predict(steps[-1].token, prediction.past)
    return steps


class PhraseSearch:
    """Rewrites ``steps``, the most probable text of ``limit`` tokens at most."""

    def __init__(self, predict: Predict, tokens: Tokens, steps: Sequence[Step], limit: int) -> None:
        self._model = predict
        self._tokens = tokens
        self._steps = list(steps)
        self._limit = limit
        self._left = MAX_EXTRA_STEPS * len(steps)

    def run(self, phrases: Sequence[str]) -> list[Step]:
        """Return the steps with ``phrases`` wherever they are probable enough."""
        encoded = [tokens for phrase in phrases if (tokens := self._tokens.encoded(phrase))]
        at = 0
        while at < len(self._steps) and self._steps[at].token != END:
            likely = (phrase for phrase in encoded if self._may_begin(at, phrase))
            found = [(_score(new), len(phrase), new) for phrase in likely if (new := self._with(at, phrase))]
            if found:
                _, length, self._steps = max(found, key=itemgetter(0))
                at += length
            else:
                at += 1
        return self._steps

    def _predict(self, token: int, past: Any) -> Prediction:
        self._left -= 1
        return self._model(token, past)

    def _may_begin(self, at: int, phrase: Sequence[int]) -> bool:
        step = self._steps[at]
        written = [other.token for other in self._steps[at : at + len(phrase)]] == phrase
        close = step.prediction.scores[phrase[0]] > step.score + log(MIN_RATIO)
        return self._tokens.begins_word(step.token) and close and not written and self._left > 0

    def _with(self, at: int, phrase: Sequence[int]) -> list[Step] | None:
        """Return the text with ``phrase`` from step ``at`` on; None if it is not probable enough."""
        least = _score(self._steps) - log(PREFERENCE)
        steps, prediction = self._steps[:at], self._steps[at].prediction
        for token in phrase:
            steps.append(Step(token, prediction))
            if _score(steps) <= least or len(steps) >= self._limit:
                return None
            prediction = self._predict(token, prediction.past)
        if self._tokens.continues_word(int(prediction.scores.argmax())):
            return None
        steps += greedy(self._predict, prediction, self._limit - len(steps))
        return steps if _score(steps) > least else None


def _score(steps: Sequence[Step]) -> float:
    return sum(step.score for step in steps)
