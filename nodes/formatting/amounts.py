"""Write numbers with their units: years, dates, times of day, money and percentages; others from 10 on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nodes.formatting.day_half import day_half
from nodes.formatting.digit_runs import DIGITS, OH
from nodes.formatting.numbers import Number, numbers
from nodes.formatting.tokens import Edit, Token

MIN_NUMBER = 10
"""Smaller numbers stay words, as newspapers write them, unless a unit follows."""
CENTURIES = range(17, 21)
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
VERBS = ("march", "may")
"""Months that are verbs without a capital letter."""
CURRENCIES = {"dollar": "$", "dollars": "$", "euro": "€", "euros": "€"}
CENTS = ("cent", "cents")
UNITS = (*CURRENCIES, *CENTS, "percent", "per")


class Amounts:
    """The numbers of a text with their units; no token whose number is in ``taken`` is part of one."""

    def __init__(self, tokens: Sequence[Token], taken: Collection[int]) -> None:
        self._tokens = tokens
        self._numbers = {number.first: number for number in numbers(tokens, taken)}
        for number in tuple(self._numbers.values()):
            if year := self._year(number):
                self._numbers[year.first] = year
                self._numbers.pop(number.after, None)

    def edits(self) -> Iterator[Edit]:
        """Yield the edits, in order."""
        after = 0
        for number in tuple(self._numbers.values()):
            if number.first < after:
                continue
            edits = self._time(number) or self._money(number) or self._percentage(number) or self._plain(number)
            yield from edits
            after = max((edit.after for edit in edits), default=after)

    def _word(self, number: int) -> str:
        """Return a word that directly follows the one before; empty if there is none."""
        in_text = 0 < number < len(self._tokens)
        return self._tokens[number].word if in_text and self._tokens[number].tight else ""

    def _beside(self, number: int) -> Number | None:
        """Return the number that begins at this token and directly follows the token before."""
        return self._numbers.get(number) if self._word(number) else None

    def _year(self, first: Number) -> Number | None:
        """Return the year that ``first`` begins: "nineteen ninety nine", "nineteen oh five"."""
        if first.ordinal or first.value not in CENTURIES or self._is_beside_number(first.first):
            return None
        minor = self._minor(first.after)
        if minor is None or self._beside(minor.after) or self._word(minor.after) in UNITS:
            return None
        return Number(first.first, minor.after, first.digits + minor.digits)

    def _minor(self, number: int) -> Number | None:
        """Return the two digits of a year or of minutes that begin at this token: "fifty", "oh five"."""
        if self._word(number) in OH and (digit := DIGITS.get(self._word(number + 1))):
            return Number(number, number + 2, f"0{digit}")
        second = self._beside(number)
        return second if second and not second.ordinal and len(second.digits) == 2 and second.value >= 10 else None

    def _is_beside_number(self, number: int) -> bool:
        return bool(self._word(number)) and any(
            each.after == number and not each.ordinal for each in self._numbers.values()
        )

    def _time(self, hour: Number) -> list[Edit]:
        """Write "three thirty p m" as "3:30 p.m."."""
        if hour.ordinal or hour.value not in range(1, 13) or self._is_beside_number(hour.first):
            return []
        minutes = self._minor(hour.after)
        if minutes is not None and minutes.value >= 60:
            return []
        after = minutes.after if minutes else hour.after
        time = Edit(hour.first, after, f"{hour.digits}:{minutes.digits}" if minutes else hour.digits)
        if self._word(after) == "o'clock" and not minutes:
            return [time]
        half = day_half(self._tokens, after)
        return [time, Edit(after, half.after, half.text)] if half else []

    def _money(self, number: Number) -> list[Edit]:
        """Write "five dollars and fifty cents" as "$5.50", and "five cents" as "5 cents"."""
        if number.ordinal or not number.clear:
            return []
        unit = self._word(number.after)
        if unit in CENTS:
            return [Edit(number.first, number.after, number.written)]
        if unit not in CURRENCIES:
            return []
        amount, after = CURRENCIES[unit] + number.written, number.after + 1
        cents = self._beside(after + (self._word(after) == "and"))
        if cents and cents.digits.isdigit() and cents.value < 100 and self._word(cents.after) in CENTS:
            return [Edit(number.first, cents.after + 1, f"{amount}.{int(cents.digits):02}")]
        return [Edit(number.first, after, amount)]

    def _percentage(self, number: Number) -> list[Edit]:
        words = [self._word(number.after), self._word(number.after + 1)]
        length = 1 if words[0] == "percent" else 2 if words == ["per", "cent"] else 0
        if number.ordinal or not number.clear or not length:
            return []
        return [Edit(number.first, number.after + length, f"{number.written}%")]

    def _plain(self, number: Number) -> list[Edit]:
        large = number.value >= MIN_NUMBER or "." in number.digits
        told = number.clear and not number.vague and (large or self._is_day(number))
        return [Edit(number.first, number.after, number.written)] if told else []

    def _is_day(self, number: Number) -> bool:
        """Whether ``number`` is the day of a date: "May fifth", "the fifth of May", "December five"."""
        if number.value not in range(1, 32):
            return False
        if number.ordinal and self._word(number.after) == "of" and self._word(number.after + 1) in MONTHS:
            return True
        month = self._tokens[number.first - 1]
        if not (self._word(number.first) and month.word in MONTHS):
            return False
        return month.word not in VERBS or (number.ordinal and month.capital)
