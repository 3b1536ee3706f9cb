"""Examination of one connection: answers the questions that RingCX's documentation leaves open, with values masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from websockets.http11 import Request

from flowcore import BadMessage
from nodes.doctor.media import Party, Tally, describe_counting
from nodes.doctor.redact import MAX_NAME, SAFE_HEADERS, Redactor, meaning, query_pairs, summarize
from nodes.ringcx.credentials import SENSITIVE_NAME, Credentials
from nodes.ringcx.messages import Media, Start, parse

MAX_LISTED = 8
"""Entries of each list in the report at most, such as the opening messages."""

MAX_FIELDS = 64
"""Fields of one message, headers and query parameters in the report at most."""

SHOWN_FIELDS = {
    "audiocontenttype", "contenttype", "encoding", "perspective", "protocol", "samplerate", "sampleratehertz",
    "version",
}  # fmt: skip
"""Fields whose values are shown, as they are the same in all calls; so is the product's type."""

_decode = msgspec.json.Decoder().decode


class Examination:
    """Collects facts about one connection from its request, messages and end; `facts` returns them at any time."""

    def __init__(self, request: Request, client: str, now: float, credentials: Credentials | None) -> None:
        self.stops: list[float | None] = []
        """The duration of each Stop, up to `MAX_LISTED` of them."""
        self.last_stop = 0.0
        self._request = request
        self._client = client
        self._opened_at = now
        self._credentials = credentials
        self._redactor = Redactor(credentials)
        self._places: Counter[str] = Counter()
        self._suspects = [f"header.{name}" for name, _ in request.headers.raw_items() if SENSITIVE_NAME.search(name)]
        self._suspects += [f"query.{name}" for name, _ in self._query() if SENSITIVE_NAME.search(name)]
        self._opening: list[str] = []
        self._first: dict[str, float] = {}
        self._fields: dict[str, dict[str, str]] = {}
        self._events = Tally()
        self._bad = Tally()
        self._parties: dict[str, Party] = {}
        self._steps = Tally()
        self._last_seq: int | None = None
        self._number_types = Tally()
        self._start: Start | None = None
        self._end: dict[str, Any] = {}
        if credentials is not None and (place := credentials.find_in_request(request)):
            self._places[place] += 1

    def receive(self, data: bytes, now: float) -> None:
        """Examine one message that arrived at ``now``, in monotonic seconds."""
        if self._credentials is not None and (place := self._credentials.find_in_message(data)):
            self._places[place] += 1
        try:
            event = parse(data)
        except BadMessage as bad:
            self._bad.add(bad.reason)
            self._list_opening("(not RingCX's)", now)
            return
        fields = _fields(data)
        name = self._redactor.text(str(next((fields[key] for key in fields if key.lower() == "event"), ""))[:MAX_NAME])
        self._events.add(name)
        self._list_opening(name, now)
        if type(event) is Media:
            self._receive_media(event, fields, now)
            return
        self._describe_fields(name, fields)
        if type(event) is Start:
            self._start = self._start or event
        elif name.lower() == "stop":
            self.last_stop = now
            self.stops = [*self.stops, event.duration][:MAX_LISTED]  # type: ignore[union-attr]

    def end(self, facts: Mapping[str, Any]) -> None:
        """Note how the connection ended."""
        self._end = dict(facts)

    @property
    def seconds(self) -> float:
        """The length of the longer party's audio so far."""
        return max((party.seconds for party in self._parties.values()), default=0.0)

    def facts(self) -> dict[str, Any]:
        """Return all facts as JSON values, redacted."""
        text = self._redactor.text
        return {
            "request": {
                "from": self._client,
                "path": text(self._request.path.partition("?")[0]),
                "query": [
                    {"name": text(name[:MAX_NAME]), "value": summarize(value), "means": meaning(name)}
                    for name, value in self._query()
                ],
                "headers": [
                    {
                        "name": text(name[:MAX_NAME]),
                        "value": text(value) if name.lower() in SAFE_HEADERS else summarize(value),
                    }
                    for name, value in list(self._request.headers.raw_items())[:MAX_FIELDS]
                ],
            },
            "secret": {
                "known": self._credentials is not None,
                "places": dict(self._places.most_common(MAX_LISTED)),
                "fields_named_so": self._suspects[:MAX_FIELDS],
            },
            "messages": {
                "opening": self._opening,
                "seconds_to_first": {name: round(at, 3) for name, at in self._first.items()},
                "events": self._events.facts(),
                "not_ringcx": self._bad.facts(),
                "fields": self._fields,
            },
            "format": {"encoding": self._start.encoding, "rate": self._start.rate} if self._start else None,
            "media": {name: party.facts() for name, party in self._parties.items()},
            "sequence": {
                "counts": describe_counting(self._parties, self._steps),
                "written_as": self._number_types.usual,
                "steps_of_both": self._steps.facts(),
            },
            "stop": {"count": len(self.stops), **_durations(self.stops, self.seconds, self._parties)},
            "end": self._end,
        }

    def _query(self) -> list[tuple[str, str]]:
        return query_pairs(self._request.path)[:MAX_FIELDS]

    def _list_opening(self, name: str, now: float) -> None:
        if len(self._opening) < MAX_LISTED:
            self._opening.append(name)
        if len(self._first) < MAX_LISTED:
            self._first.setdefault(name, now - self._opened_at)

    def _receive_media(self, media: Media, fields: Mapping[str, Any], now: float) -> None:
        party = self._parties.setdefault(media.perspective, Party())
        party.receive(media, now)
        if self._last_seq is not None:
            self._steps.add(media.seq - self._last_seq)
        self._last_seq = media.seq
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
