"""The doctor's report as a page of text, with remarks on facts that need attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nodes.audio.g711 import RATE
from nodes.doctor.probe import INTERRUPTED
from nodes.net.connection import CLOSE_TIMEOUT
from nodes.ringcx.messages import TRACKS

Facts = Mapping[str, Any]

PACE_TOLERANCE = 0.1
"""Difference from real time above which the pace of audio gets a remark."""


def page(calls: Sequence[Facts], other_requests: Sequence[str]) -> str:
    """Return the report on all calls, and on other requests."""
    parts = [_call(number, facts) for number, facts in enumerate(calls, 1)]
    if other_requests:
        parts.append("Not a call\n" + "\n".join(f"  {line}" for line in other_requests))
    return "\n\n".join(parts)


def remarks(facts: Facts) -> list[str]:
    """Return the facts that `ringcx` would refuse or be unsure of; empty for a call as documented."""
    return list(_remarks(facts))


def _remarks(facts: Facts) -> Iterator[str]:
    path, secret, media = facts["request"]["path"], facts["secret"], facts["media"]
    if path != "/":
        yield f"it asked for the path {path}: `ringcx` accepts calls only at /"
    if secret["known"] and not secret["places"]:
        yield "the secret of RINGCX_SECRET was not found: with secret_mode require, `ringcx` would refuse this call"
    events = {name.lower() for name in facts["messages"]["events"]}
    if "start" not in events:
        yield "no Start came: `ringcx` ignores audio before it"
    for name in sorted(events - {"connected", "start", "media", "stop"}):
        yield f"unknown event {name}: `ringcx` counts and ignores it"
    for reason, count in facts["messages"]["not_ringcx"].items():
        yield f"{count} messages do not follow the protocol ({reason}): `ringcx` counts and ignores them"
    form = facts["format"]
    if form and (form["rate"].partition(".")[0] != str(RATE) or "law" not in (form["encoding"].lower() or "law")):
        yield f"the audio is announced as {form['encoding']} at {form['rate']} Hz: `ringcx` accepts mu-law at {RATE} Hz"
    if not media:
        yield "no audio came"
    for perspective in (name for name in TRACKS if media and name not in media):
        yield f"no audio of the {TRACKS[perspective]} ({perspective}) came"
    for perspective, party in media.items():
        if party["pace"] is not None and abs(party["pace"] - 1) > PACE_TOLERANCE:
            yield f"{perspective} sent {party['pace']} s of audio in a second: is it {RATE} Hz, was the network stuck?"
    if facts["sequence"]["counts"].startswith("neither"):
        yield "sequence ids count in a way that `ringcx` does not know: order and loss cannot be determined"
    if facts["stop"]["count"] < len(media):
        yield "fewer Stops than parties came: `ringcx` ends such a call when it closes, or 2 s after one Stop"
    if facts["stop"]["durations"] and facts["stop"]["unit"] is None:
        yield "the unit of Stop's duration is unclear from this call"
    if facts["end"] and facts["end"]["how"] == "peer_lost":
        yield "the connection was lost, not closed"
    if facts["end"] and facts["end"]["how"] == INTERRUPTED:
        yield "the doctor was stopped before the call ended: this report covers the beginning of the call"


def _call(number: int, facts: Facts) -> str:
    lines = [f"Call {number}"]
    for title, entries in (
        ("Request", _request(facts["request"])),
        ("Secret", _secret(facts["secret"])),
        ("Messages", _messages(facts)),
        ("Audio", _audio(facts)),
        ("End", _end(facts)),
    ):
        rows = list(entries)
        width = max(len(name) for name, _ in rows)
        lines += ["", f"  {title}", *(f"    {name:<{width}}  {value}".rstrip() for name, value in rows)]
    lines += ["", "  Remarks"]
    lines += [f"    - {remark}" for remark in remarks(facts)] or ["    none: this call is as `ringcx` expects it"]
    if facts.get("recording"):
        lines += ["", f"  Recording: {facts['recording']}"]
    return "\n".join(lines)


def _request(request: Facts) -> Iterator[tuple[str, str]]:
    yield "from", request["from"]
    yield "path", request["path"]
    for entry in request["query"]:
        means = f" = {entry['means']}" if entry["means"] else " (not known)"
        yield f"? {entry['name'] or '(no name)'}", entry["value"] + means
    if not request["query"]:
        yield "query", "(none)"
    for entry in request["headers"]:
        yield f"{entry['name']}:", entry["value"]


def _secret(secret: Facts) -> Iterator[tuple[str, str]]:
    if not secret["known"]:
        yield "found", "not searched for: set RINGCX_SECRET to the profile's secret"
    for place in secret["places"]:
        yield "found at", place
    if secret["known"] and not secret["places"]:
        yield "found", "nowhere"
    for name in secret["fields_named_so"]:
        yield "may be one", name


def _messages(facts: Facts) -> Iterator[tuple[str, str]]:
    messages = facts["messages"]
    yield "opening", ", ".join(messages["opening"]) or "(nothing came)"
    for name, seconds in messages["seconds_to_first"].items():
        yield f"first {name}", f"after {seconds} s"
    yield "how many", _counts(messages["events"])
    if messages["not_ringcx"]:
        yield "not RingCX's", _counts(messages["not_ringcx"])
    for event, fields in messages["fields"].items():
        for name, value in fields.items():
            yield f"{event}: {name}", value


def _audio(facts: Facts) -> Iterator[tuple[str, str]]:
    for perspective, party in facts["media"].items():
        pace = "" if party["pace"] is None else f", {party['pace']} s in a second"
        yield perspective, f"{party['messages']} messages, {party['seconds']} s{pace}"
        yield "  bytes a message", _counts(party["bytes_per_message"])
        sequence_ids = f"{party['first_sequence_id']} to {party['last_sequence_id']}"
        yield "  sequence ids", f"{sequence_ids}, steps {_counts(party['steps'])}"
        if party["pauses_s"]:
            yield "  pauses", ", ".join(f"{pause} s" for pause in party["pauses_s"])
    sequence = facts["sequence"]
    if not facts["media"]:
        yield "audio", "none came"
    else:
        yield "sequence ids count", f"{sequence['counts']}; written as {sequence['written_as']}"


def _end(facts: Facts) -> Iterator[tuple[str, str]]:
    stop, end = facts["stop"], facts["end"]
    durations = ", ".join(f"{duration:g}" for duration in stop["durations"])
    unit = f", in {stop['unit']}" if stop["unit"] else ""
    yield "Stops", f"{stop['count']}" + (f", duration {durations}{unit}" if durations else "")
    if not end:
        return
    code = f" with {end['code']}" if end["code"] is not None else " without a code"
    after = end["seconds_after_last_stop"]
    ways = {"peer_lost": "lost", "peer_broke_protocol": "broken off, as it violated the WebSocket protocol"}
    yield (
        ways.get(end["how"], "closed"),
        f"by the {end['by']}{code}" + (f", {after} s after the last Stop" if after is not None else ""),
    )
    if after is not None and after > CLOSE_TIMEOUT:
        yield "", f"(`ringcx` waits {CLOSE_TIMEOUT:g} s for that, then closes)"
    answers = {True: "answered", False: "not answered", None: "not tried: too short a call"}[end["answers_pings"]]
    yield "pings", f"ours {answers}; {end['pings']} of theirs"
    if end["unusual_frames"]:
        yield "frames", _counts(end["unusual_frames"])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} × {count}" for value, count in counts.items()) or "(none)"
