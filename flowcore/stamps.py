"""Time of sending written into the audio, to measure latency across the processes of one machine.

The first bytes of a message's audio become a mark and the sender's monotonic clock, which all processes of a machine
share. Load generators write stamps for `flowcore bench`, which reads them; graphs in production contain none.
"""

from __future__ import annotations

import time

MARK = b"\xfe\x01\xfd\x02"
"""Loud, alternating samples in mu-law, which a voice contains once in 4 billion messages."""

LENGTH = len(MARK) + 8
"""Bytes of a stamp: a multiple of three, hence whole groups of base64."""


def stamp() -> bytes:
    """Return a stamp of the current time, of ``LENGTH`` bytes."""
    return MARK + time.monotonic_ns().to_bytes(8, "big")


def time_of(data: bytes) -> float | None:
    """Return the monotonic seconds of the stamp at the start of ``data``, None without a stamp."""
    if not data.startswith(MARK):
        return None
    return int.from_bytes(data[len(MARK) : LENGTH], "big") / 1e9


def age(data: bytes) -> float | None:
    """Return the seconds since the stamp at the start of ``data`` was made, None without a stamp."""
    since = time_of(data)
    return None if since is None else time.monotonic() - since
