"""The standard streams of a process, which may come closed, full, or with nobody at their other end."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def occupy_closed() -> None:
    """Put the null device where a standard stream is closed (``2>&-``).

    Otherwise the next file or socket that is opened would get the number, and with it all that is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or _null()
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()


def give_up_output() -> None:
    """Let what could not be printed go, so that the end of the process does not try again."""
    sys.stdout = _null()


def _null() -> TextIO:
    return open(os.devnull, "r+", encoding="utf-8")
