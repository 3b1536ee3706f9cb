"""Fictional values of the same form: letters for letters, digits for digits, and the same one for the same value.

They are numbered in the order in which values appear and hold nothing of them, so no list of all phone numbers turns
them back. Scrubbing a scrubbed text changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter

_RUN = re.compile(r"[0-9A-Za-z]+")
_OTHER = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]|[^\x00-\x7f]")
_FILLERS = {2: "é", 3: "字", 4: "😀"}
"""A character by its bytes in UTF-8."""


class Pseudonyms:
    """The fictional values of one recording."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def forget(self, length: int) -> None:
        """Forget the latest values, down to this many: their text is not used."""
        while len(self._known) > length:
            run, _ = self._known.popitem()
            self._count[form(run)] -= 1

    def text(self, text: str) -> str:
        """Return a text with fictional words and numbers, and other characters in the place of other letters.

        A text with white space may be speech: its words are gone, and only what has digits is the same in all places.
        """
        free = any(character.isspace() for character in text)

        def replace(found: re.Match[str]) -> str:
            run = found[0]
            return re.sub("[a-z]", "x", re.sub("[A-Z]", "X", run)) if free and run.isalpha() else self._replace(run)

        return _OTHER.sub(lambda found: _filler(found[0]), _RUN.sub(replace, text))

    def _replace(self, run: str) -> str:
        """Return the fictional value for a run of letters and digits."""
        known = self._known.get(run)
        if known is None:
            shape = form(run)
            known = self._known[run] = _numbered(shape, self._count[shape])
            self._count[shape] += 1
        return known


def form(run: str) -> str:
    """Return the form of a run: ``A``, ``a`` and ``0`` for its characters, ``1`` for a first digit above zero."""
    shape = re.sub("[a-z]", "a", re.sub("[A-Z]", "A", re.sub("[0-9]", "0", run)))
    return "1" + shape[1:] if run[0] in "123456789" else shape


def _numbered(shape: str, number: int) -> str:
    """Return the value of a form with this number. A first digit tells only whether it is zero: JSON forbids zeros."""
    characters = []
    for place, kind in reversed(tuple(enumerate(shape))):
        if place == 0 and kind in "01":
            characters.append(str(1 + number % 9) if kind == "1" and len(shape) == 1 else kind)
        else:
            number, digit = divmod(number, 10 if kind == "0" else 26)
            characters.append(str(digit) if kind == "0" else chr(ord(kind) + digit))
    return "".join(reversed(characters))


def _filler(character: str) -> str:
    if character < " ":
        return "\x01"
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8
        return "\udcff"
    return _FILLERS[len(character.encode(errors="surrogatepass"))]
