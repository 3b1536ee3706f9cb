"""Places of payloads in a call: a payload that came twice has the same noise twice, and different ones differ."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from nodes.ringcx.scrub.noise import MULAW, Codec


class Payloads:
    """Replaces the payloads of one recording."""

    def __init__(self) -> None:
        self._variants: dict[tuple[str, int, bytes], int] = {}
        self._count: Counter[tuple[str, int]] = Counter()

    def __len__(self) -> int:
        return len(self._variants)

    def forget(self, length: int) -> None:
        """Forget the latest payloads, down to this many: their noise is not used."""
        while len(self._variants) > length:
            (track, number, _), _ = self._variants.popitem()
            self._count[track, number] -= 1

    def replace(self, payload: bytes, track: str, number: int, codec: Codec = MULAW) -> bytes:
        """Return noise for a payload with this number on its track."""
        key = (track, number, blake2b(payload, digest_size=16).digest())
        variant = self._variants.get(key)
        if variant is None:
            variant = self._variants[key] = self._count[track, number]
            self._count[track, number] += 1
        noise = codec.replace(payload, f"{track}/{number}/{variant}")
        silent = codec.codes[0][:1].tobytes()
        if variant % 2 and noise == silent * (len(noise) // codec.width):  # another silence than the one before
            noise = noise[: -codec.width] + codec.codes[1][:1].tobytes()
        return noise
