"""The sound card that all calls of the process share: a thread of its own plays what the mixer has, for ever."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from flowcore import CannotStart, Resource
from nodes.sound.card import BLOCK, Card, NoCard, PortAudio
from nodes.sound.mixer import Channels, Choice, Mixer

RETRY = 1.0
"""Seconds between two looks for a device that is not there."""
ASK = "monitor"
"""The question on the control socket to which it answers."""


class Speaker(Resource):
    """Two of the same ``device`` and ``rate`` are one."""

    def __init__(self, device: str, rate: int) -> None:
        self.device = device
        self.rate = rate
        self.playing = False
        self.underruns = 0
        """Times that the card had to wait for us."""
        self.mixer = Mixer(rate, self._newest)
        self._name = ""
        self._told = 0.0
        self._others: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Speaker) and (other.device, other.rate) == (self.device, self.rate)

    def __hash__(self) -> int:
        return hash((self.device, self.rate))

    def open(self) -> None:
        PortAudio.load()  # what is not installed ends the run; a device may come later
        self._thread = threading.Thread(target=self._serve, name="flowcore-speaker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    # The thread.

    def _serve(self) -> None:
        missing = ""
        while not self._stop.is_set():
            try:
                card = Card(self.device, self.rate)
            except (NoCard, CannotStart) as error:
                if not missing:
                    missing = str(error)
                    self.report.event("speaker_missing", device=self.device or "default", cause=error, advice=ADVICE)
                self._stop.wait(RETRY)
                continue
            self._name, self.playing = card.name, True
            self.report.event(
                "speaker_returned" if missing else "speaker_opened", device=card.name, latency_ms=_ms(card.latency)
            )
            try:
                self._play(card)
                return
            except NoCard as error:
                missing = str(error)
                self.report.event("speaker_lost", device=card.name, cause=error, advice=ADVICE)
            finally:
                self.playing = False
                card.close()

    def _play(self, card: Card) -> None:
        frames = round(BLOCK * self.rate)
        samples = np.zeros((frames, 2), np.int16)
        while not self._stop.is_set():
            mixed = self.mixer.block(frames, self.now())
            np.rint(mixed, out=mixed)
            np.clip(mixed, -32768, 32767, out=mixed)
            samples[:] = mixed
            self.underruns += card.write(samples)

    # The newest call may be in another worker.

    def _newest(self, began: float) -> None:
        if began != self._told:
            self._told = began
            self.tell(began)

    def on_worker_message(self, worker: int, message: Any) -> None:
        self._others[worker] = float(message)
        self.mixer.newest_elsewhere(max(self._others.values()))

    def on_worker_exit(self, worker: int) -> None:
        self._others.pop(worker, None)
        self.mixer.newest_elsewhere(max(self._others.values(), default=0.0))

    # The control socket.

    def on_control_request(self, request: Mapping[str, Any]) -> Any:
        if request["ask"] != ASK:
            raise LookupError(request["ask"])
        if request.get("reset"):
            self.mixer.choose(None)
        change = request.get("change")
        if isinstance(change, dict):
            self._change(change)
        return {
            "device": self._name if self.playing else "",
            "underruns": self.underruns,
            "calls": self.mixer.state(),
        }

    def _change(self, change: Mapping[str, Any]) -> None:
        """What is named changes; what is not stays as it is, for the call that is heard now or would be."""
        now = self.mixer.chosen or self.mixer.usual
        channels = change.get("channels", now.channels)
        select, volume = change.get("select", now.select), change.get("volume", now.volume)
        if channels in get_args(Channels) and isinstance(select, str) and isinstance(volume, float):
            self.mixer.choose(Choice(select, channels, min(max(volume, 0.0), 10.0)))


ADVICE = "the calls go on, and it is tried again each second; `flowcore devices` lists outputs"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
