"""The receiver's side of one RingCX gRPC stream, without I/O: which events may come when.

`DialogState` yields the same results as `nodes.ringcx.call_state.CallState`: a `Start`, packets of two tracks, and
ignored messages. ``make proto`` generates the message classes from ``ringcx_grpc.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from google.protobuf.message import DecodeError

from flowcore import BadMessage, Packet
from nodes.audio.codecs import FromLinear, ToMulaw, from_alaw, from_mulaw
from nodes.audio.g711 import RATE
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_attributes import MAX_TEXT
from nodes.ringcx.call_state import MAX_BAD_IN_A_ROW, MIN_BAD_IN_ALL, Ignored, ProtocolError
from nodes.ringcx.dialog_sender import ACCOUNT_FIELDS, DIALOG_FIELDS, SERVICE
from nodes.ringcx.messages import Start
from nodes.ringcx.segments import Dropped, Filled, Segment, TrackMixer

MAX_SEGMENTS = 64
"""Segments of a dialog that are remembered."""

MAX_EARLY = 2.0
"""Seconds of audio that wait for DialogInit and the start of their segment at most."""

MAX_KEPT = 100
"""Messages with such audio at most."""

BotTrack = Literal["agent", "bot"]
UII_KEYS = ("uii", "rcxuii", "calluii")
"""Keys of a dialog's attributes that users of the protocol report to hold the UII, in lower case."""
NUMBERS = ("contact_id", "participant_id")
"""Attributes that may be phone numbers, which no log shows."""
_ROLES = {pb.CONTACT: "contact", pb.AGENT: "agent", pb.BOT: "bot"}


class Note(msgspec.Struct, frozen=True):
    """An event of a participant: ``what`` is a short name, never a person's name or free text."""

    what: str
    data: dict[str, Any]


Result = Packet | Start | Note | Ignored | Dropped | Filled


class DialogState:
    """The state of one stream: `receive` turns messages into packets and events.

    `Start` comes with the first audio, as the agent is usually known by then; without a DialogInit, once `MAX_EARLY` of
    it waits. ``announced`` says that DialogInit has come, ``started`` that `Start` was yielded.

    Contacts speak on the track ``customer``, agents on ``agent``, and a bot on the agent's track too, unless ``bot``
    gives it a track of its own. A participant of unknown type is one of the other legs, on the track ``customer``.
    """

    def __init__(self, bot: BotTrack = "agent") -> None:
        self.announced = False
        self.started = False
        self.kind: str | None = None
        """The kind of the latest message, by the name of its field; None if it has none."""
        self._attributes: dict[str, str] = {}
        tracks = ("agent", "customer", "bot")
        self._mixers = {track: TrackMixer(track, number) for number, track in enumerate(tracks, 1)}
        self._tracks = {pb.AGENT: "agent", pb.BOT: bot}
        self._segments: dict[str, Segment] = {}
        self._awaits_init = True
        self._early: list[tuple[str, pb.AudioContent, float]] = []  # such media, and when it arrived
        self._good = self._bad = self._bad_in_a_row = 0

    @property
    def seconds(self) -> float:
        """The length of the longest track so far."""
        return max(mixer.seconds for mixer in self._mixers.values())

    @property
    def has_open_segments(self) -> bool:
        """Whether a segment has not stopped."""
        return any(not segment.stopped for segment in self._segments.values())

    def receive(self, data: bytes, now: float) -> Iterator[Result]:
        """Process one message that arrived at ``now`` (monotonic seconds). Raises `ProtocolError` to end the call."""
        try:
            event = pb.StreamEvent.FromString(data)
        except DecodeError:
            self.kind = None
            yield self._count_bad("not_protobuf")
            return
        self._bad_in_a_row = 0
        self._good += 1
        self.kind = kind = event.WhichOneof("event")
        if self._early and kind not in ("dialog_init", "segment_start"):  # starts come in a row
            yield from self._take_early()
        if kind == "segment_media":
            media = event.segment_media
            segment = self._segments.get(media.segment_id)
            if segment is None or self._awaits_init:
                yield from self._keep_early(media.segment_id, media.audio_content, now)
            else:
                yield from self._receive_media(segment, media.audio_content, now)
        elif kind == "dialog_init":
            if self.announced:
                yield Ignored("second_dialog_init")
            elif self.started:
                yield Ignored("late_dialog_init")
            else:
                self._attributes |= _attributes(event)
            self.announced, self._awaits_init = True, False
        elif kind == "segment_start":
            yield from self._start_segment(event, now)
        elif kind == "segment_stop":
            yield from self._stop_segment(event.segment_stop.segment_id)
        elif kind == "segment_info":
            what = _text(event.segment_info.event)[:32]
            segment = self._segments.get(event.segment_info.segment_id)
            yield Note("segment_reported", {"what": what, "track": segment.mixer.track if segment else ""})
        else:
            yield Ignored("unknown_event")

    def end(self, now: float) -> Iterator[Result]:
        """End the stream; yield the media that waited."""
        self._awaits_init = False
        yield from self._take_early()
        if self.announced and not self.started:  # a call without any media
            yield self._start()
        for _, content, _ in self._early:
            yield Ignored("media_without_segment", len(content.payload) / RATE)
        self._early = []
        for mixer in self._mixers.values():
            yield from mixer.flush(now)

    def _start(self) -> Start:
        self.started = True
        attributes, self._attributes = self._attributes, {}
        return Start(attributes, "mulaw", str(RATE))

    def _receive_media(self, segment: Segment, content: pb.AudioContent, now: float) -> Iterator[Result]:
        payload = content.payload
        try:
            data = segment.to_mulaw(payload)
        except BadMessage as bad:
            yield self._count_bad(bad.reason)
            return
        if not data:
            segment.skip(content.seq)
            yield Ignored("empty_media")
            return
        taken = list(segment.mixer.take(segment, segment.place(content.seq, payload), data, now))
        if not self.started:  # even without DialogInit: a nameless call is better than none
            yield self._start()
        yield from taken

    def _keep_early(self, segment_id: str, content: pb.AudioContent, now: float) -> Iterator[Result]:
        """Keep audio before DialogInit or the start of its segment, which may be late."""
        self._early.append((segment_id, content, now))
        if self._waited_enough():
            self._awaits_init = False
            yield from self._take_early()
        while self._waited_enough():
            _, oldest, _ = self._early.pop(0)
            yield Ignored("media_without_segment", len(oldest.payload) / RATE)

    def _waited_enough(self) -> bool:
        return sum(len(one.payload) for _, one, _ in self._early) > MAX_EARLY * RATE or len(self._early) > MAX_KEPT

    def _take_early(self) -> Iterator[Result]:
        """Process media that waited for segments that have started since, in order of arrival.

        Segment by segment, the later ones would look as if they had joined after the first.
        """
        early = [] if self._awaits_init else [kept for kept in self._early if kept[0] in self._segments]
        if early:
            self._early = [kept for kept in self._early if kept[0] not in self._segments]
            for segment_id, content, arrived in early:
                yield from self._receive_media(self._segments[segment_id], content, arrived)

    def _start_segment(self, event: pb.StreamEvent, now: float) -> Iterator[Result]:
        start = event.segment_start
        known = self._segments.get(start.segment_id)
        if known is not None and not known.stopped:
            yield Ignored("second_segment_start")
            return
        if known is None and len(self._segments) >= MAX_SEGMENTS and not self._forget_stopped():
            yield Ignored("too_many_segments")
            return
        mixer = self._mixers[self._tracks.get(start.participant.type, "customer")]
        again = known is not None or any(segment.mixer is mixer for segment in self._segments.values())
        segment = self._segments[start.segment_id] = Segment(mixer, _codec(start))
        mixer.join(segment, now)
        added = _participant_attributes(start)
        self._attributes = added | self._attributes
        if again or "participant_id" in added:  # a transfer, a conference, or of a type that is not known
            shown = {name: value for name, value in added.items() if name not in NUMBERS}
            yield Note("participant_joined", shown | {"track": mixer.track})

    def _stop_segment(self, segment_id: str) -> Iterator[Result]:
        segment = self._segments.get(segment_id)
        if segment is None:
            yield Ignored("stop_without_segment")
        elif segment.stopped:
            yield Ignored("second_segment_stop")
        else:
            segment.stopped = True

    def _forget_stopped(self) -> bool:
        """Remove the oldest segment that has stopped; return whether there was one."""
        stopped = next((name for name, segment in self._segments.items() if segment.stopped), None)
        return stopped is not None and self._segments.pop(stopped) is not None

    def _count_bad(self, reason: str) -> Ignored:
        self._bad += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= MAX_BAD_IN_A_ROW or (self._bad >= MIN_BAD_IN_ALL and self._bad > self._good):
            raise ProtocolError(1008, "too_many_bad_messages", f"too many messages are invalid for {SERVICE}")
        return Ignored(f"bad_message:{reason}")


