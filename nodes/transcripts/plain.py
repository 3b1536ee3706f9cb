"""Words of a transcript that stay on their line, whatever an engine wrote."""

import re

from flowcore import Text

_CONTROL = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # would turn the rest of the line around


def plain(text: str) -> str:
    """``text`` on one line: white space and control characters become one space, marks of direction are left out."""
    return _CONTROL.sub(" ", _BIDI.sub("", text)).strip()


def words(text: Text) -> str:
    """The words of a text on one line; a gap is ``[untranscribed 3.2 s]``. Empty where there is nothing to show."""
    gap = f"[{plain(text.gap)} {max(text.end - text.start, 0):.1f} s]" if text.gap else ""
    return f"{gap} {plain(text.text)}".strip()
