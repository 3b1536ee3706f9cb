"""Messages of gRPC as text, as recordings hold them: protobuf's JSON form, with the names of the .proto file."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from nodes.ringcx import ringcx_grpc_pb2 as pb

NO_MESSAGE = "?"
"""Stands for bytes that are no message; it is none itself, as text or as bytes."""


def to_text(event: pb.StreamEvent) -> str:
    """Return a message as one line of JSON; fields that are unknown to the .proto file are left out."""
    return json_format.MessageToJson(event, preserving_proto_field_name=True, indent=None)


def from_bytes(data: bytes) -> str:
    """Return a message as text; `NO_MESSAGE` if it is none."""
    try:
        return to_text(pb.StreamEvent.FromString(data))
    except DecodeError:
        return NO_MESSAGE


def codecs_of(messages: Iterable[bytes]) -> dict[str, int]:
    """Return the codecs of a stream's segments, by segment, as they were first announced."""
    codecs: dict[str, int] = {}
    for data in messages:
        try:
            event = pb.StreamEvent.FromString(data)
        except DecodeError:
            continue
        if event.WhichOneof("event") == "segment_start":
            codecs.setdefault(event.segment_start.segment_id, event.segment_start.audio_format.codec)
    return codecs


def to_bytes(text: str) -> bytes:
    """Return the message of a text; `NO_MESSAGE` for any other text."""
    try:
        return json_format.Parse(text, pb.StreamEvent(), ignore_unknown_fields=True).SerializeToString()
    except json_format.ParseError:
        return NO_MESSAGE.encode()
