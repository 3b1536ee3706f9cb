"""The events and drop reasons of RingCX's listeners: of their ports, and of calls, which may be recorded ones."""

from __future__ import annotations

from flowcore.events import DUPLICATE, EventType, Reason

PORT_EVENTS = (
    EventType("connection_failed", "An error in the listener's code ended a connection.", "error", cause="The error."),
    EventType("port_unprotected", "Callers need no credentials.", "warning", advice=""),
    EventType(
        "caller_rejected",
        "Callers were rejected; at most one event a second for each reason.",
        "warning",
        reason="``wrong_secret``, ``no_secret``, ``foreign_network``, ``foreign_origin``, ``unlisted_account``, "
        "``too_many_of_address``, ``no_trusted_proxy``, ``proxy_contradicts_itself``, ``bad_tls``, ``no_page_access``, "
        "``open_files``.",
        times="How many.",
        address="The last one's address.",
    ),
    EventType("secret_found", "The secret came with the call (``secret_mode: observe``).", place="Where."),
    EventType("secret_missing", "The secret did not come with the call (``secret_mode: observe``)."),
)
CALL_EVENTS = (
    EventType("protocol_violated", "A call was ended: its messages are not RingCX's.", "warning", reason="", detail=""),
    EventType("start_missing", "A connection ended without a Start.", reason=""),
    EventType(
        "pace_exceeded",
        "Audio comes faster than real time, perhaps at another rate.",
        "warning",
        speed="Times real time.",
    ),
)
REASONS = (
    Reason("bad_message", "A message that is not RingCX's; the detail says why."),
    Reason("unknown_event", "A message of an unknown kind: the protocol may have grown."),
)

WEBSOCKET_EVENTS = (
    *CALL_EVENTS,
    EventType(
        "duration_mismatched",
        "The duration that Stop announced is not that of the audio.",
        announced="Announced seconds.",
        received="Received seconds.",
    ),
)
WEBSOCKET_REASONS = (
    *REASONS,
    Reason("media_before_start", "Media before Start."),
    Reason("stop_before_start", "Stop before Start."),
    Reason("late_connected", "Connected after Start."),
    Reason("second_start", "Another Start."),
)

GRPC_EVENTS = (
    *CALL_EVENTS,
    EventType("segment_reported", "RingCX told something of a segment.", what="``hold``, ``unhold``, …", track=""),
    EventType(
        "participant_joined",
        "Another participant of a side, or one of an unknown type, speaks from now on.",
        track="",
        contact_id="Its id, by its type.",
        agent_id="The same.",
        bot_id="The same.",
        participant_id="The same.",
        contact_segment_id="The id of its segment, by its type.",
        agent_segment_id="The same.",
        bot_segment_id="The same.",
        participant_segment_id="The same.",
        product_type="RingCX's product.",
        product_id="The id of its product.",
    ),
)
GRPC_REASONS = (
    *REASONS,
    DUPLICATE,
    Reason("second_dialog_init", "Another DialogInit."),
    Reason("second_segment_start", "A SegmentStart of a segment that runs."),
    Reason("second_segment_stop", "A SegmentStop of a stopped segment."),
    Reason("stop_without_segment", "A SegmentStop of an unknown segment."),
    Reason("too_many_segments", "More segments at once than a call may have."),
    Reason("media_without_segment", "Audio whose segment did not start."),
    Reason("mixed_too_late", "Audio of a second speaker that waited too long to be mixed."),
)
