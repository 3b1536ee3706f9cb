"""The feed of one page: the changes of a call go out slot by slot, as fast as the page reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nodes.captions.call_store import CallStore, CaptionedCall
from nodes.net.peer import PeerConnection

MAX_TEXTS_PER_SLOT = 100  # most texts sent in one slot: half a millisecond of work
KEEPALIVE_INTERVAL = 15.0  # seconds without a message until ``alive``: proxies close connections that idle for a minute


class CaptionFeed:
    """The server's side of one ``/client-ws``: a `nodes.net.peer.Peer`.

    ``call`` is a normalized id; an empty one follows the newest call. ``count`` gets 1 at the start and -1 at the end.
    A message is one JSON object:
    ``{"event": "state", "call": …, "state": "waiting" | "ambiguous" | "live" | "ended", "sessions": [0.0, …],
    "paused": false, "muted": []}``,
    ``{"event": "text", "id": …}`` with the fields of a `Caption`, which replaces the text of the same id,
    ``{"event": "ready"}`` after the texts of the past, and ``{"event": "alive"}``.

    ``ended`` comes after every text of the call, so that a reader may leave at it: until then, the state is ``live``.
    """

    def __init__(self, calls: CallStore, call: str, count: Callable[[int], None]) -> None:
        self._calls = calls
        self._id = call
        self._count = count
        self._call: CaptionedCall | None = None
        self._seen = 0
        self._sent_state: Mapping[str, Any] | None = None
        self._ready = False
        self._alive_at = 0.0
        self._connection: PeerConnection

    def opened(self, connection: PeerConnection) -> None:
        self._connection = connection
        self._count(1)

    def wants_read(self, now: float) -> bool:
        if not self._connection.unsent:
            call = self._calls.find(self._id) or self._call
            if call is not None and (call is not self._call or call.revision != self._seen or not self._ready):
                self._send_changes(call, now)
            elif call is None and (state := self._missing()) != self._sent_state:
                if now >= self._calls.complete_at:
                    self._send_state(state, now)
                    self._send_ready(now)
            elif now >= self._alive_at:
                self._calls.drop_ended(now)
                self._send({"event": "alive"}, now)
        return True

    def messages_received(self, messages: list[bytes], now: float) -> None:
        """Ignore messages: a page sends none."""

    def late_messages(self, messages: list[bytes], since: float, until: float) -> None:
        """Ignore messages: a page sends none."""

    def closed(self, reason: str) -> None:
        self._count(-1)

    def _send_changes(self, call: CaptionedCall, now: float) -> None:
        if call is not self._call:
            self._call, self._seen, self._sent_state = call, 0, None
        revision = call.revision  # read first: later changes are for the next slot
        state, captions = self._calls.changes(call, self._seen)
        self._send_state({**state, "state": "live"} if captions else state, now)
        for _, caption in captions[:MAX_TEXTS_PER_SLOT]:
            self._send({"event": "text", **msgspec.structs.asdict(caption)}, now)
        if len(captions) > MAX_TEXTS_PER_SLOT:
            self._seen = captions[MAX_TEXTS_PER_SLOT - 1][0]
            return
        self._seen = max(revision, captions[-1][0] if captions else 0)
        self._send_state(state, now)
        self._send_ready(now)

    def _missing(self) -> Mapping[str, Any]:
        """Return the state before there is a call, or while the id fits several."""
        state = "ambiguous" if self._calls.is_ambiguous(self._id) else "waiting"
        return {"call": self._id, "state": state, "sessions": [], "paused": False, "muted": []}

    def _send_state(self, state: Mapping[str, Any], now: float) -> None:
        if state != self._sent_state:
            self._send({"event": "state", **state}, now)
            self._sent_state = state

    def _send_ready(self, now: float) -> None:
        """Tell the page once that it has the past: later texts are new."""
        if not self._ready:
            self._ready = True
            self._send({"event": "ready"}, now)

    def _send(self, message: Mapping[str, Any], now: float) -> None:
        self._alive_at = now + KEEPALIVE_INTERVAL
        self._connection.send(msgspec.json.encode(message))
