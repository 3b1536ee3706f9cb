"""Levels of both parties as bars in a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from flowcore.audio import TRACKS

FLOOR = -60.0
"""The level at which a bar is empty, in dB full scale."""
WIDTH = 48
LOUD, CLIPS = -9.0, -1.0
"""From where a bar is yellow, and red."""
FALL = 24.0
"""How fast a peak's mark falls, in dB a second."""
QUIET = 0.4
"""Seconds without audio after which a party's bar is empty."""


@dataclass
class Needle:
    """One party: the level now, and the peak that is still to be seen."""

    rms: float = float("-inf")
    peak: float = float("-inf")
    heard: float = float("-inf")


class Meter:
    """``hear`` what comes; ``draw`` as often as one likes. Times are monotonic seconds."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.lost = 0
        self.position = 0.0
        self._parties: dict[str, Needle] = {track: Needle() for track in TRACKS}
        self._drawn = time.monotonic()

    def hear(self, party: str, rms: float, peak: float, now: float) -> None:
        """A chunk of that party was so loud, in dB full scale."""
        if party not in self._parties and party not in TRACKS:
            self._parties = {name: one for name, one in self._parties.items() if one.heard > float("-inf")}
        needle = self._parties.setdefault(party, Needle())
        needle.rms, needle.peak, needle.heard = rms, max(peak, needle.peak), now

    def draw(self, now: float) -> Table:
        """The picture."""
        fall, self._drawn = FALL * (now - self._drawn), now
        table = Table.grid(padding=(0, 1))
        minutes, seconds = divmod(self.position, 60)
        lost = f"   {self.lost} chunks lost on the way here" if self.lost else ""
        table.add_row("", Text(f"{self.title}   {minutes:02.0f}:{seconds:04.1f}{lost}", style="bold"), "")
        for party, needle in self._parties.items():
            if now - needle.heard > QUIET:
                needle.rms = float("-inf")
            needle.peak = max(needle.peak - fall, needle.rms)
            shown = f"{needle.rms:6.1f} dB" if needle.rms > FLOOR else "   quiet"
            table.add_row(Text(party, style="cyan" if party == "agent" else "yellow"), _bar(needle), shown)
        scale = "".join(f"{level:<{WIDTH // 6}.0f}" for level in range(-60, 0, 10))
        table.add_row("", Text(scale + "0 dB", style="dim"), "")
        return table


def _bar(needle: Needle) -> Text:
    full, mark = _cells(needle.rms), min(_cells(needle.peak), WIDTH - 1)
    bar = Text()
    for cell in range(WIDTH):
        level = FLOOR - FLOOR * (cell + 1) / WIDTH
        style = "red" if level > CLIPS else "yellow" if level > LOUD else "green"
        if cell < full:
            bar.append("█", style=style)
        elif cell == mark and needle.peak > FLOOR:
            bar.append("▏", style=style)
        else:
            bar.append("·", style="dim")
    return bar


def _cells(level: float) -> int:
    return round(max(0.0, min(1.0, 1 - level / FLOOR)) * WIDTH) if level > FLOOR else 0
