"""A time of sending written into the audio itself, so that latency can be measured across processes of one machine.

The first bytes of a message's audio become a mark and the sender's monotonic clock, which all processes of a machine
share. `flowcore bench` reads them where chunks enter a flow; no graph that runs for a user ever sees one.
"""

from __future__ import annotations

import time

MARK = b"\xfe\x01\xfd\x02"
"""Loud, alternating samples in mu-law: a voice has them once in 4 billion messages."""

LENGTH = len(MARK) + 8
"""Bytes of a stamp; a multiple of three, so that it is a whole number of base64's groups."""


def stamp() -> bytes:
    """``LENGTH`` bytes that say now."""
    return MARK + time.monotonic_ns().to_bytes(8, "big")


def made(data: bytes) -> float | None:
    """When the stamp at the start of ``data`` was made, in monotonic seconds; None when there is none."""
    if not data.startswith(MARK):
        return None
    return int.from_bytes(data[len(MARK) : LENGTH], "big") / 1e9


def age(data: bytes) -> float | None:
    """Seconds since the stamp at the start of ``data`` was made; None when there is none."""
    since = made(data)
    return None if since is None else time.monotonic() - since
