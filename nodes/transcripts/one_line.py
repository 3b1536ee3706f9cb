"""Keep the text of any engine on one line of a transcript."""

import re

from flowcore import Text

_CONTROL = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # would reverse the rest of the line


def one_line(text: str) -> str:
    """Replace white space and control characters by one space, and remove direction marks."""
    return _CONTROL.sub(" ", _BIDI.sub("", text)).strip()


def text_line(text: Text) -> str:
    """Return the words of a text on one line; a gap gives ``[untranscribed 3.2 s]``. Empty without words and gap."""
    gap = f"[{one_line(text.gap)} {max(text.end - text.start, 0):.1f} s]" if text.gap else ""
    return f"{gap} {one_line(text.text)}".strip()


def minutes(seconds: float) -> str:
    """Return minutes and seconds, such as ``00:12.3``."""
    whole, tenths = divmod(round(seconds * 10), 600)
    return f"{whole:02}:{tenths / 10:04.1f}"
