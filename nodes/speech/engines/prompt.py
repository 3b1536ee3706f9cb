"""Make the prompt of a model, and recognise one that the model gives back as the words of audio without any."""

from __future__ import annotations

from collections.abc import Sequence

from nodes.speech.word_match import normalized

MIN_ECHO_WORDS = 4
"""Fewer words of the prompt may have been spoken: they are why the prompt names them."""


def echoes(prompt: str, text: str) -> bool:
    """Whether ``text`` is the whole prompt, or `MIN_ECHO_WORDS` or more words that follow each other in it."""
    asked, heard = (list(filter(None, map(normalized, each.split()))) for each in (prompt, text))
    if not heard or (len(heard) < MIN_ECHO_WORDS and heard != asked):
        return False
    return any(asked[at : at + len(heard)] == heard for at in range(len(asked) - len(heard) + 1))


def with_phrases(prompt: str, phrases: Sequence[str]) -> str:
    """Return ``prompt`` with ``phrases`` after it, in a form that speech models follow: a list of names."""
    return " ".join(filter(None, (prompt, ", ".join(phrases))))
