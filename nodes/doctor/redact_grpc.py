"""Redaction of gRPC messages before they are recorded, by the rule of `nodes.ringcx.redact`."""

from __future__ import annotations

from google.protobuf.message import DecodeError, Message

from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.credentials import MASK
from nodes.ringcx.dialog_state import UII_KEYS
from nodes.ringcx.dialog_text import NO_MESSAGE, to_text
from nodes.ringcx.redact import MAX_NAME, Redactor, meaning

FREE_TEXTS = (("Participant", "name"), ("SegmentInfoEvent", "data"))
"""Fields that may hold anything, such as a person's name; all others are ids, numbers and names of kinds."""


def redact_event(data: bytes, redactor: Redactor) -> str:
    """Return a redacted message as text; `NO_MESSAGE` if it is none. Fields that are unknown are gone."""
    try:
        event = pb.StreamEvent.FromString(data)
    except DecodeError:
        return NO_MESSAGE
    _redact(event, redactor)
    return to_text(event)


def attribute_meaning(key: str) -> str:
    """Return this project's name of a key of the dialog's attributes; empty for an unknown one."""
    return "call_id" if key.lower() in UII_KEYS else meaning(key)


def _redact(message: Message, redactor: Redactor) -> None:
    if isinstance(message, pb.Dialog):
        kept = {
            redactor.text(key[:MAX_NAME]): redactor.text(value) if attribute_meaning(key) else MASK
            for key, value in message.attributes.items()
        }
        message.attributes.clear()
        message.attributes.update(kept)
    for field, value in message.ListFields():
        if isinstance(value, Message):
            _redact(value, redactor)
        elif isinstance(value, str):
            free = (message.DESCRIPTOR.name, field.name) in FREE_TEXTS
            setattr(message, field.name, MASK if free else redactor.text(value))
