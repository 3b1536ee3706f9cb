"""The journal beside a recording that grows: whose call it is, and what its samples do not show. One JSON line each.

Of it and of the finished file the metadata is made, by the writer at its end or by whoever finds what a killed one
left: there is no second way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from flowcore import Session
from flowcore.files import PARTIAL_SUFFIX

LONGEST = 256
"""Characters of what a peer says of its call that are kept."""

_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError)


class Head(msgspec.Struct, frozen=True, tag="head"):
    """The first line. ``start`` is the position of the file's first sample in the call, in seconds."""

    flow: str
    started: datetime
    session: dict[str, str]
    segment: int
    previous: str
    start: float


class Sound(msgspec.Struct, frozen=True, tag="sound"):
    """What the samples are."""

    encoding: str
    rate: int
    parties: list[str]


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """A stretch in which nobody sent anything: a hold, or a pause; silence in the file. Seconds of the call."""

    start: float
    end: float


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """A stretch of the call before this file that is in no file."""

    start: float
    end: float
    reason: str


class Tail(msgspec.Struct, frozen=True, tag="tail"):
    """The last line: why the file ends here, and what was dropped since it began, in seconds by reason."""

    end: str
    dropped: dict[str, float]


Line = Head | Sound | Hold | Gap | Tail
_decode = msgspec.json.Decoder(Line).decode


@dataclass
class Journal:
    """What a journal holds; without a ``tail``, its writer was killed."""

    head: Head | None = None
    sound: Sound | None = None
    holds: list[Hold] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    tail: Tail | None = None
    unreadable: int = 0


def path_of(part: Path) -> Path:
    """Where the journal of an unfinished recording lies."""
    return part.with_name(f"{part.name.removesuffix(PARTIAL_SUFFIX)}.json{PARTIAL_SUFFIX}")


def line(what: Line) -> bytes:
    """One line of a journal."""
    return msgspec.json.encode(what) + b"\n"


def head(session: Session, segment: int, previous: str, start: float) -> bytes:
    """The first line, for a session."""
    said = {str(name)[:LONGEST]: str(value)[:LONGEST] for name, value in session.attributes.items()}
    return line(Head(session.flow, session.started, said, segment, previous, round(start, 6)))


def read(path: Path) -> Journal:
    """What the journal at ``path`` holds, as far as it can be read; one that is not there holds nothing."""
    found = Journal()
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return found
    for text in lines:
        try:
            what = _decode(text)
        except _NOT_JSON:
            found.unreadable += 1  # torn by a power cut
            continue
        match what:
            case Head():
                found.head = what
            case Sound():
                found.sound = what
            case Hold():
                found.holds.append(what)
            case Gap():
                found.gaps.append(what)
            case Tail():
                found.tail = what
    return found


def metadata(journal: Journal, name: str, file: Path, form: str, seconds: float) -> bytes:
    """The JSON beside the recording ``name``, which lies in ``file`` and is complete there; all times in seconds.

    ``session`` is what the peer said of its call: never trust it. ``start`` is where the file begins in the call, and
    ``holds`` and ``gaps`` are on that clock too. ``complete`` is false where the writer was killed, or the disk failed.
    """
    head, sound, tail = journal.head, journal.sound, journal.tail
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    end = "killed" if tail is None else tail.end
    about: dict[str, Any] = {
        "recording": name,
        "flow": head.flow if head else "",
        "started": head.started.isoformat() if head else None,
        "seconds": round(seconds, 6),
        "complete": end in ("call", "max", "length"),
        "end": end,
        "segment": head.segment if head else None,
        "previous": (head.previous or None) if head else None,
        "start": head.start if head else None,
        "session": head.session if head else {},
        "format": form,
        "encoding": sound.encoding if sound else None,
        "rate": sound.rate if sound else None,
        "parties": sound.parties if sound else [],
        "bytes": file.stat().st_size,
        "sha256": digest,
        "holds": [{"start": hold.start, "end": hold.end} for hold in journal.holds],
        "gaps": [{"start": gap.start, "end": gap.end, "reason": gap.reason} for gap in journal.gaps],
        "dropped": tail.dropped if tail else None,
    }
    if journal.unreadable:
        about["unreadable_lines"] = journal.unreadable
    return msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n"
