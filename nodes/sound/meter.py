"""Level meter for a terminal: one bar for each party."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from flowcore.audio import TRACKS

FLOOR_DB = -60.0  # the level of an empty bar, in dB full scale
BAR_CELLS = 48
YELLOW_DB, RED_DB = -9.0, -1.0  # the levels above which a bar is yellow and red
PEAK_FALL = 24.0  # speed at which the mark of a peak falls, in dB per second
QUIET_SECONDS = 0.4  # time without audio after which the bar of a party is empty


@dataclass
class PartyLevel:
    """The current level and the falling peak in dB full scale, and the monotonic time of the last chunk."""

    rms: float = float("-inf")
    peak: float = float("-inf")
    heard: float = float("-inf")


class Meter:
    """Takes levels with `hear`, and draws them at any rate with `draw`. Times are monotonic seconds."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.lost = 0
        self.position = 0.0
        self._parties = {track: PartyLevel() for track in TRACKS}
        self._drawn = time.monotonic()

    def hear(self, party: str, rms: float, peak: float, now: float) -> None:
        """Take the levels of a chunk of ``party``, in dB full scale."""
        if party not in self._parties and party not in TRACKS:
            self._parties = {name: level for name, level in self._parties.items() if level.heard > float("-inf")}
        level = self._parties.setdefault(party, PartyLevel())
        level.rms, level.peak, level.heard = rms, max(peak, level.peak), now

    def draw(self, now: float) -> Table:
        """Return the title, the bars and the scale as a table."""
        fall, self._drawn = PEAK_FALL * (now - self._drawn), now
        table = Table.grid(padding=(0, 1))
        minutes, seconds = divmod(self.position, 60)
        lost = f"   {self.lost} chunks lost before the meter" if self.lost else ""
        table.add_row("", Text(f"{self.title}   {minutes:02.0f}:{seconds:04.1f}{lost}", style="bold"), "")
        for party, level in self._parties.items():
            if now - level.heard > QUIET_SECONDS:
                level.rms = float("-inf")
            level.peak = max(level.peak - fall, level.rms)
            shown = f"{level.rms:6.1f} dB" if level.rms > FLOOR_DB else "   quiet"
            table.add_row(Text(party, style="cyan" if party == "agent" else "yellow"), _bar(level), shown)
        scale = "".join(f"{level:<{BAR_CELLS // 6}.0f}" for level in range(-60, 0, 10))
        table.add_row("", Text(scale + "0 dB", style="dim"), "")
        return table


def _bar(level: PartyLevel) -> Text:
    full, mark = _cells(level.rms), min(_cells(level.peak), BAR_CELLS - 1)
    bar = Text()
    for cell in range(BAR_CELLS):
        upper = FLOOR_DB - FLOOR_DB * (cell + 1) / BAR_CELLS
        style = "red" if upper > RED_DB else "yellow" if upper > YELLOW_DB else "green"
        if cell < full:
            bar.append("█", style=style)
        elif cell == mark and level.peak > FLOOR_DB:
            bar.append("▏", style=style)
        else:
            bar.append("·", style="dim")
    return bar


def _cells(level: float) -> int:
    return round(max(0.0, min(1.0, 1 - level / FLOOR_DB)) * BAR_CELLS) if level > FLOOR_DB else 0