def _codec(start: pb.SegmentStartEvent) -> ToMulaw:
    """Return the decoder of a segment's audio. Raises `ProtocolError` for formats that would play as noise."""
    wanted = start.audio_format
    if (wanted.rate or RATE) == RATE:
        if wanted.codec in (pb.PCMU, pb.CODEC_UNSPECIFIED):
            return from_mulaw
        if wanted.codec == pb.PCMA:
            return from_alaw
        if wanted.codec == pb.L16:
            return FromLinear()
    name = f"{_enum(pb.Codec, wanted.codec, '').upper()} at {wanted.rate or RATE} Hz"
    raise ProtocolError(1003, "unsupported_format", f"{name} is not taken: set the Start Stream node to PCMU, 8000 Hz")


def _participant_attributes(start: pb.SegmentStartEvent) -> dict[str, str]:
    """Return the attributes that a segment adds to the call, under the same names as over WebSocket."""
    kind = start.participant.type
    role = _ROLES.get(kind, "participant")
    added = {f"{role}_id": _text(start.participant.id), f"{role}_segment_id": _text(start.segment_id)}
    if start.HasField("product"):
        added["product_type"] = _enum(pb.ProductType, start.product.type, "product_type_")
        added["product_id"] = _text(start.product.id)
    return {name: value for name, value in added.items() if value}


def _attributes(event: pb.StreamEvent) -> dict[str, str]:
    """Return the attributes of a dialog, under the same names as over WebSocket; empty values are left out."""
    account, dialog = event.dialog_init.account, event.dialog_init.dialog
    known = {name: getattr(account, field) for field, name in ACCOUNT_FIELDS.items()}
    known |= {name: getattr(dialog, field) for field, name in DIALOG_FIELDS.items()}
    kind = _enum(pb.DialogType, dialog.type, "dialog_type_") if dialog.type else ""
    known |= {"session_id": event.session_id, "dialog_type": kind}
    named = sorted(dialog.attributes.items())
    uiis = [value for key, value in named if key.lower() in UII_KEYS and value]
    known["call_id"] = uiis[0] if uiis else dialog.id
    other = {f"dialog.{key}": value for key, value in named}
    return {name: value for name, value in (other | known).items() if value}


def _enum(names: Mapping[str, int] | object, value: int, prefix: str) -> str:
    try:
        return str(names.Name(value)).lower().removeprefix(prefix)  # type: ignore[union-attr]  # protobuf's wrapper
    except ValueError:  # from a newer version of the protocol
        return str(value)


def _text(value: str) -> str:
    return value[:MAX_TEXT]
