"""RingCX call streaming over gRPC without any I/O: what the events of one stream mean, and which may come when.

`Dialog` is the receiver's side and comes to the same as `nodes.ringcx.protocol.Call`: a `Start`, packets of two
tracks, and what is ignored. `Teller` writes the messages that RingCX would send. The messages' classes are made of
``ringcx_grpc.proto`` by ``make proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec
from google.protobuf.message import DecodeError

from flowcore import BadMessage, Packet
from nodes.audio.codecs import FromLinear, ToMulaw, from_alaw, from_mulaw
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.protocol import DOUBT, FIELD_LIMIT, PATIENCE, RATE, TEXT_LIMIT, Broken, Ignored, Start
from nodes.ringcx.segments import Segment, Side

SERVICE = "ringcentral.ringcx.streaming.v1beta2.Streaming"
METHOD = f"/{SERVICE}/Stream"

CHUNK = 800
"""Bytes of a message: 100 ms of mu-law, as RingCX sends it today."""

SEGMENTS = 64
"""Participants of a dialog that are remembered."""

EARLY = 2.0
"""Seconds of audio that wait for the start of their segment."""

BotTrack = Literal["agent", "bot"]
_NAMES = {pb.CONTACT: "contact", pb.AGENT: "agent", pb.BOT: "bot"}


class Note(msgspec.Struct, frozen=True):
    """Something that happened to a participant: ``what`` by a short name, never a person's name or free text."""

    what: str
    data: dict[str, str]


Result = Packet | Start | Note | Ignored


