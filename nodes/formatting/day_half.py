"""Find "a m" and "p m", which make a number the time of a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nodes.formatting.tokens import Token

HALVES = ("am", "pm")


class DayHalf(NamedTuple):
    """``a.m.`` or ``p.m.``, and the number of the token after it."""

    text: str
    after: int


def day_half(tokens: Sequence[Token], first: int) -> DayHalf | None:
    """Return the half of the day that begins at token ``first``, directly after the token before."""
    if first >= len(tokens) or not tokens[first].tight:
        return None
    word, *following = (token.word for token in tokens[first : first + 2])
    if word in HALVES:
        return DayHalf(f"{word[0]}.m.", first + 1)
    return DayHalf(f"{word}.m.", first + 2) if word in ("a", "p") and following == ["m"] else None
