"""The ids by which people ask for a call: its flow, its call id, other ids of its transport, and its phone numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

MAX_ID_CHARS = 256
"""Significant characters of an id."""

Match = Literal["exact", "prefix", ""]

_NUMBER_MARKS = str.maketrans("", "", "+-()./ ")


def normalize_id(text: str) -> str:
    """Return an id in lower case and without outer white space, so that variants are equal; of a number its digits."""
    text = text.strip().casefold()[:MAX_ID_CHARS]
    digits = text.translate(_NUMBER_MARKS)
    return digits if digits.isdecimal() else text


def match(name: str, ids: Iterable[str]) -> Match:
    """Return whether ``name`` is one of a call's ``ids``, the beginning of one, or neither."""
    wanted = normalize_id(name)
    known = [normalize_id(each) for each in ids]
    return "exact" if wanted in known else "prefix" if any(each.startswith(wanted) for each in known) else ""
