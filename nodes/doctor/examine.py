"""What one connection was like: the answers to what RingCX's documentation leaves open, with all values masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from websockets.http11 import Request

from flowcore import BadMessage
from nodes.doctor.media import Party, Tally, counting
from nodes.doctor.redact import HEADERS, NAME_LIMIT, Redactor, asked, meaning, shape
from nodes.ringcx.credentials import SENSITIVE_NAME, Credentials
from nodes.ringcx.messages import Media, Start, parse

OPENING = 8
"""Messages whose order is told one by one."""

FIELDS = 64
"""Fields of one message, headers and query parameters that are told at most."""

SPELT = {
    "audiocontenttype", "contenttype", "encoding", "perspective", "protocol", "samplerate", "sampleratehertz",
    "version",
}  # fmt: skip
"""Fields whose values are shown: they are the same in all calls. So is the product's type."""

_decode = msgspec.json.Decoder().decode


class Examination:
    """Hears all of one connection: its request, messages and end; `facts` at any time."""

    def __init__(self, request: Request, caller: str, now: float, credentials: Credentials | None) -> None:
        self.stops: list[Mapping[str, Any]] = []
        self.last_stop = 0.0
        self._request = request
        self._caller = caller
        self._began = now
        self._credentials = credentials
        self._veil = Redactor(credentials)
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

    def hear(self, data: bytes, now: float) -> None:
        """One message that arrived at ``now``, monotonic seconds."""
        if self._credentials is not None and (place := self._credentials.find_in_message(data)):
            self._places[place] += 1
        try:
            event = parse(data)
        except BadMessage as bad:
            self._bad.add(bad.reason)
            self._open("(not RingCX's)", now)
            return
        fields = _fields(data)
        name = self._veil.text(str(next((fields[key] for key in fields if key.lower() == "event"), ""))[:NAME_LIMIT])
        self._events.add(name)
        self._open(name, now)
        if type(event) is Media:
            self._hear_media(event, fields, now)
            return
        self._note(name, fields)
        if type(event) is Start:
            self._start = self._start or event
        elif name.lower() == "stop":
            self.last_stop = now
            self.stops = [*self.stops, {"duration": event.duration}][:OPENING]  # type: ignore[union-attr]

    def end(self, facts: Mapping[str, Any]) -> None:
        """How it ended."""
        self._end = dict(facts)

    @property
    def seconds(self) -> float:
        """Length of the longer party's audio so far."""
        return max((party.seconds for party in self._parties.values()), default=0.0)

    def facts(self) -> dict[str, Any]:
        """All of it, fit for JSON and for anybody's eyes."""
        return {
            "request": {
                "from": self._caller,
                "path": self._veil.text(self._request.path.partition("?")[0]),
                "query": [
                    {"name": self._veil.text(name[:NAME_LIMIT]), "value": shape(value), "means": meaning(name)}
                    for name, value in self._query()
                ],
                "headers": [
                    {
                        "name": self._veil.text(name[:NAME_LIMIT]),
                        "value": self._veil.header(name, value) if name.lower() in HEADERS else shape(value),
                    }
                    for name, value in list(self._request.headers.raw_items())[:FIELDS]
                ],
            },
            "secret": {
                "known": self._credentials is not None,
                "places": dict(self._places.most_common(OPENING)),
                "fields_named_so": self._suspects[:FIELDS],
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
                "counts": counting(self._parties, self._steps),
                "written_as": self._number_types.usual,
                "steps_of_both": self._steps.facts(),
            },
            "stop": {"count": len(self.stops), **_durations(self.stops, self.seconds, self._parties)},
            "end": self._end,
        }

    def _query(self) -> list[tuple[str, str]]:
        return asked(self._request.path)[:FIELDS]

    def _open(self, name: str, now: float) -> None:
        if len(self._opening) < OPENING:
            self._opening.append(name)
        if len(self._first) < OPENING:
            self._first.setdefault(name, now - self._began)

    def _hear_media(self, media: Media, fields: Mapping[str, Any], now: float) -> None:
        party = self._parties.setdefault(media.perspective, Party())
        party.hear(media, now)
        if self._last_seq is not None:
            self._steps.add(media.seq - self._last_seq)
        self._last_seq = media.seq
        written = next((value for key, value in fields.items() if key.replace("_", "").lower() == "sequenceid"), None)
        self._number_types.add("text" if isinstance(written, str) else "number")
        if "Media" not in self._fields:
            self._note("Media", fields)

    def _note(self, event: str, fields: Mapping[str, Any]) -> None:
        """The names of a message's fields with what their values look like; of the first message of its kind."""
        if event in self._fields or len(self._fields) >= OPENING:
            return
        self._fields[event] = told = {}
        for key, value in fields.items():
            if key.lower() == "event":
                continue  # that is the name it stands under
            inner = value if key.lower() == "metadata" and isinstance(value, dict) else {"": value}
            for name, entry in list(inner.items())[:FIELDS]:
                place = f"{key}.{name}" if name else key
                if SENSITIVE_NAME.search(place):
                    self._suspects.append(f"{event}.{self._veil.text(place[:NAME_LIMIT])}")
                told[self._veil.text(place[:NAME_LIMIT])] = self._shown(name or key, entry)

    def _shown(self, name: str, value: object) -> str:
        plain = name.replace("_", "").lower()
        if plain in SPELT or meaning(name) == "product_type":
            return self._veil.text(str(value)[:NAME_LIMIT])
        known = meaning(name)
        return shape(value) + (f" = {known}" if known else "")


def _fields(data: bytes) -> dict[str, Any]:
    """A message's fields; none of one that only the listener's parser reads, which skips what it need not know."""
    try:
        return _decode(data)  # type: ignore[no-any-return]  # `parse` has seen that it is an object
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _durations(stops: list[Mapping[str, Any]], seconds: float, parties: Mapping[str, Party]) -> Mapping[str, Any]:
    """What the durations of Stop may be counted in: what fits the audio within 2 %, or half of the unit."""
    said = [stop["duration"] for stop in stops if stop["duration"] is not None]
    if not said:
        return {"durations": [], "unit": None}
    longest = max(said)
    units = {
        "seconds": (seconds, 1.0),
        "milliseconds": (seconds * 1000, 100.0),
        "messages": (float(max((party.count for party in parties.values()), default=0)), 1.0),
        "bytes": (float(max((party.bytes for party in parties.values()), default=0)), 160.0),
    }
    fits = [name for name, (length, least) in units.items() if abs(longest - length) <= max(least, 0.02 * length)]
    return {"durations": said, "unit": fits[0] if len(fits) == 1 else None}
