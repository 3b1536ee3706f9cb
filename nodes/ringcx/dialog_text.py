"""Messages of gRPC as text, as recordings hold them: protobuf's JSON form, with the names of the .proto file."""

from __future__ import annotations

from google.protobuf import json_format

from nodes.ringcx import ringcx_grpc_pb2 as pb

NO_MESSAGE = "?"
"""Stands for bytes that are no message; it is none itself, as text or as bytes."""


def to_text(event: pb.StreamEvent) -> str:
    """Return a message as one line of JSON; fields that are unknown to the .proto file are left out."""
    return json_format.MessageToJson(event, preserving_proto_field_name=True, indent=None)


def to_bytes(text: str) -> bytes:
    """Return the message of a text; `NO_MESSAGE` for any other text."""
    try:
        return json_format.Parse(text, pb.StreamEvent(), ignore_unknown_fields=True).SerializeToString()
    except json_format.ParseError:
        return NO_MESSAGE.encode()
