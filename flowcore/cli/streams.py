"""The standard streams of a process, which may be closed, full or without a reader."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def occupy_closed() -> None:
    """Put the null device where a standard stream is closed (``2>&-``).

    Otherwise the next file or socket would get that number, and receive the output.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    sys.stdin = sys.stdin or _null()
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()


def give_up_output() -> None:
    """Drop output that could not be written, so that the end of the process does not try again."""
    sys.stdout = _null()


def _null() -> TextIO:
    return open(os.devnull, "r+", encoding="utf-8")