class Dialog:
    """The receiver's side of one stream: feed it messages, it says what they come to.

    `Start` comes with the first audio, as by then it is usually known who the agent is; ``announced`` says that the
    dialog has begun, ``started`` that `Start` was told.

    Contacts speak on the track ``customer``, agents on ``agent``, and a bot on the agent's side too, unless ``bot``
    gives it a track of its own. Who is of no known type is one of the other legs, and those are the customer's side.
    """

    def __init__(self, bot: BotTrack = "agent") -> None:
        self.announced = False
        self.started = False
        self._attributes: dict[str, str] = {}
        self._sides = {track: Side(track, number) for number, track in enumerate(("agent", "customer", "bot"), 1)}
        self._tracks = {pb.AGENT: "agent", pb.BOT: bot}
        self._segments: dict[str, Segment] = {}
        self._early: list[tuple[str, pb.AudioContent, float]] = []  # media whose segment has not started, and arrival
        self._good = self._bad = self._row = 0

    @property
    def seconds(self) -> float:
        """Length of the longest track so far."""
        return max(side.seconds for side in self._sides.values())

    @property
    def speaking(self) -> bool:
        """Whether a segment has not stopped."""
        return any(not segment.stopped for segment in self._segments.values())

    def receive(self, data: bytes, now: float) -> Iterator[Result]:
        """One message that arrived at ``now`` (monotonic seconds). Raises `Broken` when the call cannot go on."""
        try:
            event = pb.StreamEvent.FromString(data)
        except DecodeError:
            yield self._count_bad("not_protobuf")
            return
        self._row = 0
        self._good += 1
        kind = event.WhichOneof("event")
        if self._early and kind not in ("dialog_init", "segment_start"):  # starts come in a row
            yield from self._hear_early()
        if kind == "segment_media":
            yield from self._media(event, now)
        elif kind == "dialog_init":
            if self.announced:
                yield Ignored("second_dialog_init")
            else:
                self.announced = True
                self._attributes |= _attributes(event)
        elif kind == "segment_start":
            yield from self._begin(event)
        elif kind == "segment_stop":
            yield from self._stop(event.segment_stop.segment_id)
        elif kind == "segment_info":
            what = _text(event.segment_info.event)[:32]
            segment = self._segments.get(event.segment_info.segment_id)
            yield Note("segment_info", {"what": what, "track": segment.side.track if segment else ""})
        else:
            yield Ignored("unknown_event")

    def end(self, now: float) -> Iterator[Result]:
        """The stream is over: what waited."""
        yield from self._hear_early()
        if self.announced and not self.started:  # a call in which nobody spoke
            yield self._start()
        for _, content, _ in self._early:
            yield Ignored("media_without_segment", len(content.payload) / RATE)
        self._early = []
        for side in self._sides.values():
            packet = side.rest(now)
            if packet is not None:
                yield packet

    def _start(self) -> Start:
        self.started = True
        return Start(self._attributes, "mulaw", str(RATE))

    def _media(self, event: pb.StreamEvent, now: float) -> Iterator[Result]:
        media = event.segment_media
        segment = self._segments.get(media.segment_id)
        if segment is None:
            yield from self._keep(media.segment_id, media.audio_content, now)
            return
        yield from self._speak(segment, media.audio_content, now)

    def _speak(self, segment: Segment, content: pb.AudioContent, now: float) -> Iterator[Result]:
        payload = content.payload
        try:
            data = segment.to_mulaw(payload)
        except BadMessage as bad:
            yield self._count_bad(bad.reason)
            return
        if not data:
            yield self._count_bad("empty_media")
            return
        taken = segment.side.take(segment, segment.place(content.seq, payload), data, now)
        if not self.started:  # also without DialogInit, which nothing overtakes: better a nameless call than none
            yield self._start()
        if isinstance(taken, Packet):
            yield taken
        elif taken is not None:
            yield Ignored(taken, len(data) / RATE)

    def _keep(self, segment_id: str, content: pb.AudioContent, now: float) -> Iterator[Ignored]:
        """Audio of a segment that has not started: its start may be late."""
        self._early.append((segment_id, content, now))
        while sum(len(one.payload) for _, one, _ in self._early) > EARLY * RATE or len(self._early) > 100:
            _, oldest, _ = self._early.pop(0)
            yield Ignored("media_without_segment", len(oldest.payload) / RATE)

    def _hear_early(self) -> Iterator[Result]:
        """What waited for segments that have started, in the order in which it came: one party's alone would be read
        as if the others had joined after it.
        """
        early = [kept for kept in self._early if kept[0] in self._segments]
        if early:
            self._early = [kept for kept in self._early if kept[0] not in self._segments]
            for segment_id, content, arrived in early:
                yield from self._speak(self._segments[segment_id], content, arrived)

    def _begin(self, event: pb.StreamEvent) -> Iterator[Result]:
        start = event.segment_start
        known = self._segments.get(start.segment_id)
        if known is not None and not known.stopped:
            yield Ignored("second_segment_start")
            return
        if known is None and len(self._segments) >= SEGMENTS and not self._forget():
            yield Ignored("too_many_segments")
            return
        side = self._sides[self._tracks.get(start.participant.type, "customer")]
        again = known is not None or any(segment.side is side for segment in self._segments.values())
        self._segments[start.segment_id] = Segment(side, _codec(start))
        who = _who(start)
        self._attributes = who | self._attributes
        if again or "participant_id" in who:  # a transfer, a conference, or of a type that is not known
            yield Note("participant", who | {"track": side.track})

    def _stop(self, segment_id: str) -> Iterator[Result]:
        segment = self._segments.get(segment_id)
        if segment is None:
            yield Ignored("stop_without_segment")
        elif segment.stopped:
            yield Ignored("second_segment_stop")
        else:
            segment.stopped = True

    def _forget(self) -> bool:
        """Make room by the oldest segment that has stopped."""
        stopped = next((name for name, segment in self._segments.items() if segment.stopped), None)
        return stopped is not None and self._segments.pop(stopped) is not None

    def _count_bad(self, reason: str) -> Ignored:
        self._bad += 1
        self._row += 1
        if self._row >= PATIENCE or (self._bad >= DOUBT and self._bad > self._good):
            raise Broken(1008, "too_many_bad_messages", f"too many messages are none of {SERVICE}")
        return Ignored(f"bad_message:{reason}")


def _codec(start: pb.SegmentStartEvent) -> ToMulaw:
    """How to read a segment's audio. Other formats would be played as noise or too fast: they are refused by name."""
    wanted = start.audio_format
    if (wanted.rate or RATE) == RATE:
        if wanted.codec in (pb.PCMU, pb.CODEC_UNSPECIFIED):
            return from_mulaw
        if wanted.codec == pb.PCMA:
            return from_alaw
        if wanted.codec == pb.L16:
            return FromLinear()
    name = f"{_enum(pb.Codec, wanted.codec, '').upper()} at {wanted.rate or RATE} Hz"
    raise Broken(1003, "unsupported_format", f"{name} is not taken: set the Start Stream node to PCMU, 8000 Hz")


