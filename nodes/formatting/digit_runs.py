"""Join digits that were read one by one or in pairs, such as those of a card: "four, one, double one" to "4111"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from nodes.formatting.day_half import day_half
from nodes.formatting.tokens import Edit, Token

ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
DIGITS = {word: str(digit) for digit, word in enumerate(ONES)}
PAIRS = {word: str(value) for value, word in enumerate(TEENS, 10)} | {
    word: f"{tens}0" for tens, word in enumerate(TENS, 2)
}
OH = ("oh", "o")
REPEATS = {"double": 2, "triple": 3, "treble": 3}
MIN_DIGITS = 3  # of a run without commas; two digits may be two numbers
MIN_LISTED_DIGITS = 4  # of a run with commas, which may be a list
MIN_PAIRED_DIGITS = 7  # of a run with numbers of two digits, or with digits that the engine wrote: a telephone number


class _Item(NamedTuple):
    """Digits of a run, and the tokens from ``first`` to before ``after`` that said them."""

    digits: str
    first: int
    after: int
    single: bool
    """Whether the digits were read one by one."""


def digit_runs(tokens: Sequence[Token]) -> Iterator[Edit]:
    """Yield an edit for each run of digits."""
    number = 0
    while number < len(tokens):
        run: list[_Item] = []
        while (item := _item(tokens, number)) and (not run or tokens[number].listed):
            run.append(item)
            number = item.after
        yield from _edits(tokens, run)
        number += not run


def _edits(tokens: Sequence[Token], run: Sequence[_Item]) -> Iterator[Edit]:
    """Yield the edit that joins the whole run, or those of its parts."""
    run = _without_interjections(tokens, run)
    if not run or day_half(tokens, run[-1].after) or _is_fraction(tokens, run[0].first):
        return
    digits = "".join(item.digits for item in run)
    single, tight = all(item.single for item in run), all(tokens[item.first].tight for item in run[1:])
    least = MIN_PAIRED_DIGITS if not single else MIN_DIGITS if tight else MIN_LISTED_DIGITS
    repeats = len(run) == 1 and single and len(digits) > 1
    spoken = any(not tokens[item.first].word.isdigit() for item in run)
    if (len(digits) >= least and spoken) or repeats:
        yield Edit(run[0].first, run[-1].after, digits)
    elif not (single and tight):
        starts = [0, *(at for at, pair in enumerate(pairwise(run), 1) if not _belong(tokens, *pair)), len(run)]
        for start, end in pairwise(starts):
            if run[start].single:
                yield from _edits(tokens, run[start:end])


def _is_fraction(tokens: Sequence[Token], first: int) -> bool:
    return first > 0 and tokens[first].tight and tokens[first - 1].word == "point"


def _belong(tokens: Sequence[Token], item: _Item, following: _Item) -> bool:
    return item.single and following.single and tokens[following.first].tight


def _without_interjections(tokens: Sequence[Token], run: Sequence[_Item]) -> Sequence[_Item]:
    """Remove an "oh" that a comma divides from the rest."""
    if run and tokens[run[0].first].word in OH and (len(run) == 1 or not tokens[run[1].first].tight):
        return run[1:]
    if run and tokens[run[-1].first].word in OH and not tokens[run[-1].first].tight:
        return run[:-1]
    return run


def _item(tokens: Sequence[Token], first: int) -> _Item | None:
    words = [token.word for token in tokens[first : first + 2]]
    tight = len(words) == 2 and tokens[first + 1].tight
    word, following = words[0] if words else "", words[1] if tight else ""
    if word in DIGITS or word in OH:
        return _Item(DIGITS.get(word, "0"), first, first + 1, True)
    if word in REPEATS and (following in DIGITS or following in OH):
        return _Item(REPEATS[word] * DIGITS.get(following, "0"), first, first + 2, True)
    if word in TENS and following in DIGITS and following != "zero":
        return _Item(PAIRS[word][0] + DIGITS[following], first, first + 2, False)
    if word in PAIRS:
        return _Item(PAIRS[word], first, first + 1, False)
    return _Item(word, first, first + 1, False) if word.isdigit() else None
