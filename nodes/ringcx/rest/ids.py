"""Ids in the paths of requests."""

from __future__ import annotations

from urllib.parse import quote

from flowcore.errors import UsageError

MAX_LENGTH = 200
"""Characters of an id; RingCX's own have at most 60."""


def path_segment(kind: str, value: str) -> str:
    """Return an id as one segment of a path. ``kind`` names it in the error.

    Raises `UsageError` for an id that would lead to another path, or that cannot be one.
    """
    if not value.strip(".") or len(value) > MAX_LENGTH or not all("!" <= char <= "~" for char in value):
        shown = value if value.isprintable() and len(value) <= MAX_LENGTH else "this"
        raise UsageError(f'"{shown}" is no {kind}: give 1 to {MAX_LENGTH} letters, digits and hyphens')
    return quote(value, safe="")
