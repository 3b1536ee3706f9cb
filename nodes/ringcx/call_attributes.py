"""The attributes of a RingCX call, by transport; a test holds them against the protocols. RingCX need not send all."""

WEBSOCKET_ATTRIBUTES = {
    "call_id": "the call's id (RingCX: uii)",
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
GRPC_ATTRIBUTES = WEBSOCKET_ATTRIBUTES | {
    "call_id": "the dialog's id",
    "session_id": "the stream's session",
    "language": "the dialog's language",
    "dialog_type": "the dialog's direction, such as inbound",
    "contact_id": "the contact who speaks first",
    "agent_id": "the agent who speaks first",
    "bot_id": "the bot that speaks first",
    "participant_id": "the first participant of another kind",
}
