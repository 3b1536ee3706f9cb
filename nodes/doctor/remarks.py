"""Remarks on the facts about a call: what the listener would refuse or be unsure of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nodes.audio.g711 import RATE
from nodes.doctor.probe import INTERRUPTED
from nodes.ringcx.messages import TRACKS

GRPC_EVENTS = {"dialog_init", "segment_start", "segment_media", "segment_info", "segment_stop"}

Facts = Mapping[str, Any]

MIN_PACED = 5.0
"""Seconds of a party's audio from which its pace gets a remark: a stall at the start of a short call means nothing."""

PACE_TOLERANCE = 0.1
"""Difference from real time above which the pace of audio gets a remark."""


def remarks(facts: Facts) -> list[str]:
    """Return the facts that the listener would refuse or be unsure of; empty for a call as documented."""
    return list(_remarks(facts))


def _remarks(facts: Facts) -> Iterator[str]:
    secret, media, end = facts["secret"], facts["media"], facts["end"]
    if secret["known"] and not secret["places"]:
        yield "the secret of RINGCX_SECRET was not found: `ringcx` with secret_mode require would refuse this call"
    yield from _websocket_remarks(facts) if facts["transport"] == "websocket" else _grpc_remarks(facts)
    for reason, count in facts["messages"]["not_ringcx"].items():
        yield f"{count} messages do not follow the protocol ({reason}): `ringcx` counts and ignores them"
    if not media:
        yield "no audio came"
    for name, party in media.items():
        if party["pace"] is not None and party["seconds"] >= MIN_PACED and abs(party["pace"] - 1) > PACE_TOLERANCE:
            yield f"{name} sent {party['pace']} s of audio in a second: is it {RATE} Hz, was the network stuck?"
    if end and end["how"] == "peer_lost":
        yield "the connection was lost, not closed"
    if end and end["how"] == INTERRUPTED:
        yield "the doctor was stopped before the call ended: this report covers the beginning of the call"


def _websocket_remarks(facts: Facts) -> Iterator[str]:
    media, form = facts["media"], facts["format"]
    events = {name.lower() for name in facts["messages"]["events"]}
    if "start" not in events:
        yield "no Start came: `ringcx` ignores audio before it"
    for name in sorted(events - {"connected", "start", "media", "stop"}):
        yield f"unknown event {name}: `ringcx` counts and ignores it"
    if form and (form["rate"].partition(".")[0] != str(RATE) or "law" not in (form["encoding"].lower() or "law")):
        yield f"the audio is announced as {form['encoding']} at {form['rate']} Hz: `ringcx` accepts mu-law at {RATE} Hz"
    for perspective in (name for name in TRACKS if media and name not in media):
        yield f"no audio of the {TRACKS[perspective]} ({perspective}) came"
    if facts["sequence"]["counts"].startswith("neither"):
        yield "sequence ids count in a way that `ringcx` does not know: order and loss cannot be determined"
    if facts["stop"]["count"] < len(media):
        yield "fewer Stops than parties came: `ringcx` ends such a call when it closes, or 2 s after one Stop"
    if facts["stop"]["durations"] and facts["stop"]["unit"] is None:
        yield "the unit of Stop's duration is unclear from this call"


def _grpc_remarks(facts: Facts) -> Iterator[str]:
    events, segments = facts["messages"]["events"], facts["segments"]
    if "dialog_init" not in events:
        yield "no dialog_init came: `ringcx` takes the call without any id"
    elif not facts["has_uii"]:
        yield "the dialog has no attribute uii: its own id is the call id, and no page finds the call by its UII"
    if set(events) - GRPC_EVENTS:
        yield "unknown events came: `ringcx` counts and ignores them"
    if facts["other_segments"]:
        yield f"{facts['other_segments']} messages are of further segments, which `ringcx` does not take"
    for segment in segments:
        if segment["started"] is None and segment["name"] in facts["media"]:
            yield f"segment {segment['name']} has audio and no start: `ringcx` drops its audio"
        if segment["codec"] not in (None, "CODEC_UNSPECIFIED", "PCMU", "PCMA", "L16") or segment["rate"] not in (
            None,
            RATE,
        ):
            yield f"segment {segment['name']} is {codec(segment)}: `ringcx` refuses such a call; set PCMU"
    for role in ("agent", "contact"):
        if facts["media"] and not any(name.endswith(role) for name in facts["media"]):
            yield f"no audio of the {role} came: is Segment Streaming checked in the Start Stream node?"
    if facts["end"] and facts["end"]["how"] == "cancelled" and facts["stop"]["count"] < len(segments):
        yield "the stream was cancelled before all segments had stopped"


def codec(segment: Facts) -> str:
    """Return the format of a segment's audio."""
    if segment["codec"] is None:
        return "no audio format"
    return f"{segment['codec']} at {segment['rate']} Hz, {segment['ptime_ms']} ms a message"
