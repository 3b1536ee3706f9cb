"""How soon interim texts show the words of the final ones, and how many of their words stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from tools.error_rate import normalised


def delays(texts: Iterable[Any]) -> list[float]:
    """Return the seconds from the end of each word of the final texts to the first text that has it, sorted.

    The final texts need words with times.
    """
    found = []
    for utterance in utterances(texts):
        final = [normalised(word.text) for word in utterance[-1].words]
        shown: dict[int, float] = {}
        for text in utterance:
            for word in _places(_words(text), final):
                shown.setdefault(word, text.end + (text.lag or 0.0))
        found += [shown[number] - word.end for number, word in enumerate(utterance[-1].words)]
    return sorted(found)


def kept(texts: Iterable[Any]) -> float:
    """Return the share of the words of interim texts that are in the final texts too."""
    kept = shown = 0
    for *interims, final in utterances(texts):
        for interim in interims:
            kept += len(list(_places(_words(interim), _words(final))))
            shown += len(_words(interim))
    return kept / shown if shown else 1.0


def utterances(texts: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the texts of each utterance that has words at last; the final one is the last."""
    ordered = sorted(texts, key=lambda text: (text.track, text.utterance))
    for _, group in groupby(ordered, key=lambda text: (text.track, text.utterance)):
        found = list(group)
        if found[-1].final and found[-1].text:
            yield found


def _words(text: Any) -> list[str]:
    return [normalised(word) for word in text.text.split()]


def _places(words: Sequence[str], final: Sequence[str]) -> Iterator[int]:
    """Yield the places in ``final`` of those ``words`` that are in it too."""
    for block in SequenceMatcher(None, words, final, autojunk=False).get_matching_blocks():
        yield from range(block.b, block.b + block.size)
