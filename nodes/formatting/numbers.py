"""Find the numbers of a text, with the library text2num."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nodes.formatting.digit_runs import OH
from nodes.formatting.tokens import Token

SCALES = frozenset(("hundred", "thousand", "million", "billion"))
MIN_GROUPED = 10_000  # numbers from here on have commas; years and most codes are below


@dataclass(frozen=True)
class Number:
    """A number that is said by the tokens from ``first`` to before ``after``."""

    first: int
    after: int
    digits: str
    """As text2num writes it: ``1234``, ``3.14`` or ``21st``."""
    ordinal: bool = False
    clear: bool = True
    """Whether it can be read in one way: "two fifty" can be 2 50, 250, 2:50 or 2.50."""
    vague: bool = False
    """Whether it is a scale alone: "a million" is rarely 1,000,000."""

    @property
    def value(self) -> float:
        """The number; that of ``21st`` is 21."""
        return float(self.digits.rstrip("stndrh"))

    @property
    def written(self) -> str:
        """The number as it is written, with commas if it is large."""
        return f"{int(self.digits):,}" if self.digits.isdigit() and self.value >= MIN_GROUPED else self.digits


class _Word:
    """A token as text2num asks for it."""

    def __init__(self, token: Token, taken: bool) -> None:
        self._token = token
        self._taken = taken or token.word in OH

    def text(self) -> str:
        return self._token.word

    def nt_separated(self, before: _Word) -> bool:
        return not self._token.tight

    def not_a_number_part(self) -> bool:
        return self._taken


def numbers(tokens: Sequence[Token], taken: Collection[int]) -> Iterator[Number]:
    """Yield the numbers that words say, in order; no token whose number is in ``taken`` is part of one."""
    from text_to_num import find_numbers

    words = [_Word(token, number in taken) for number, token in enumerate(tokens)]
    found = [each for each in find_numbers(words, "en", 0) if not each.text.endswith("s")]  # no thirds
    cardinal = {number for number, token in enumerate(tokens) if token.word.isdigit()}
    cardinal |= {end for each in found if not each.is_ordinal for end in (each.start, each.end - 1)}
    cardinal -= set(taken)
    for each in found:
        first, after = each.start, each.end
        before = tokens[first].listed and first - 1 in cardinal
        behind = after < len(tokens) and tokens[after].listed and after in cardinal
        zeros = each.text.isdigit() and each.text[0] == "0" < each.text
        scale = tokens[first].word in SCALES
        article = scale and first > 0 and tokens[first].tight and tokens[first - 1].word == "a"
        yield Number(
            first - article,
            after,
            each.text,
            each.is_ordinal,
            clear=each.is_ordinal or not (before or behind or zeros),
            vague=scale and after == first + 1,
        )
