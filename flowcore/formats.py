"""Formats of chunks, and the caps of ports: GStreamer's, reduced to the needs of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["packets", "audio", "text"]


@dataclass(frozen=True)
class Format:
    """The format of a wire.

    ``rate`` is in Hz. ``layout`` is how parties share the wire: ``tracks`` are one-channel chunks of several parties by
    turns, each with its ``Audio.track``; ``mono`` is one party or a mix; ``stereo`` is the agent left and the customer
    right in one chunk. Text has neither encoding nor rate nor layout.
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
    """The formats that a port accepts: values for each property; an empty tuple means any value."""

    kind: Kind
    encodings: tuple[str, ...] = ()
    rates: tuple[int, ...] = ()
    layouts: tuple[str, ...] = ()

    def matches(self, given: Format) -> bool:
        """Whether ``given`` may travel into this port."""
        pairs = ((given.encoding, self.encodings), (given.rate, self.rates), (given.layout, self.layouts))
        return given.kind == self.kind and all(not allowed or value in allowed for value, allowed in pairs)

    def __str__(self) -> str:
        rates = "|".join(f"{rate / 1000:g} kHz" for rate in self.rates)
        parts = (self.kind, "|".join(self.encodings), rates, "|".join(self.layouts))
        return " ".join(part for part in parts if part)


PACKETS = Caps("packets")
LINEAR = Caps("audio", ("s16",))
ANY_AUDIO = Caps("audio")
TEXT = Caps("text")
