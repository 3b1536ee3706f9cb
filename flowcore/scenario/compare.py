"""Compares an outcome with what was expected: one line for each difference."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flowcore.audio import TRACKS, Audio
from flowcore.scenario.model import Amount, Expectation, FileExpectation, Level
from flowcore.scenario.outcome import USUAL_EVENTS, Outcome, read_wav

LENGTH_TOLERANCE = 0.0015
"""Seconds by which two lengths may differ."""
TIME_TOLERANCE = 0.040
"""Seconds by which the time of an event may differ: two slots."""
NUMBER_TOLERANCE = 0.05
"""Difference allowed between two numbers of a JSON line: times of words are never exact."""


def differences(outcome: Outcome, expect: Expectation, calls: int, end: str, folder: Path) -> list[str]:
    """Return the differences from what a test expects.

    ``calls`` is the expected number of flows, 0 for any. ``end`` is the usual reason of an end. The paths of the
    expectation's files begin at ``folder``.
    """
    return [
        *_flows(outcome, expect, calls, end),
        *_counters(outcome, expect),
        *_nodes(outcome, expect),
        *_files(outcome, expect, folder),
        *_events(outcome, expect),
        *_caught(outcome, expect),
    ]


def changes(now: Any, before: Any, path: str = "") -> Iterator[str]:
    """The differences between an outcome and a recorded one, both as plain data."""
    if isinstance(now, dict) and isinstance(before, dict):
        for key in dict.fromkeys((*before, *now)):
            yield from changes(now.get(key), before.get(key), f"{path} {key}".strip())
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for number, (one, other) in enumerate(zip(now, before, strict=True)):
            yield from changes(one, other, f"{path} {number + 1}")
    elif now != before:
        yield f"{path}: recorded {_short(before)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _flows(outcome: Outcome, expect: Expectation, calls: int, end: str) -> Iterator[str]:
    reasons = [flow["reason"] for flow in outcome.flows]
    if calls and len(reasons) != calls:
        yield f"flows: expected {calls}, there were {len(reasons)}"
    wanted = expect.ended if expect.ended is not None else [end] * len(reasons)
    if reasons != wanted:
        yield f"ended: expected {wanted}, got {reasons}"
    failed = {node: why for flow in outcome.flows for node, why in zip(flow["failed"], flow["why"], strict=True)}
    for node, why in failed.items():
        if node not in expect.failed:
            yield f"failed, unexpected: {why}"
    for node in expect.failed:
        if node not in failed:
            yield f"failed: {node} was expected to fail and did not"
    if expect.lasts is not None and outcome.seconds > expect.lasts + LENGTH_TOLERANCE:
        yield f"lasts: expected {expect.lasts} at most, took {outcome.seconds:.3f} s"


def _counters(outcome: Outcome, expect: Expectation) -> Iterator[str]:
    for counter in ("dropped", "filled"):
        found = outcome.counted(counter)
        wanted: dict[str, dict[str, Amount]] = getattr(expect, counter)
        for name in dict.fromkeys((*wanted, *found)):
            for reason in dict.fromkeys((*wanted.get(name, {}), *found.get(name, {}))):
                tally = found.get(name, {}).get(reason, {"chunks": 0, "ms": 0.0})
                amount = wanted.get(name, {}).get(reason)
                if amount is None:
                    yield f"{counter}, unexpected: {name} {reason}: {tally['chunks']} chunks, {tally['ms']:g} ms"
                else:
                    yield from _amount(f"{counter} {name} {reason}", amount, tally)


def _amount(what: str, amount: Amount, tally: dict[str, float]) -> Iterator[str]:
    if amount == "any":
        return
    if isinstance(amount, float):  # a Duration
        if abs(tally["ms"] / 1000 - amount) > LENGTH_TOLERANCE:
            yield f"{what}: expected {amount}, got {tally['ms']:g} ms"
    elif tally["chunks"] != amount:
        yield f"{what}: expected {amount} chunks, got {tally['chunks']}"


def _nodes(outcome: Outcome, expect: Expectation) -> Iterator[str]:
    for name, wanted in expect.nodes.items():
        stats = outcome.nodes[name]
        if wanted.came is not None:
            yield from _amount(f"nodes {name} in", wanted.came, stats.arrived.json())
        if wanted.out is not None:
            yield from _amount(f"nodes {name} out", wanted.out, stats.left.json())


def _files(outcome: Outcome, expect: Expectation, folder: Path) -> Iterator[str]:
    unmatched = dict.fromkeys(outcome.files)
    for pattern, wanted in expect.files.items():
        found = [name for name in outcome.files if fnmatch.fnmatchcase(name, pattern)]
        if not found:
            there = ", ".join(outcome.files) or "no file"
            yield f"files {pattern}: it is not there; there is {there}"
        for name in found:
            unmatched.pop(name, None)
            for difference in _file(outcome, name, wanted, folder):
                yield f"files {name}: {difference}"
    for name in unmatched:
        beside = name.removesuffix(".json")  # metadata of a file that is expected
        if beside == name or beside in unmatched or beside not in outcome.files:
            yield f"files, unexpected: {name}"


def _file(outcome: Outcome, name: str, wanted: FileExpectation, folder: Path) -> Iterator[str]:
    found = outcome.files[name]
    for key in ("channels", "rate", "sha256"):
        value = getattr(wanted, key)
        if value is not None and value != _digest(outcome, name, found, key):
            yield f"{key}: expected {value}, got {_digest(outcome, name, found, key)}"
    if wanted.seconds is not None and abs(found.get("seconds", -1.0) - wanted.seconds) > LENGTH_TOLERANCE:
        yield f"seconds: expected {wanted.seconds:g}, got {found.get('seconds', 'no WAV file')}"
    if wanted.levels or wanted.samples_of:
        if "seconds" not in found:
            yield "it is no WAV file, so it has no samples"
            return
        rate, samples = read_wav(outcome.folder / name)
        for level in wanted.levels:
            yield from _level(level, rate, samples)
        if wanted.samples_of:
            try:
                other = read_wav(folder / wanted.samples_of)
            except (OSError, EOFError, wave.Error) as error:
                yield f"samples_of: {wanted.samples_of} cannot be read: {error}"
                return
            if other[0] != rate or not np.array_equal(other[1], samples):
                yield f"samples_of: they are not those of {wanted.samples_of}"
    if wanted.lines is not None:
        yield from _lines(found.get("lines"), wanted.lines)


def _digest(outcome: Outcome, name: str, found: dict[str, Any], key: str) -> Any:
    if key == "sha256" and key not in found:
        return hashlib.sha256((outcome.folder / name).read_bytes()).hexdigest()
    return found.get(key)


def _level(level: Level, rate: int, samples: Any) -> Iterator[str]:
    channel = min(TRACKS.index(level.track), samples.shape[1] - 1)
    begin = level.at.samples(rate)
    stretch = samples[begin : begin + level.length.samples(rate), channel]
    if len(stretch) < level.length.samples(rate):
        yield f"levels: the file ends before {level.at} + {level.length}"
        return
    loud = Audio(stretch, "s16", rate, level.track, begin).level_db()
    place = f"levels: {level.track} from {level.at} for {level.length} is at {loud:.1f} dB"
    if level.below is not None and loud >= level.below:
        yield f"{place}, expected below {level.below}"
    if level.above is not None and loud <= level.above:
        yield f"{place}, expected above {level.above}"


def _lines(found: list[Any] | None, wanted: Any) -> Iterator[str]:
    if found is None:
        yield "it is no text, so it has no lines"
    elif isinstance(wanted, int):
        if len(found) != wanted:
            yield f"lines: expected {wanted}, got {len(found)}"
    else:
        for number in range(max(len(found), len(wanted))):
            line = found[number] if number < len(found) else None
            hope = wanted[number] if number < len(wanted) else None
            if line is None or hope is None or not _alike(line, hope):
                yield f"line {number + 1}: expected {_short(hope)}, got {_short(line)}"


def _alike(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and _alike(found[key], wanted[key]) for key in wanted)
    numbers = isinstance(wanted, (int, float)) and isinstance(found, (int, float))
    if numbers and not isinstance(wanted, bool) and not isinstance(found, bool):
        return bool(abs(found - wanted) <= NUMBER_TOLERANCE)
    return bool(found == wanted)


def _events(outcome: Outcome, expect: Expectation) -> Iterator[str]:
    """Differences in events: the expected ones come in this order, and others only if they are usual."""
    waiting = list(expect.events)
    for event in outcome.events:
        described = f"{event['event']}{' ' + event['node'] if event['node'] else ''} at {event['at_ms']}ms"
        if waiting and waiting[0].event == event["event"] and waiting[0].node in (None, event["node"]):
            wanted = waiting.pop(0)
            if wanted.at is not None and abs(event["at_ms"] / 1000 - wanted.at) > TIME_TOLERANCE:
                yield f"events: {described}, expected at {wanted.at}"
        elif event["event"] not in USUAL_EVENTS:
            expected = event["event"] == "node_failed" and event["node"] in expect.failed
            if not expected:
                yield f"events, unexpected: {described}"
    for wanted in waiting:
        yield f"events: {wanted.event}{' ' + wanted.node if wanted.node else ''} did not come, or not in its place"


def _caught(outcome: Outcome, expect: Expectation) -> Iterator[str]:
    for name, wanted in expect.caught.items():
        found = outcome.caught[name]
        if wanted.chunks is not None and found["chunks"] != wanted.chunks:
            yield f"caught {name} chunks: expected {wanted.chunks}, got {found['chunks']}"
        if wanted.seconds is not None and abs(found["seconds"] - wanted.seconds) > LENGTH_TOLERANCE:
            yield f"caught {name} seconds: expected {wanted.seconds:g}, got {found['seconds']:g}"
        if wanted.texts is not None and found["texts"] != wanted.texts:
            yield f"caught {name} texts: expected {_short(wanted.texts)}, got {_short(found['texts'])}"
