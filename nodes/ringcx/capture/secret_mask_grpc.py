"""Masking of secrets in the messages of a capture over gRPC, by the rules of `nodes.ringcx.capture.secret_mask`."""

from __future__ import annotations

from collections.abc import Container

from google.protobuf.message import DecodeError, Message

from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.capture.secret_mask import SILENCE, hide
from nodes.ringcx.credentials import MASK, SENSITIVE_NAME, Credentials

_TRACKS = {pb.CONTACT: ("customer",), pb.AGENT: ("agent",), pb.BOT: ("agent", "bot")}
"""The tracks that a participant may have, by its type; others speak on ``customer``."""

_SILENCE = {pb.PCMA: b"\xd5", pb.L16: b"\0"}
"""A silent byte by codec; mu-law otherwise."""


class GrpcMask:
    """Masks messages of one stream."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._segments: dict[str, tuple[tuple[str, ...], bytes]] = {}  # tracks and silent byte

    def message(self, data: bytes, silenced: Container[str]) -> bytes:
        """Return a message to be written; audio of the ``silenced`` tracks is silent in it."""
        try:
            event = pb.StreamEvent.FromString(data)
        except DecodeError:
            return b"\xff" * len(data) if silenced else hide(data, self._credentials)  # \xff is no message either
        kind = event.WhichOneof("event")
        if kind == "segment_media":
            if silenced and self._is_silenced(event.segment_media.segment_id, silenced):
                content = event.segment_media.audio_content
                content.payload = self._silent_byte(event) * len(content.payload)
                data = event.SerializeToString()
        elif self._mask(event):
            data = event.SerializeToString()
        if kind == "segment_start":
            start = event.segment_start
            tracks = _TRACKS.get(start.participant.type, ("customer",))
            self._segments[start.segment_id] = tracks, _SILENCE.get(start.audio_format.codec, SILENCE)
        return hide(data, self._credentials)

    def _is_silenced(self, segment: str, silenced: Container[str]) -> bool:
        tracks, _ = self._segments.get(segment, ((), b""))
        return not tracks or any(track in silenced for track in tracks)

    def _silent_byte(self, event: pb.StreamEvent) -> bytes:
        return self._segments.get(event.segment_media.segment_id, ((), SILENCE))[1]

    def _mask(self, message: Message) -> bool:
        """Mask the secrets of a message; return whether there were any."""
        masked = False
        if isinstance(message, pb.Dialog):
            for key, value in tuple(message.attributes.items()):  # an entry may move when it is set
                if SENSITIVE_NAME.search(key) or self._occurs_in(value):
                    message.attributes[key] = MASK
                    masked = True
        for field, value in message.ListFields():
            if isinstance(value, Message):
                masked = self._mask(value) or masked
            elif isinstance(value, str) and self._occurs_in(value):
                setattr(message, field.name, MASK)
                masked = True
        return masked

    def _occurs_in(self, value: str) -> bool:
        return self._credentials is not None and self._credentials.occur_in(value)
