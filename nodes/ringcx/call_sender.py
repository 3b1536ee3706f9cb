"""The sender's side of a RingCX WebSocket call: writes the messages that RingCX would send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from nodes.audio.g711 import RATE
from nodes.ringcx.messages import PERSPECTIVES

_encode = msgspec.json.encode

Dialect = Literal["camel", "upper"]


class CallSender:
    """The messages of one call, in either dialect.

    ``camel`` is the dialect of today's documentation, ``upper`` that of 2021: ``START``, ``call_id``, ``encoding``.
    Each party's media are numbered from 1.
    """

    def __init__(self, attributes: Mapping[str, str], dialect: Dialect = "camel") -> None:
        self._attributes = attributes
        self._upper = dialect == "upper"
        self._next = dict.fromkeys(PERSPECTIVES, 1)

    def request_url(self, url: str) -> str:
        """Return ``url`` with the call's attributes in its query, named as in Start (RingCX publishes no names)."""
        address, _, query = url.partition("?")
        attributes = urlencode({self._spell(name): value for name, value in self._attributes.items()})
        return f"{address}?{query}&{attributes}" if query else f"{address}?{attributes}"

    def connected(self) -> bytes:
        return self._message("Connected", protocol="AgentSession", version="1.0.0")

    def start(self) -> bytes:
        metadata: dict[str, Any] = {self._spell(name): value for name, value in self._attributes.items()}
        if self._upper:
            metadata |= {"encoding": "MULAW", "sample_rate_hertz": RATE}
        else:
            metadata |= {"contentType": "audio/x-mulaw", "sampleRateHertz": RATE}
        return self._message("Start", metadata=metadata)

    def media(self, track: str, data: bytes, seq: int | None = None) -> bytes:
        """Write a Media message of ``track`` (``agent`` or ``customer``); ``seq`` replaces the next number.

        Raises `KeyError` for another track.
        """
        perspective = PERSPECTIVES[track]
        if seq is None:
            seq = self._next[track]
            self._next[track] += 1
        return self._message("Media", perspective=perspective, sequenceId=str(seq), media=data)

    def stop(self, duration: int, end_time: str) -> bytes:
        """Write a Stop message: ``duration`` in seconds, ``end_time`` in ISO 8601."""
        return self._message("Stop", metadata={"duration": duration, "end_time": end_time})

    def _message(self, event: str, **fields: object) -> bytes:
        if self._upper:
            fields = {"sequence_id" if key == "sequenceId" else key: value for key, value in fields.items()}
        return _encode({"event": event.upper() if self._upper else event, **fields})

    def _spell(self, name: str) -> str:
        first, *rest = name.split("_")
        return name if self._upper else first + "".join(word.capitalize() for word in rest)