def _who(start: pb.SegmentStartEvent) -> dict[str, str]:
    """What a segment adds to what is known of the call, by the names that it has over WebSocket too."""
    kind = start.participant.type
    who = {f"{_NAMES.get(kind, 'participant')}_id": _text(start.participant.id)}
    if start.HasField("product"):
        who["product_type"] = _enum(pb.ProductType, start.product.type, "product_type_")
        who["product_id"] = _text(start.product.id)
    return {name: value for name, value in who.items() if value}


def _attributes(event: pb.StreamEvent) -> dict[str, str]:
    """What is said of a call, by the names that it has over WebSocket too; empty values are left out."""
    account, dialog = event.dialog_init.account, event.dialog_init.dialog
    known = {
        "call_id": dialog.id,
        "session_id": event.session_id,
        "ani": dialog.ani,
        "dnis": dialog.dnis,
        "language": dialog.language,
        "dialog_type": _enum(pb.DialogType, dialog.type, "dialog_type_") if dialog.type else "",
        "account_id": account.id,
        "sub_account_id": account.sub_account_id,
        "rc_account_id": account.rc_account_id,
    }
    other = {f"dialog.{key}": value for key, value in sorted(dialog.attributes.items())[:FIELD_LIMIT]}
    return {_text(name): _text(value) for name, value in (other | known).items() if value}


def _enum(names: Mapping[str, int] | object, value: int, prefix: str) -> str:
    try:
        return str(names.Name(value)).lower().removeprefix(prefix)  # type: ignore[union-attr]  # protobuf's wrapper
    except ValueError:  # from a newer version of the protocol
        return str(value)


def _text(value: str) -> str:
    return value[:TEXT_LIMIT]


class Teller:
    """The sender's side: the messages of one dialog, with a segment for each of ``agent`` and ``customer``."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes
        self._session = attributes.get("session_id", "")
        self._seq: dict[str, int] = {}

    def dialog_init(self) -> bytes:
        said = dict(self._attributes)
        account = {ours: said.pop(name, "") for ours, name in _ACCOUNT.items()}
        dialog = {ours: said.pop(name) for ours, name in _DIALOG.items() if name in said}
        said.pop("session_id", "")
        told = pb.Dialog(type=pb.INBOUND, attributes=said, **dialog)
        return self._event(dialog_init=pb.DialogInitEvent(account=pb.Account(**account), dialog=told))

    def segment_start(self, track: str, codec: int = pb.PCMU, participant: int | None = None) -> bytes:
        """``track`` is the segment's id too. Raises `KeyError` for one without a known ``participant``."""
        kind = {"agent": pb.AGENT, "customer": pb.CONTACT}[track] if participant is None else participant
        return self._event(
            segment_start=pb.SegmentStartEvent(
                segment_id=track,
                participant=pb.Participant(id=track, type=kind),  # type: ignore[arg-type]  # any number is legal
                audio_format=pb.AudioFormat(codec=codec, rate=RATE, ptime=100),  # type: ignore[arg-type]
            )
        )

    def media(self, track: str, payload: bytes, seq: int | None = None) -> bytes:
        """A chunk; ``seq`` instead of the next number of its segment, from 1."""
        self._seq[track] = self._seq.get(track, 0) + 1 if seq is None else seq
        content = pb.AudioContent(payload=payload, seq=self._seq[track], duration=len(payload) * 1000 // RATE)
        return self._event(segment_media=pb.SegmentMediaEvent(segment_id=track, audio_content=content))

    def info(self, track: str, event: str) -> bytes:
        return self._event(segment_info=pb.SegmentInfoEvent(segment_id=track, event=event))

    def segment_stop(self, track: str) -> bytes:
        return self._event(segment_stop=pb.SegmentStopEvent(segment_id=track))

    def _event(self, **event: object) -> bytes:
        return pb.StreamEvent(session_id=self._session, **event).SerializeToString()  # type: ignore[arg-type]


_ACCOUNT = {"id": "account_id", "sub_account_id": "sub_account_id", "rc_account_id": "rc_account_id"}
_DIALOG = {"id": "call_id", "ani": "ani", "dnis": "dnis", "language": "language"}
