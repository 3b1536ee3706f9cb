"""Examination of a call over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from websockets.http11 import Request

from nodes.audio.g711 import RATE
from nodes.doctor.examination import MAX_FIELDS, MAX_LISTED, Examination
from nodes.doctor.media import describe_segment_counting
from nodes.doctor.redact_grpc import attribute_meaning
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.credentials import SENSITIVE_NAME, Credentials
from nodes.ringcx.dialog_sender import ACCOUNT_FIELDS, DIALOG_FIELDS
from nodes.ringcx.dialog_state import MAX_SEGMENTS
from nodes.ringcx.dialog_text import to_text
from nodes.ringcx.redact import MAX_NAME, summarize

UNKNOWN = "(unknown event)"

SHOWN_FIELDS = {"dialog.language", "event"}
"""Texts that are shown, as they are no ids: the language, and what a SegmentInfo tells."""

_MEANINGS = (
    {"session_id": "session_id"}
    | {f"account.{field}": name for field, name in ACCOUNT_FIELDS.items()}
    | {f"dialog.{field}": name for field, name in DIALOG_FIELDS.items()}
)


class SegmentFacts:
    """One segment. ``started`` and ``stopped`` are seconds since the stream began, None before."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.start = pb.SegmentStartEvent()
        self.started: float | None = None
        self.stopped: float | None = None

    @property
    def name(self) -> str:
        """A name for the report: its number, and the type of its participant."""
        kind = self.start.participant.type
        role = pb.ParticipantType.Name(kind).lower() if kind in pb.ParticipantType.values() else f"type {kind}"
        return f"{self.number} {role if kind and self.started is not None else 'unknown'}"

    def length(self, content: pb.AudioContent) -> float:
        """Return the seconds of audio in a message: by its size, or as announced for a compressed codec."""
        wanted = self.start.audio_format
        rate, size = wanted.rate or RATE, len(content.payload)
        if wanted.codec in (pb.OPUS, pb.FLAC):
            return content.duration / 1000
        return size / (2 * rate if wanted.codec == pb.L16 else rate)

    def facts(self) -> dict[str, Any]:
        start, wanted = self.start, self.start.audio_format
        return {
            "name": self.name,
            "id": summarize(start.segment_id),
            "participant_id": summarize(start.participant.id),
            "product": _enum(pb.ProductType, start.product.type).lower() if start.HasField("product") else None,
            "codec": _enum(pb.Codec, wanted.codec) if start.HasField("audio_format") else None,
            "rate": wanted.rate or None,
            "ptime_ms": wanted.ptime or None,
            "started": self.started,
            "stopped": self.stopped,
        }


class GrpcExamination(Examination):
    """Examines the messages of one stream; the parties are its segments."""

    transport = "grpc"

    def __init__(self, request: Request, client: str, opened_at: float, credentials: Credentials | None) -> None:
        super().__init__(request, client, opened_at, credentials)
        self._segments: dict[str, SegmentFacts] = {}
        self._other_segments = 0
        self._reports: list[dict[str, Any]] = []
        self._stops = 0
        self._has_uii = False

    def receive(self, data: bytes, now: float) -> None:
        try:
            event = pb.StreamEvent.FromString(data)
        except DecodeError:
            self._count_bad("not_protobuf", now)
            return
        kind = event.WhichOneof("event") or UNKNOWN
        self._count_event(kind, now)
        if kind != UNKNOWN:
            self._describe_fields(kind, event)
        if kind == "segment_media":
            self._receive_media(event.segment_media, now)
            return
        if self._credentials is not None:
            self._note_place(self._credentials.find_in_message(to_text(event).encode()))
        after = round(now - self._opened_at, 3)
        if kind == "dialog_init":
            self._has_uii |= any(attribute_meaning(key) == "call_id" for key in event.dialog_init.dialog.attributes)
        elif kind == "segment_start" and (segment := self._segment(event.segment_start.segment_id)):
            segment.start, segment.started = event.segment_start, after
        elif kind == "segment_stop":
            self._stops += 1
            self.last_stop = now
            if segment := self._segment(event.segment_stop.segment_id):
                segment.stopped = after
        elif kind == "segment_info" and (segment := self._segment(event.segment_info.segment_id)):
            what = self._redactor.text(event.segment_info.event[:MAX_NAME])
            report = {"event": what, "segment": segment.number, "after": after}
            self._reports = [*self._reports, report][:MAX_LISTED]

    def _specific_facts(self) -> dict[str, Any]:
        return {
            "format": None,
            "segments": [segment.facts() for segment in self._segments.values()],
            "other_segments": self._other_segments,
            "reports": self._reports,
            "has_uii": self._has_uii,
            "sequence": {
                "counts": describe_segment_counting(self._parties, self._steps),
                "written_as": "number",
                "steps_of_both": self._steps.facts(),
            },
            "stop": {"count": self._stops, "durations": [], "unit": None},
        }

    def _party_name(self, party: str) -> str:
        return self._segments[party].name

    def _segment(self, segment_id: str) -> SegmentFacts | None:
        """Return a segment, also one that has not started; None beyond the maximum."""
        if segment_id not in self._segments:
            if len(self._segments) >= MAX_SEGMENTS:
                self._other_segments += 1
                return None
            self._segments[segment_id] = SegmentFacts(len(self._segments) + 1)
        return self._segments[segment_id]

    def _receive_media(self, media: pb.SegmentMediaEvent, now: float) -> None:
        segment, content = self._segment(media.segment_id), media.audio_content
        if segment is not None:
            self._count_media(media.segment_id, content.seq, len(content.payload), segment.length(content), now)

    def _describe_fields(self, kind: str, event: pb.StreamEvent) -> None:
        """Describe the fields of the first message of its kind."""
        if kind in self._fields:
            return
        found = list(_fields(getattr(event, kind), ""))
        if event.session_id and kind == "dialog_init":
            found.insert(0, ("session_id", summarize(event.session_id) + " = session_id"))
        self._suspects += [f"{kind}.{self._redactor.text(name)}" for name, _ in found if SENSITIVE_NAME.search(name)]
        self._fields[kind] = {
            self._redactor.text(name): self._redactor.text(value) for name, value in found[:MAX_FIELDS]
        }
        if len(found) > MAX_FIELDS:
            self._fields[kind]["…"] = f"{len(found) - MAX_FIELDS} more"


def _fields(message: Message, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and a description of each field that is set."""
    for field, value in message.ListFields():
        place = path + field.name
        if place == "dialog.attributes":
            for key, text in sorted(value.items()):
                known = attribute_meaning(key)
                yield f"{place}.{key[:MAX_NAME]}", summarize(text) + (f" = {known}" if known else "")
        elif isinstance(value, Message):
            yield from _fields(value, f"{place}.")
        elif isinstance(value, str):
            meaning = f" = {_MEANINGS[place]}" if place in _MEANINGS else ""
            yield place, value[:MAX_NAME] if place in SHOWN_FIELDS else summarize(value) + meaning
        elif isinstance(value, bytes):
            yield place, f"{len(value)} bytes"
        else:
            kinds = field.enum_type.values_by_number if field.enum_type else {}
            yield place, kinds[value].name if value in kinds else str(value)


def _enum(names: Any, value: int) -> str:
    return str(names.Name(value)) if value in names.values() else str(value)
