"""One page that watches a call: what changed goes out, a slot at a time, as fast as the page reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nodes.captions.calls import Call, Calls
from nodes.net.peer import PeerConnection

TEXTS = 100
"""Texts sent in one slot at most: half a millisecond's work."""
ALIVE = 15.0
"""Seconds without news after which a page is told that all is well: proxies end what is silent for a minute."""

_encode = msgspec.json.encode


class Viewer:
    """The server's side of one ``/client-ws``. A `nodes.net.peer.Peer`.

    ``call`` is the id, already normal; an empty one follows the newest call. A message is one JSON object:
    ``{"event": "state", "call": …, "state": "waiting" | "live" | "ended", "sessions": [0.0, …]}``,
    ``{"event": "text", "id": …, "track", "start", "end", "text", "final", "gap"}``, which replaces the text of the same
    id, ``{"event": "ready"}`` when all there was has been told, and ``{"event": "alive"}``.
    """

    def __init__(self, calls: Calls, call: str, came: Callable[[], None], left: Callable[[], None]) -> None:
        self._calls = calls
        self._id = call
        self._came = came
        self._left = left
        self._call: Call | None = None
        self._seen = 0
        self._told: Mapping[str, Any] | None = None
        self._ready = False
        self._alive_at = 0.0
        self._connection: PeerConnection

    def opened(self, connection: PeerConnection) -> None:
        self._connection = connection
        self._came()

    def wants_read(self, now: float) -> bool:
        if not self._connection.unsent:
            call = self._calls.find(self._id)
            if call is not None and (call is not self._call or call.revision != self._seen or not self._ready):
                self._show(call, now)
            elif self._told is None:
                self._say({"event": "state", "call": self._id, "state": "waiting", "sessions": []}, now)
                self._told = {}
                self._be_ready(now)
            elif now >= self._alive_at:
                self._calls.forget(now)
                self._say({"event": "alive"}, now)
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        """A page has nothing to say."""

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        """Nor had it meanwhile."""

    def closed(self, reason: str) -> None:
        self._left()

    def _show(self, call: Call, now: float) -> None:
        if call is not self._call:
            self._call, self._seen, self._told = call, 0, None
        news = call.revision  # looked at first: what comes while we send is for the next slot
        state, lines = self._calls.changes(call, self._seen)
        if state != self._told:
            self._say({"event": "state", **state}, now)
            self._told = state
        for _, line in lines[:TEXTS]:
            self._say({"event": "text", **msgspec.structs.asdict(line)}, now)
        if len(lines) > TEXTS:
            self._seen = lines[TEXTS - 1][0]
            return
        self._seen = max(news, lines[-1][0] if lines else 0)
        self._be_ready(now)

    def _be_ready(self, now: float) -> None:
        """From now on everything is news."""
        if not self._ready:
            self._ready = True
            self._say({"event": "ready"}, now)

    def _say(self, message: Mapping[str, Any], now: float) -> None:
        self._alive_at = now + ALIVE
        self._connection.send(_encode(message))
