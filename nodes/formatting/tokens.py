"""The words of a text with their places, and the edits that replace some of them."""

from __future__ import annotations

import re
from typing import NamedTuple

TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]\.(?=\.)|[^\W\d_]+(?:['’][^\W\d_]+)*")
"""A number, a single letter with its full stop before that of the sentence ("M.."), or a word."""


class Token(NamedTuple):
    """A word or number of a text, without punctuation, from ``start`` to before ``end`` of the text.

    ``gap`` is the text between it and the token before; empty for the first one.
    """

    word: str
    """In lower case."""
    start: int
    end: int
    gap: str
    capital: bool
    """Whether it begins with a capital letter."""

    @property
    def tight(self) -> bool:
        """Whether only white space or a hyphen divides the token from the one before."""
        return self.gap.isspace() or self.gap == "-"

    @property
    def listed(self) -> bool:
        """Whether the token follows the one before directly, or after a comma."""
        return self.tight or self.gap.strip() == ","


class Edit(NamedTuple):
    """Replaces the tokens from number ``first`` to before ``after`` by ``text``, which has no white space."""

    first: int
    after: int
    text: str


def tokenized(text: str) -> list[Token]:
    """Return the tokens of ``text``, in order."""
    tokens: list[Token] = []
    for match in TOKEN.finditer(text):
        gap = text[tokens[-1].end : match.start()] if tokens else ""
        word = match[0].rstrip(".").lower()
        tokens.append(Token(word, match.start(), match.end(), gap, match[0][0].isupper()))
    return tokens
