"""Examination of a WebSocket call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from websockets.http11 import Request

from flowcore import BadMessage
from nodes.audio.g711 import RATE
from nodes.doctor.examination import MAX_FIELDS, MAX_LISTED, Examination
from nodes.doctor.media import Party, Tally, describe_counting
from nodes.ringcx.credentials import SENSITIVE_NAME, Credentials
from nodes.ringcx.messages import Media, Start, parse
from nodes.ringcx.redact import MAX_NAME, meaning, summarize

SHOWN_FIELDS = {
    "audiocontenttype", "contenttype", "encoding", "perspective", "protocol", "samplerate", "sampleratehertz",
    "version",
}  # fmt: skip
"""Fields whose values are shown, as they are the same in all calls; so is the product's type."""

_decode = msgspec.json.Decoder().decode


class WebSocketExamination(Examination):
    """Examines the messages of "AgentSession 1.0.0"; the parties are RingCX's perspectives."""

    transport = "websocket"

    def __init__(self, request: Request, client: str, opened_at: float, credentials: Credentials | None) -> None:
        super().__init__(request, client, opened_at, credentials)
        self.stops: list[float | None] = []
        """The duration of each Stop, up to `MAX_LISTED` of them."""
        self._number_types = Tally()
        self._start: Start | None = None

    def receive(self, data: bytes, now: float) -> None:
        if self._credentials is not None:
            self._note_place(self._credentials.find_in_message(data))
        try:
            event = parse(data)
        except BadMessage as bad:
            self._count_bad(bad.reason, now)
            return
        fields = _fields(data)
        name = self._redactor.text(str(next((fields[key] for key in fields if key.lower() == "event"), ""))[:MAX_NAME])
        self._count_event(name, now)
        if type(event) is Media:
            self._receive_media(event, fields, now)
            return
        self._describe_fields(name, fields)
        if type(event) is Start:
            self._start = self._start or event
        elif name.lower() == "stop":
            self.last_stop = now
            self.stops = [*self.stops, event.duration][:MAX_LISTED]  # type: ignore[union-attr]

    def _specific_facts(self) -> dict[str, Any]:
        return {
            "format": {"encoding": self._start.encoding, "rate": self._start.rate} if self._start else None,
            "segments": [],
            "sequence": {
                "counts": describe_counting(self._parties, self._steps),
                "written_as": self._number_types.usual,
                "steps_of_both": self._steps.facts(),
            },
            "stop": {"count": len(self.stops), **_durations(self.stops, self.seconds, self._parties)},
        }

    def _receive_media(self, media: Media, fields: Mapping[str, Any], now: float) -> None:
        size = len(media.data)
        self._count_media(media.perspective, media.seq, size, size / RATE, now)
        written = next((value for key, value in fields.items() if key.replace("_", "").lower() == "sequenceid"), None)
        self._number_types.add("text" if isinstance(written, str) else "number")
        if "Media" not in self._fields:
            self._describe_fields("Media", fields)

    def _describe_fields(self, event: str, fields: Mapping[str, Any]) -> None:
        """Describe the fields of the first message of its kind: names, and the types and lengths of values."""
        if event in self._fields or len(self._fields) >= MAX_LISTED:
            return
        self._fields[event] = described = {}
        for key, value in fields.items():
            if key.lower() == "event":
                continue  # the key of this entry
            inner = value if key.lower() == "metadata" and isinstance(value, dict) else {"": value}
            for name, entry in list(inner.items())[:MAX_FIELDS]:
                place = f"{key}.{name}" if name else key
                if SENSITIVE_NAME.search(place):
                    self._suspects.append(f"{event}.{self._redactor.text(place[:MAX_NAME])}")
                described[self._redactor.text(place[:MAX_NAME])] = self._summarize_value(name or key, entry)

    def _summarize_value(self, name: str, value: object) -> str:
        plain = name.replace("_", "").lower()
        if plain in SHOWN_FIELDS or meaning(name) == "product_type":
            return self._redactor.text(str(value)[:MAX_NAME])
        known = meaning(name)
        return summarize(value) + (f" = {known}" if known else "")


def _fields(data: bytes) -> dict[str, Any]:
    """Return a message's fields; none if only the listener's more lenient parser reads it."""
    try:
        return _decode(data)  # type: ignore[no-any-return]  # `parse` has checked that it is an object
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _durations(stops: list[float | None], seconds: float, parties: Mapping[str, Party]) -> Mapping[str, Any]:
    """Determine the unit of Stop's durations: the only one that fits the audio within 2 % or a small tolerance."""
    durations = [duration for duration in stops if duration is not None]
    if not durations:
        return {"durations": [], "unit": None}
    longest = max(durations)
    units = {
        "seconds": (seconds, 1.0),
        "milliseconds": (seconds * 1000, 100.0),
        "messages": (float(max((party.count for party in parties.values()), default=0)), 1.0),
        "bytes": (float(max((party.bytes for party in parties.values()), default=0)), 160.0),
    }
    fits = [unit for unit, (length, most) in units.items() if abs(longest - length) <= max(most, 0.02 * length)]
    return {"durations": durations, "unit": fits[0] if len(fits) == 1 else None}
