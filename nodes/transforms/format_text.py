"""Format texts: numbers and spelled words as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec.structs import replace

from flowcore import TEXT, Config, Emit, Extra, Format, Session, Text, Transform, node
from nodes.formatting.written import written


@node("format_text")
class FormatText(Transform[Text, Text]):
    """Write the numbers of a transcript in digits, and spelled words in one piece (inverse text normalisation).

    For English; a text whose ``language`` is another one passes unchanged. Words that can be read in two ways, such as
    "two fifty", stay words. A run of digits, such as a card number, becomes one word. docs/format-text.md has
    examples.

    In: ``Text`` of any tracks. Out: the same texts, interim and final. A word that is written for several spoken ones
    has the times from the first to the last of them, and the product of their confidences.

    Example::

        written: {use: format_text, from: words}
    """

    caps: ClassVar = (TEXT,)

    @classmethod
    def requires(cls, config: Config) -> Sequence[Extra]:
        return (Extra("text_to_num", "numbers"),)

    @classmethod
    def gives(cls, config: Config, given: Format) -> Format:
        return given

    def open(self, session: Session) -> None:
        import text_to_num  # noqa: F401  # here rather than with the first text

    def process(self, chunk: Text, emit: Emit[Text]) -> None:
        if chunk.language.partition("-")[0] not in ("", "en"):
            emit(chunk)
            return
        text, words = written(chunk.text, chunk.words)
        emit(replace(chunk, text=text, words=words))
