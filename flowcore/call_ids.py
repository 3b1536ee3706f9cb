"""The ids by which people ask for a call: its flow, its call id, other ids of its transport, and its phone numbers."""

from __future__ import annotations

from collections.abc import Iterable

MAX_ID_CHARS = 256
"""Significant characters of an id."""

_NUMBER_MARKS = str.maketrans("", "", "+-()./ ")


def normalize_id(text: str) -> str:
    """Return an id in lower case and without outer white space, so that variants are equal; of a number its digits."""
    text = text.strip().casefold()[:MAX_ID_CHARS]
    digits = text.translate(_NUMBER_MARKS)
    return digits if digits.isdecimal() else text


def matching(name: str, ids: Iterable[Iterable[str]]) -> list[int]:
    """Return the indices of the calls that ``name`` may mean: those with that id or, without one, with that prefix."""
    wanted = normalize_id(name)
    known = [[normalize_id(each) for each in call] for call in ids]
    exact = [index for index, call in enumerate(known) if wanted in call]
    return exact or [index for index, call in enumerate(known) if any(each.startswith(wanted) for each in call)]
