"""Write a text as people write it, and keep the times and the confidence of its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from math import prod

from flowcore import Word
from nodes.formatting.amounts import Amounts
from nodes.formatting.digit_runs import digit_runs
from nodes.formatting.spelling import spelled
from nodes.formatting.tokens import Edit, tokenized

SPELLED = re.compile(r"\S+")


def written(text: str, words: Sequence[Word] = ()) -> tuple[str, tuple[Word, ...]]:
    """Return ``text`` with its numbers and spelled words as they are written, and its words.

    A word that is written for several spoken ones has the times from the first to the last of them, and the product of
    their confidences. ``words`` that are not those of ``text``, as its white space divides it, stay as they are.
    """
    tokens = tokenized(text)
    edits = list(digit_runs(tokens))
    edits += Amounts(tokens, _tokens_of(edits)).edits()
    edits += spelled(tokens, _tokens_of(edits))
    if not edits:
        return text, tuple(words)
    pieces, sources, at = [], [], 0  # a source: the place in ``text`` of each character that is written
    for edit in sorted(edits):
        start, end = tokens[edit.first].start, tokens[edit.after - 1].end
        new = edit.text[:-1] if edit.text.endswith(".") and text[end : end + 1] == "." else edit.text
        pieces += [text[at:start], new]
        sources += [*((place, place + 1) for place in range(at, start)), *[(start, end)] * len(new)]
        at = end
    sources += ((place, place + 1) for place in range(at, len(text)))
    result = "".join([*pieces, text[at:]])
    if [word.text for word in words] != text.split():
        return result, tuple(words)
    return result, tuple(_words(result, sources, text, words))


def _tokens_of(edits: Iterable[Edit]) -> set[int]:
    """Return the numbers of the tokens that ``edits`` replace."""
    return {number for edit in edits for number in range(edit.first, edit.after)}


def _words(result: str, sources: Sequence[tuple[int, int]], text: str, words: Sequence[Word]) -> Iterator[Word]:
    """Yield the words of ``result``, whose characters have their ``sources`` in ``text``."""
    places = [match.span() for match in SPELLED.finditer(text)]
    for match in SPELLED.finditer(result):
        start, end = sources[match.start()][0], sources[match.end() - 1][1]
        spoken = [word for word, place in zip(words, places, strict=True) if place[0] < end and place[1] > start]
        known = [word.confidence for word in spoken if word.confidence is not None]
        confidence = prod(known) if len(known) == len(spoken) else None
        yield Word(match[0], spoken[0].start, spoken[-1].end, confidence)
