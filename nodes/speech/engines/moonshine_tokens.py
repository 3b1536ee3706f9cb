"""The tokens of Moonshine: parts of words, made by byte pair encoding."""

from __future__ import annotations

from collections.abc import Iterator

START, END = 1, 2
"""The tokens before and after a text."""
WORD_START = "▁"


class Tokens:
    """The vocabulary of ``tokenizer.bin``. A pair of tokens that was learnt earlier has a smaller number."""

    def __init__(self, content: bytes) -> None:
        self.texts = list(_tokens(content))
        self._numbers = {text: number for number, text in enumerate(self.texts)}  # the last of those with the same text

    def begins_word(self, token: int) -> bool:
        """Whether a word begins with ``token``."""
        return self.texts[token].startswith(WORD_START.encode())

    def continues_word(self, token: int) -> bool:
        """Whether ``token`` goes on with the letters of a word; punctuation does not."""
        return token != END and self.texts[token][:1].isalnum()

    def encoded(self, phrase: str) -> list[int]:
        """Return the tokens that the model writes for ``phrase``; none if it has a character that the model lacks."""
        pieces = [letter.encode() for word in phrase.split() for letter in WORD_START + word]
        missing = len(self.texts)
        while len(pieces) > 1:
            pairs = (self._numbers.get(pieces[at] + pieces[at + 1], missing) for at in range(len(pieces) - 1))
            number, at = min((number, at) for at, number in enumerate(pairs))
            if number == missing:
                break
            pieces[at : at + 2] = [self.texts[number]]
        return [self._numbers[piece] for piece in pieces] if self._numbers.keys() >= set(pieces) else []


def _tokens(content: bytes) -> Iterator[bytes]:
    """Yield the tokens: each has its length before it, in one byte, or in two from 128 on."""
    at = 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 128:
            length += 128 * (content[at] - 1)
            at += 1
        yield content[at : at + length]
        at += length
