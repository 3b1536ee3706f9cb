"""What travels through a port, and what a port takes: GStreamer's caps, cut down to what calls need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["packets", "audio", "text"]
Layout = Literal["tracks", "mono", "stereo"]


@dataclass(frozen=True)
class Format:
    """The one format of a wire.

    ``layout`` tells how parties share it: ``tracks`` is one-channel chunks of several parties taking turns, told apart
    by ``Audio.track``; ``mono`` is one party or a mix; ``stereo`` is agent left and customer right in one chunk.
    Text has neither encoding nor rate nor layout.
    """

    kind: Kind
    encoding: str = ""
    rate: int = 0
    layout: str = ""

    def __str__(self) -> str:
        rate = f"{self.rate / 1000:g} kHz" if self.rate else ""
        return " ".join(part for part in (self.kind, self.encoding, rate, self.layout) if part)


@dataclass(frozen=True)
class Caps:
    """What a port accepts: for each property the values it takes, nothing named meaning any."""

    kind: Kind
    encodings: tuple[str, ...] = ()
    rates: tuple[int, ...] = ()
    layouts: tuple[str, ...] = ()

    def matches(self, given: Format) -> bool:
        """Whether ``given`` may travel into this port."""
        return given.kind == self.kind and all(
            not allowed or value in allowed
            for value, allowed in (
                (given.encoding, self.encodings),
                (given.rate, self.rates),
                (given.layout, self.layouts),
            )
        )

    def __str__(self) -> str:
        rates = "|".join(f"{rate / 1000:g} kHz" for rate in self.rates)
        parts = (self.kind, "|".join(self.encodings), rates, "|".join(self.layouts))
        return " ".join(part for part in parts if part)


PACKETS = Caps("packets")
LINEAR = Caps("audio", ("s16",))
ANY_AUDIO = Caps("audio")
TEXT = Caps("text")
