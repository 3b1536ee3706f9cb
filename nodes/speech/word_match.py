"""Compare words without their case and punctuation."""

from __future__ import annotations


def normalized(word: str) -> str:
    """Return the letters and digits of a word in lower case; empty for punctuation alone."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def continuation(said: str, heard: str) -> str:
    """Return the rest of ``heard`` after the words ``said``; empty if it begins otherwise or has no more words."""
    words = heard.split()
    at = 0
    for word in filter(None, map(normalized, said.split())):
        while at < len(words) and not normalized(words[at]):
            at += 1
        if at == len(words) or normalized(words[at]) != word:
            return ""
        at += 1
    rest = " ".join(words[at:]).lstrip("-–—, ")
    return rest[:1].upper() + rest[1:]
