"""The events and drop reasons of RingCX's listeners: of their ports, and of calls, which may be recorded ones."""

from __future__ import annotations

from flowcore.events import DUPLICATE, FILE_REPAIRED, REPAIR_FAILED, EventType, Reason, ThrottledEventType
from nodes.net.certificate_dates import CERTIFICATE_EVENT
from nodes.ringcx.access_policy import ADVICE

PORT_EVENTS = (
    CERTIFICATE_EVENT,
    ThrottledEventType("connection_failed", "An error in the listener's code ended a connection.", "error", cause=""),
    EventType("port_unprotected", "Callers need no credentials.", "warning", advice=""),
    ThrottledEventType(
        "caller_rejected",
        "Connections were turned away; at most one event a second for each reason.",
        "warning",
        reason=", ".join(f"``{reason}``" for reason in sorted(ADVICE)) + ".",
        address="The latest one's address.",
        detail="",
        advice="",
    ),
    EventType("secret_found", "The secret came with the call (``secret_mode: observe``).", place="Where."),
    EventType("secret_missing", "The secret did not come with the call (``secret_mode: observe``)."),
    EventType("capture_opened", "The messages of a call are being written to a file for ``flowcore replay``.", path=""),
    EventType(
        "capture_closed",
        "A capture has ended; a warning if it is not whole. The call is not affected.",
        path="",
        reason="Why: ``complete`` with the connection, ``stopped`` by an operator or the end of the process, ``size``, "
        "``length``, ``disk_full``, ``disk_failed``, ``disk_slow``.",
        messages="How many are in the file.",
        bytes="Its size.",
    ),
    FILE_REPAIRED,
    REPAIR_FAILED,
)
CALL_EVENTS = (
    ThrottledEventType(
        "protocol_violated",
        "A call was ended: its messages are not RingCX's.",
        "warning",
        reason="",
        detail="",
        address="",
        advice="",
    ),
    ThrottledEventType(
        "start_missing",
        "Connections ended without a Start; at most one event a second for each reason.",
        "warning",
        reason="How: ``no_start`` after the time limit ``start``, ``peer_closed``, ``peer_lost``, …",
        detail="What came instead: how many messages of the latest connection were ignored, and why.",
        address="The latest one's address.",
        advice="",
    ),
    EventType(
        "pace_exceeded",
        "Audio comes faster than real time, perhaps at another rate.",
        "warning",
        speed="Times real time.",
    ),
)
REASONS = (
    Reason("bad_message", "A message that is not RingCX's; the detail says why.", lost=False),
    Reason("empty_media", "Media without audio, of a party on hold.", lost=False),
    Reason("unknown_event", "A message of an unknown kind: the protocol may have grown.", lost=False),
    Reason("attributes_cut", "Attributes of unknown name beyond 32, or characters of one beyond 256.", lost=False),
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
    Reason(
        "repaired", "An error that was left out of a message; the rest was taken. The detail says which.", lost=False
    ),
    Reason("media_before_start", "Media before Start."),
    Reason("stop_before_start", "Stop before Start.", lost=False),
    Reason("late_connected", "Connected after Start.", lost=False),
    Reason("second_start", "Another Start.", lost=False),
)

GRPC_EVENTS = (
    *CALL_EVENTS,
    ThrottledEventType(
        "segment_reported", "RingCX told something of a segment.", what="``hold``, ``unhold``, …", track=""
    ),
    ThrottledEventType(
        "participant_joined",
        "Another participant of a side, or one of an unknown type, speaks from now on.",
        track="",
        agent_id="Its id, by its type; that of a contact or of an unknown type may be a phone number, and is not here.",
        bot_id="The same.",
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
    Reason("second_dialog_init", "Another DialogInit.", lost=False),
    Reason("late_dialog_init", "A DialogInit after 2 s of audio, when the call had begun without its ids.", lost=False),
    Reason("second_segment_start", "A SegmentStart of a segment that runs.", lost=False),
    Reason("second_segment_stop", "A SegmentStop of a stopped segment.", lost=False),
    Reason("stop_without_segment", "A SegmentStop of an unknown segment.", lost=False),
    Reason("too_many_segments", "More segments at once than a call may have.", lost=False),
    Reason("media_without_segment", "Audio whose segment did not start."),
    Reason("handover", "Silence between two participants of a side.", lost=False),
    Reason("mixed_too_late", "Audio of a second speaker that waited too long to be mixed."),
)
