"""Replacement of values in a text that is JSON, or almost: every other byte stays as it came.

It works on messages that no parser takes: what looks like a string, a number or a word is replaced where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    rb"""(?P<key>"(?:[^"\\]|\\.)*+")(?=\s*+:)
    | (?P<open>")(?P<string>(?:[^"\\]|\\.)*+)(?P<close>"?)
    | (?P<word>[^\s"{}\[\]:,]++)
    """,
    re.DOTALL | re.VERBOSE,
)

Replace = Callable[[bytes, bytes, bool], bytes]
"""Returns what stands for a value: of the latest ``key`` (empty before the first), its bytes as they are written, and
whether they are a string, between quotation marks, or a word such as a number."""


def replace_values(text: bytes, value: Replace, key: Callable[[bytes], bytes] = lambda key: key) -> bytes:
    """Return a text with other values; ``key`` returns what stands for a key, between its quotation marks."""
    latest = b""

    def replace(found: re.Match[bytes]) -> bytes:
        nonlocal latest
        if found["key"] is not None:
            latest = found["key"][1:-1]
            return b'"' + key(latest) + b'"'
        if found["open"]:
            return b'"' + value(latest, found["string"], True) + found["close"]
        return value(latest, found["word"], False)

    return _TOKEN.sub(replace, text)
