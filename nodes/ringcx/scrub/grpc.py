"""Scrubbing of messages over gRPC. Fields that the .proto file does not know are gone: they may hold anything."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf.message import DecodeError, Message

from nodes.audio.codecs import FromLinear
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.dialog_state import UII_KEYS
from nodes.ringcx.redact import meaning
from nodes.ringcx.scrub.noise import ALAW, LINEAR, MULAW, Codec
from nodes.ringcx.scrub.payloads import Payloads
from nodes.ringcx.scrub.pseudonyms import Pseudonyms, form

_KEPT = {
    ("Dialog", "language"): re.compile(r"[a-z]{2}(-[A-Z]{2})?"),
    ("SegmentInfoEvent", "event"): re.compile(r"(un)?hold", re.IGNORECASE),
}
"""Patterns of values that stay, by message and field."""


class GrpcScrubber:
    """Scrubs the messages of one stream, in their order. ``codecs`` are those of its segments: media may come first."""

    def __init__(self, pseudonyms: Pseudonyms, codecs: Mapping[str, int]) -> None:
        self._pseudonyms = pseudonyms
        self._codecs = dict(codecs)
        self._linear: dict[str, FromLinear] = {}
        self._payloads = Payloads()

    def message(self, data: bytes) -> bytes:
        """Return a message without words, numbers and audio, of which the listener makes the same."""
        try:
            event = pb.StreamEvent.FromString(data)
        except DecodeError:
            return b"\xff" * len(data)  # no message either
        event.DiscardUnknownFields()
        if event.WhichOneof("event") == "segment_start":
            self._codecs[event.segment_start.segment_id] = event.segment_start.audio_format.codec
        elif event.WhichOneof("event") == "segment_media":
            segment, content = event.segment_media.segment_id, event.segment_media.audio_content
            if content.payload:
                content.payload = self._noise(segment, content.seq, content.payload)
        self._scrub(event)
        return event.SerializeToString(deterministic=True)

    def _noise(self, segment: str, number: int, payload: bytes) -> bytes:
        codec = self._codec(segment, payload)
        whole = payload[: len(payload) // codec.width * codec.width]
        place = self._pseudonyms.text(segment)  # as it stands in the result
        return self._payloads.replace(whole, place, number, codec) + bytes(len(payload) - len(whole))

    def _codec(self, segment: str, payload: bytes) -> Codec:
        codec = self._codecs.get(segment)
        if codec == pb.PCMA:
            return ALAW
        if codec != pb.L16:
            return MULAW
        linear = self._linear.setdefault(segment, FromLinear())
        if len(payload) % 2 == 0:
            linear(payload)
        return LINEAR[linear.order[:1] or ">"]

    def _scrub(self, message: Message) -> None:
        if isinstance(message, pb.Dialog):
            named = sorted(message.attributes.items(), key=lambda item: (form(item[0] or "0"), item[0]))
            scrubbed = {self._name(key): self._pseudonyms.text(value) for key, value in named}
            message.attributes.clear()
            message.attributes.update(scrubbed)
        for field, value in message.ListFields():
            if isinstance(value, Message):
                self._scrub(value)
            elif isinstance(value, str):
                kept = _KEPT.get((message.DESCRIPTOR.name, field.name))
                if not (kept and kept.fullmatch(value)):
                    setattr(message, field.name, self._pseudonyms.text(value))

    def _name(self, key: str) -> str:
        return key if key.isascii() and (key.lower() in UII_KEYS or meaning(key)) else self._pseudonyms.text(key)
