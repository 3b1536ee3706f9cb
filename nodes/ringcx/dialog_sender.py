"""The sender's side of a RingCX gRPC stream: writes the messages that RingCX would send."""

from __future__ import annotations

from collections.abc import Mapping

from nodes.audio.g711 import RATE
from nodes.ringcx import ringcx_grpc_pb2 as pb

SERVICE = "ringcentral.ringcx.streaming.v1beta2.Streaming"
METHOD = f"/{SERVICE}/Stream"

CHUNK = 800
"""Bytes of a message: 100 ms of mu-law, as RingCX sends it today."""

ACCOUNT_FIELDS = {"id": "account_id", "sub_account_id": "sub_account_id", "rc_account_id": "rc_account_id"}
DIALOG_FIELDS = {"id": "dialog_id", "ani": "ani", "dnis": "dnis", "language": "language"}
"""The fields of `pb.Account` and `pb.Dialog`, and the attributes that they are."""

UII = "uii"
"""The key in `pb.Dialog.attributes` of the call's id, which `pb.Dialog.id` is not."""


class DialogSender:
    """The messages of one dialog, with a segment for each of ``agent`` and ``customer``."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes
        self._session = attributes.get("session_id", "")
        self._seq: dict[str, int] = {}

    def dialog_init(self) -> bytes:
        other = dict(self._attributes)
        account = {field: other.pop(name, "") for field, name in ACCOUNT_FIELDS.items()}
        known = {field: other.pop(name) for field, name in DIALOG_FIELDS.items() if name in other}
        other.pop("session_id", "")
        if call_id := other.pop("call_id", ""):
            other[UII] = call_id
            known.setdefault("id", f"s-v-{call_id}")  # RingCX's own dialog ids look like this
        dialog = pb.Dialog(type=pb.INBOUND, attributes=other, **known)
        return self._event(dialog_init=pb.DialogInitEvent(account=pb.Account(**account), dialog=dialog))

    def segment_start(self, track: str, codec: int = pb.PCMU, participant: int | None = None) -> bytes:
        """Write a SegmentStart; ``track`` is its id. Raises `KeyError` for another track without ``participant``."""
        kind = {"agent": pb.AGENT, "customer": pb.CONTACT}[track] if participant is None else participant
        return self._event(
            segment_start=pb.SegmentStartEvent(
                segment_id=track,
                participant=pb.Participant(id=track, type=kind),  # type: ignore[arg-type]  # any number is legal
                audio_format=pb.AudioFormat(codec=codec, rate=RATE, ptime=100),  # type: ignore[arg-type]
            )
        )

    def media(self, track: str, payload: bytes, seq: int | None = None) -> bytes:
        """Write a SegmentMedia; ``seq`` replaces the next number of the segment, from 1."""
        self._seq[track] = self._seq.get(track, 0) + 1 if seq is None else seq
        content = pb.AudioContent(payload=payload, seq=self._seq[track], duration=len(payload) * 1000 // RATE)
        return self._event(segment_media=pb.SegmentMediaEvent(segment_id=track, audio_content=content))

    def info(self, track: str, event: str) -> bytes:
        return self._event(segment_info=pb.SegmentInfoEvent(segment_id=track, event=event))

    def segment_stop(self, track: str) -> bytes:
        return self._event(segment_stop=pb.SegmentStopEvent(segment_id=track))

    def _event(self, **event: object) -> bytes:
        return pb.StreamEvent(session_id=self._session, **event).SerializeToString()  # type: ignore[arg-type]
