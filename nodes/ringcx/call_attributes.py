"""The attributes of a RingCX call, by transport; a test holds them against the protocols. RingCX need not send all."""

from __future__ import annotations

from collections.abc import Mapping

MAX_TEXT = 256
"""Characters of an attribute, and of its name, that are kept."""

MAX_FIELDS = 32
"""Attributes without a known name that are kept."""

WEBSOCKET_ATTRIBUTES = {
    "call_id": "the call's id (RingCX: uii)",
    "dialog_id": "the dialog's id, if the address has ?dialogId=",
    "session_id": "the agent's session within the call",
    "ani": "the caller's number",
    "dnis": "the number that was called",
    "account_id": "the RingCX account",
    "sub_account_id": "the RingCX sub-account",
    "rc_account_id": "the RingCentral account",
    "agent_id": "the agent",
    "product_type": "the kind of product, such as a queue",
    "product_id": "the product, such as the queue's number",
}
ATTRIBUTES = WEBSOCKET_ATTRIBUTES | {
    "call_id": "the call's id (RingCX: uii; over gRPC the dialog's id if it has no uii)",
    "dialog_id": "the dialog's id",
    "session_id": "the agent's session within the call, or the stream's",
    "language": "the dialog's language",
    "dialog_type": "the dialog's direction, such as inbound",
    "contact_id": "the contact who speaks first",
    "agent_id": "the agent who speaks first",
    "bot_id": "the bot that speaks first",
    "participant_id": "the first participant of another kind",
    "contact_segment_id": "the first segment of the contact",
    "agent_segment_id": "the first segment of the agent",
    "bot_segment_id": "the first segment of the bot",
    "participant_segment_id": "the first segment of another kind",
}
CALL_IDS = (
    "call_id",
    "dialog_id",
    "session_id",
    "contact_segment_id",
    "agent_segment_id",
    "ani",
    "dnis",
    "contact_id",
)
"""The attributes by which people ask for a call."""
PERSONAL_IDS = ("ani", "dnis", "contact_id")
"""The ids that identify a person."""


def limit(attributes: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Return attributes with at most `MAX_TEXT` characters and `MAX_FIELDS` unknown names, and how many were not whole.

    Unknown names have a dot: see `nodes.ringcx.messages.attributes`.
    """
    unknown = [name for name in attributes if "." in name]
    beyond = set(unknown[MAX_FIELDS:])
    kept = {name[:MAX_TEXT]: value[:MAX_TEXT] for name, value in attributes.items() if name not in beyond}
    long = sum(len(name) > MAX_TEXT or len(attributes[name]) > MAX_TEXT for name in attributes.keys() - beyond)
    return kept, len(beyond) + long
