"""Examination of one call: collects facts that RingCX's documentation leaves open, with values masked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from websockets.http11 import Request

from nodes.doctor.media import Party, Tally
from nodes.ringcx.credentials import SENSITIVE_NAME, Credentials
from nodes.ringcx.listener_config import Transport
from nodes.ringcx.redact import MAX_NAME, SAFE_HEADERS, Redactor, meaning, query_pairs, summarize

MAX_LISTED = 8
"""Entries of each list in the report at most, such as the opening messages."""

MAX_FIELDS = 64
"""Fields of one message, headers and query parameters in the report at most."""

SCHEMES = ("Basic", "Bearer")
"""The forms of an ``Authorization`` beside the bare value."""


class Examination(ABC):
    """Collects facts about one call from its request, messages and end; `facts` returns them at any time.

    ``opened_at`` is the arrival of the request, in monotonic seconds. ``credentials`` knows the secret, if it was
    given.
    """

    transport: ClassVar[Transport]

    def __init__(self, request: Request, client: str, opened_at: float, credentials: Credentials | None) -> None:
        self.last_stop = 0.0
        """When the latest Stop came, in monotonic seconds; 0 before the first."""
        self._request = request
        self._client = client
        self._opened_at = opened_at
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
        self._end: dict[str, Any] = {}
        if credentials is not None:
            self._note_place(credentials.find_in_request(request))

    @abstractmethod
    def receive(self, data: bytes, now: float) -> None:
        """Examine one message that arrived at ``now``, in monotonic seconds."""

    @abstractmethod
    def _specific_facts(self) -> dict[str, Any]:
        """Return the facts that depend on the transport: format, segments, what numbers count, stops."""

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
            "transport": self.transport,
            "request": {
                "from": self._client,
                "path": text(self._request.path.partition("?")[0]),
                "query": [
                    {"name": text(name[:MAX_NAME]), "value": summarize(value), "means": meaning(name)}
                    for name, value in self._query()
                ],
                "headers": [
                    {"name": text(name[:MAX_NAME]), "value": self._header(name, value)}
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
            "media": {self._party_name(name): party.facts() for name, party in self._parties.items()},
            **self._specific_facts(),
            "end": self._end,
        }

    def _party_name(self, party: str) -> str:
        """Return the name of a party for the report."""
        return party

    def _query(self) -> list[tuple[str, str]]:
        return query_pairs(self._request.path)[:MAX_FIELDS]

    def _header(self, name: str, value: str) -> str:
        if name.lower() in SAFE_HEADERS:
            return self._redactor.text(value)
        scheme, _, rest = value.partition(" ")
        if name.lower() == "authorization" and scheme.capitalize() in SCHEMES:
            return f"{scheme.capitalize()} and {summarize(rest)}"
        return summarize(value)

    def _note_place(self, place: str) -> None:
        """Count a place of the secret, if it is one."""
        if place:
            self._places[place] += 1

    def _count_event(self, name: str, now: float) -> None:
        self._events.add(name)
        self._list_opening(name, now)

    def _count_bad(self, reason: str, now: float) -> None:
        self._bad.add(reason)
        self._list_opening("(not RingCX's)", now)

    def _count_media(self, name: str, seq: int, size: int, seconds: float, now: float) -> None:
        """Count a message with audio of the party ``name``."""
        self._parties.setdefault(name, Party()).receive(seq, size, seconds, now)
        if self._last_seq is not None:
            self._steps.add(seq - self._last_seq)
        self._last_seq = seq

    def _list_opening(self, name: str, now: float) -> None:
        if len(self._opening) < MAX_LISTED:
            self._opening.append(name)
        if len(self._first) < MAX_LISTED:
            self._first.setdefault(name, now - self._opened_at)
