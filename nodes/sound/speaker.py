"""The sound card that all calls of a process share: one thread plays the mixer's output until the resource closes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from flowcore import CannotStart, Resource
from nodes.sound.card import BLOCK_SECONDS, Card, NoCard, PortAudio
from nodes.sound.mixer import Channels, Choice, Mixer

RETRY_INTERVAL = 1.0  # seconds between two attempts to open a missing device
CONTROL_REQUEST = "monitor"  # the control request that a speaker answers
ADVICE = "the calls go on, and the card is tried again every second; `flowcore devices` lists outputs"


@dataclass(unsafe_hash=True)
class Speaker(Resource):
    """Speakers with the same ``device`` and ``rate`` are equal, and therefore one resource."""

    device: str
    rate: int

    def __post_init__(self) -> None:
        self.playing = False
        self.underruns = 0  # blocks that came too late for the card
        self.mixer = Mixer(self.rate, self._share_newest)
        self._name = ""
        self._shared = 0.0  # start of the newest call, as the other workers know it
        self._others: dict[int, float] = {}  # the same of each other worker
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        PortAudio.load()  # a missing library ends the run; a missing device may come later
        self._thread = threading.Thread(target=self._serve, name="flowcore-speaker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    # The thread that plays.

    def _serve(self) -> None:
        missing = ""
        while not self._stop.is_set():
            try:
                card = Card(self.device, self.rate)
            except (NoCard, CannotStart) as error:
                if not missing:
                    missing = str(error)
                    self.report.event("speaker_missing", device=self.device or "default", cause=error, advice=ADVICE)
                self._stop.wait(RETRY_INTERVAL)
                continue
            self._name, self.playing = card.name, True
            event = "speaker_returned" if missing else "speaker_opened"
            self.report.event(event, device=card.name, latency_ms=round(card.latency * 1000))
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
        frames = round(BLOCK_SECONDS * self.rate)
        samples = np.zeros((frames, 2), np.int16)
        while not self._stop.is_set():
            mixed = self.mixer.block(frames, self.now())
            np.rint(mixed, out=mixed)
            np.clip(mixed, -32768, 32767, out=mixed)
            samples[:] = mixed
            self.underruns += card.write(samples)

    # The newest call may be in another worker.

    def _share_newest(self, began: float) -> None:
        if began != self._shared:
            self._shared = began
            self.tell(began)

    def on_worker_message(self, worker: int, message: Any) -> None:
        self._others[worker] = float(message)
        self.mixer.newest_elsewhere(max(self._others.values()))

    def on_worker_exit(self, worker: int) -> None:
        self._others.pop(worker, None)
        self.mixer.newest_elsewhere(max(self._others.values(), default=0.0))

    # The control socket.

    def on_control_request(self, request: Mapping[str, Any]) -> Any:
        if request["ask"] != CONTROL_REQUEST:
            raise LookupError(request["ask"])
        if request.get("reset"):
            self.mixer.choose(None)
        change = request.get("change")
        if isinstance(change, dict):
            self._change(change)
        return {"device": self._name if self.playing else "", "underruns": self.underruns, "calls": self.mixer.state()}

    def _change(self, change: Mapping[str, Any]) -> None:
        """Change the fields of the selection that ``change`` names."""
        now = self.mixer.override or self.mixer.configured
        channels = change.get("channels", now.channels)
        select, volume = change.get("select", now.select), change.get("volume", now.volume)
        if channels in get_args(Channels) and isinstance(select, str) and isinstance(volume, float):
            self.mixer.choose(Choice(select, channels, min(max(volume, 0.0), 10.0)))
