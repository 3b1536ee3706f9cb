"""The word error rate of a text: the share of words that are substituted, left out or put in."""

from __future__ import annotations

import re
from collections.abc import Sequence

ALIKE = {
    "voicemail": "voice mail",
    "mailbox": "mail box",
    "rerecord": "re record",
    "login": "log in",
    "thru": "through",
}
"""Words with two spellings."""
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def normalised(text: str) -> str:
    """Return the text in lower case, without punctuation, with digits as words, and with one spelling for each word."""
    spelled = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower().replace("’", "'"))
    return " ".join(ALIKE.get(word, word) for word in re.sub(r"[^\w\s']", " ", spelled).split())


def error_rate(spoken: str | Sequence[str], heard: str | Sequence[str]) -> float:
    """Return the word error rate of a text, or of several texts together; 0 if no word is wrong."""
    import jiwer

    texts = [[text] if isinstance(text, str) else text for text in (spoken, heard)]
    return float(jiwer.wer(*([normalised(text) for text in some] for some in texts)))
