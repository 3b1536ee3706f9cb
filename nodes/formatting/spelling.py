"""Join words that were spelled: "J, O, H, N" to "JOHN", "double L" to "LL", "B as in Bravo" to "B"."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from nodes.formatting.tokens import Edit, Token

MIN_LETTERS = 3  # fewer are an abbreviation, or words: "plan B", "I"
MIN_LISTED_LETTERS = 4  # of a run with commas, which may be a list: "options A, B, C"
WORDS = frozenset("ai")
"""Letters that are words. A run needs two letters that are none: "I, a" is not spelled."""


class _Letters(NamedTuple):
    """One or two letters that were spelled, and the number of the token after them."""

    text: str
    after: int


def spelled(tokens: Sequence[Token], taken: Collection[int]) -> Iterator[Edit]:
    """Yield an edit for each spelled word, and for each letter with its "as in".

    No token whose number is in ``taken`` is part of one.
    """
    number = 0
    while number < len(tokens):
        first, text = number, ""
        while (
            number not in taken
            and (letters := _letters(tokens, number))
            and (_continues(tokens[number]) if number > first else tokens[number].gap != ".")  # not the m of p.m.
        ):
            text += letters.text
            number = letters.after
        if _is_word(text, tokens[first:number]):
            yield Edit(first, number, text)
        number = max(number, first + 1)


def _is_word(text: str, tokens: Sequence[Token]) -> bool:
    if any(token.word == "as" for token in tokens):
        return True
    listed = any("," in token.gap for token in tokens[1:])
    least = MIN_LISTED_LETTERS if listed else MIN_LETTERS
    return len(text) >= least and sum(letter.lower() not in WORDS for letter in text) >= 2


def _letters(tokens: Sequence[Token], first: int) -> _Letters | None:
    word, next_word, *_ = *(token.word for token in tokens[first : first + 2]), "", ""
    if word == "double" and len(next_word) == 1 and next_word.isalpha():
        return _Letters("W" if next_word == "u" else 2 * next_word.upper(), first + 2)
    if word == "double" and next_word == "you":
        return _Letters("W", first + 2)
    if len(word) != 1 or not word.isalpha():
        return None
    match [token.word for token in tokens[first + 1 : first + 4]]:
        case ["as", "in", example] if example.startswith(word) and len(example) > 1:
            return _Letters(word.upper(), first + 4)
    return _Letters(word.upper(), first + 1)


def _continues(token: Token) -> bool:
    return token.listed or token.gap == ". "
