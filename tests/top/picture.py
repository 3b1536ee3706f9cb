"""Draw docs/top.svg: ``python -m tests.top.picture``. A real run with ten calls, whose ids and voices are made up."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np

from flowcore.control import control_call
from flowcore.control.live_query import LiveQuery
from flowcore.top.app_screen import TopApp
from flowcore.top.feed import Feed, Watched
from nodes.audio import g711
from tests.support.asking import hub
from tests.support.live import ROOT, Live, until
from tests.support.phone import MESSAGE, Phone

SIZE = (104, 26)
CALLS = 10
SECONDS = 14.0
LOSSY, HELD, PAUSED, MUTED = 3, 5, 6, 8
"""The calls that lose packets, are on hold, paused, and muted."""
PACKET_SECONDS = 0.02
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fonts of another site, which a page must not load."""


class DrawnFeed(Feed):
    """A feed whose run has room: the machine that draws may be busy with other things."""

    def _room(self) -> str:
        return "room for 390 more (cpu)"


class Speaker:
    """One call: two voices that take turns, at their own levels."""

    def __init__(self, url: str, number: int) -> None:
        self.random = Random(number)
        self.number = number
        self.call_id = f"{self.random.getrandbits(32):08x}-7e2e-4bd5-9a94-c8c0fd3e{number:04x}"
        self.phone = Phone(url, self.call_id)
        self.phone.start()
        self.levels = {track: self.random.uniform(-34, -12) for track in ("agent", "customer")}

    def speak(self, packet: int) -> None:
        """Send one packet of each party."""
        if self.number == HELD and packet > 150:
            return
        turn = ("agent", "customer")[(packet // 120 + self.number) % 2]
        for track, level in self.levels.items():
            db = level if track == turn else -62
            tone = 32768 * 10 ** (db / 20) * np.sin(np.arange(MESSAGE) * 0.17) * 1.4
            message = self.phone.sender.media(
                track, g711.encode(np.clip(tone, -32000, 32000).astype(np.int16)).tobytes()
            )
            if self.number != LOSSY or packet % 97 > 2 or packet < 100:
                self.phone.say(message)


def speak(url: str, speakers: list[Speaker], stopped: threading.Event) -> None:
    """Let a call begin each half second, and all talk in real time."""
    began = time.monotonic()
    packet = 0
    while not stopped.is_set():
        if len(speakers) < CALLS and packet >= 25 * len(speakers):
            speakers.append(Speaker(url, len(speakers)))
        with suppress(OSError):
            for speaker in speakers:
                speaker.speak(packet)
        packet += 1
        stopped.wait(max(0.0, began + packet * PACKET_SECONDS - time.monotonic()))


async def picture(control: Path) -> str:
    """Look at the run for some seconds, and return what is seen then."""
    query = LiveQuery(limit=200)
    feed = DrawnFeed(control)
    app = TopApp(feed, query, feed.look(Watched(query)))
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(SECONDS)
        await pilot.press("down", "down")
        await pilot.pause(1.5)
        return app.export_screenshot(title="flowcore top")


def main() -> None:
    """Run, and draw."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        settings = [f"wav.path={folder}/{{call_id}}.wav", "ordered.pause=1500ms"]
        speakers: list[Speaker] = []
        stopped = threading.Event()
        with Live("record", settings) as live, hub(live) as control:
            speaking = threading.Thread(target=speak, args=(live.url, speakers, stopped))
            speaking.start()
            try:
                until(lambda: len(live.engine.flows) == CALLS)
                until(lambda: all(flow.parties for flow in tuple(live.engine.flows.values())))
                control_call(control, speakers[PAUSED].call_id, "pause")
                control_call(control, speakers[MUTED].call_id, "mute", "customer")
                drawn = asyncio.run(picture(control))
            finally:
                stopped.set()
                speaking.join()
    (ROOT / "docs" / "top.svg").write_text(FONTS.sub("", drawn))


if __name__ == "__main__":
    main()
