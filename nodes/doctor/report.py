"""The doctor's report as a page of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nodes.doctor.remarks import codec, remarks
from nodes.net.connection import CLOSE_TIMEOUT

Facts = Mapping[str, Any]


def page(calls: Sequence[Facts], other_requests: Sequence[str]) -> str:
    """Return the report on all calls, and on other requests."""
    parts = [_call(number, facts) for number, facts in enumerate(calls, 1)]
    if other_requests:
        parts.append("Not a call\n" + "\n".join(f"  {line}" for line in other_requests))
    return "\n\n".join(parts)


def _call(number: int, facts: Facts) -> str:
    lines = [f"Call {number}"]
    for title, entries in (
        ("Request", _request(facts["request"])),
        ("Secret", _secret(facts["secret"])),
        ("Messages", _messages(facts)),
        ("Segments", _segments(facts)),
        ("Audio", _audio(facts)),
        ("End", _end(facts)),
    ):
        rows = list(entries)
        if not rows:
            continue
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
        if name not in secret["places"]:
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


def _segments(facts: Facts) -> Iterator[tuple[str, str]]:
    for segment in facts["segments"]:
        product = f", product {segment['product']}" if segment["product"] else ""
        started = "not started" if segment["started"] is None else f"started after {segment['started']} s"
        stopped = "not stopped" if segment["stopped"] is None else f"stopped after {segment['stopped']} s"
        yield segment["name"], f"{codec(segment)}{product}; {started}, {stopped}"
        yield "  ids", f"segment {segment['id']}, participant {segment['participant_id']}"
    for report in facts.get("reports", ()):
        yield report["event"] or "(empty)", f"reported after {report['after']} s for segment {report['segment']}"


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
    ways = {
        "peer_lost": "lost",
        "peer_broke_protocol": "broken off, as it violated the protocol",
        "stop": "ended",
        "cancelled": "cancelled",
    }
    after = end["seconds_after_last_stop"]
    later = f", {after} s after the last Stop" if after is not None else ""
    if facts["transport"] == "grpc":
        violation = f": {end['detail']}" if end["detail"] else ""
        yield ways.get(end["how"], "ended"), f"by the {end['by']}{later}{violation}"
        return
    code = f" with {end['code']}" if end["code"] is not None else " without a code"
    yield ways.get(end["how"], "closed"), f"by the {end['by']}{code}{later}"
    if after is not None and after > CLOSE_TIMEOUT:
        yield "", f"(`ringcx` waits {CLOSE_TIMEOUT:g} s for that, then closes)"
    answers = {True: "answered", False: "not answered", None: "not tried: too short a call"}[end["answers_pings"]]
    yield "pings", f"ours {answers}; {end['pings']} of theirs"
    if end["unusual_frames"]:
        yield "frames", _counts(end["unusual_frames"])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} × {count}" for value, count in counts.items()) or "(none)"
