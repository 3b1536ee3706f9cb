"""Levels of the parties of live calls, and who talks when: measured only while a client looks.

A probe (`flowcore.engine.node_run.NodeRun.add_probe`) behind the listener keeps the latest chunks of a watched flow;
levels are computed from them when they are asked for, beside the event loop. A flow that no client has looked at for
`WATCHED` seconds loses its probe, and costs nothing again.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import TRACKS, Audio, Packet, level_db
from flowcore.engine.flow import CLOSED, Flow

WINDOW: Final = 0.5
"""Seconds of the latest chunks whose level is shown."""
MAX_RECENT: Final = 50
"""Chunks that a probe keeps: `WINDOW` of two parties, in packets of 20 ms."""
WATCHED: Final = 5.0
"""Seconds for which a flow stays watched after a client has asked for it."""
MAX_UNREAD: Final = 500
"""Chunks that wait until talk is looked for in them: `WATCHED` seconds of two parties, in packets of 20 ms."""
MAX_WATCHED: Final = 200
"""Flows of one process that are watched at once."""
EXPIRY_INTERVAL: Final = 1.0
"""Seconds between two looks for flows that nobody watches any more."""
TALK_DB: Final = -45.0
"""Level in dB full scale above which a party talks: between the noise of a line and a soft voice."""
TALK_PAUSE: Final = 0.4
"""Seconds of a pause that ends a stretch of talk."""
MAX_STRETCHES: Final = 500
"""Stretches of talk that are kept of a party."""


class LevelProbes:
    """The probes of one engine, by flow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._probes: dict[str, LevelProbe] = {}
        self._running = False

    def watch(self, flows: Iterable[Flow], *, talk: bool = False) -> None:
        """Watch these flows for the next seconds, as far as there is room. From any thread."""
        now = time.monotonic()
        with self._lock:
            for flow in flows:
                probe = self._probes.get(flow.id)
                if probe is None:
                    listener = flow.runs.get(flow.plan.listener.name)
                    if listener is None or listener.plan.gives[0].kind == "text" or len(self._probes) >= MAX_WATCHED:
                        continue
                    probe = self._probes[flow.id] = LevelProbe(flow)
                    listener.add_probe(0, probe.take)
                probe.until = now + WATCHED
                if talk:
                    probe.follow_talk()
            if self._probes and not self._running:
                self._running = True
                threading.Thread(target=self._expire, name="flowcore-levels", daemon=True).start()

    def of(self, flow: Flow) -> LevelProbe | None:
        """Return the probe of a flow, if it is watched."""
        return self._probes.get(flow.id)

    def expire(self, now: float) -> bool:
        """Remove the probes of flows that nobody watches any more. Returns whether others are left."""
        with self._lock:
            for probe in tuple(self._probes.values()):
                if now >= probe.until or probe.flow.state == CLOSED:
                    del self._probes[probe.flow.id]
                    if listener := probe.flow.runs.get(probe.flow.plan.listener.name):
                        listener.remove_probe(0, probe.take)
            self._running = bool(self._probes)
            return self._running

    def _expire(self) -> None:
        while True:
            time.sleep(EXPIRY_INTERVAL)
            if not self.expire(time.monotonic()):
                return


class LevelProbe:
    """The latest chunks of one flow. The listener's chain calls `take`, threads that answer requests the rest."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.until = 0.0
        self.talk_since: float | None = None
        """The second of the call before which nothing is known of talk; None: nothing is known yet."""
        self._encoding: Any = flow.plan.listener.gives[0].encoding
        self._now = flow.now
        self._recent: deque[tuple[float, Any]] = deque(maxlen=MAX_RECENT)
        self._unread: deque[tuple[float, Any]] | None = None
        self._reading = threading.Lock()
        self._talk: dict[str, deque[list[float]]] = {}

    def take(self, chunk: Any) -> None:
        """Keep a chunk."""
        entry = (self._now(), chunk)
        self._recent.append(entry)
        if self._unread is not None:
            self._unread.append(entry)

    def levels(self) -> dict[str, float | None]:
        """Return the level of each party in dB full scale; None while it is silent, or sends nothing."""
        now = self._now()
        recent = [chunk for at, chunk in tuple(self._recent) if now - at <= WINDOW]
        levels: dict[str, float | None] = dict.fromkeys(self.flow.parties)
        for party, samples in self._by_party(recent).items():
            level = level_db(samples, self._encoding)
            levels[party] = round(level, 1) if math.isfinite(level) else None
        return levels

    def follow_talk(self) -> None:
        """Look for talk from now on."""
        if self._unread is None:
            self._unread = deque(maxlen=MAX_UNREAD)

    def talk(self) -> list[dict[str, Any]]:
        """Return the stretches in which parties talked, in order, in seconds of the call."""
        with self._reading:
            unread = self._unread
            while unread:
                at, chunk = unread.popleft()
                self._look_for_talk(at, chunk)
            stretches = sorted((start, end, party) for party, found in self._talk.items() for start, end in found)
        return [
            {"track": party, "start": round(start, 2), "end": round(end, 2)}
            for start, end, party in stretches[-MAX_STRETCHES:]
        ]

    def _look_for_talk(self, at: float, chunk: Any) -> None:
        if isinstance(chunk, Audio):
            start = chunk.start / chunk.rate
        else:
            start = max(at - chunk.seconds - self.flow.opened_at, 0.0)
        if self.talk_since is None:
            self.talk_since = round(start, 2)
        for party, samples in self._by_party([chunk]).items():
            if level_db(samples, self._encoding) < TALK_DB:
                continue
            found = self._talk.setdefault(party, deque(maxlen=MAX_STRETCHES))
            if found and start <= found[-1][1] + TALK_PAUSE:
                found[-1][1] = max(found[-1][1], start + chunk.seconds)
            else:
                found.append([start, start + chunk.seconds])

    def _by_party(self, chunks: Iterable[Any]) -> Mapping[str, NDArray[Any]]:
        """Return the samples of each party; the channels of stereo are agent and customer."""
        tracks: dict[str, list[Any]] = {}
        for chunk in chunks:
            tracks.setdefault(chunk.track, []).append(chunk)
        found: dict[str, NDArray[Any]] = {}
        for track, own in tracks.items():
            if isinstance(own[0], Packet):
                found[track] = np.frombuffer(b"".join(chunk.data for chunk in own), np.uint8)
                continue
            samples = np.concatenate([chunk.samples for chunk in own])
            if samples.ndim == 1:
                found[track] = samples
            else:
                found |= {party: samples[:, channel] for channel, party in enumerate(TRACKS)}
        return found
