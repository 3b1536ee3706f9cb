"""Journal of a recording in progress: JSON lines about the call, and about stretches that the samples do not show.

The metadata of a finished file are made from its journal, by its writer or by the recovery after a kill.
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

MAX_ATTRIBUTE_LENGTH = 256  # characters kept of each attribute of the session, which the peer chose

_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError)


class Head(msgspec.Struct, frozen=True, tag="head"):
    """The first record. ``start`` is the position of the file's first sample in the call, in seconds."""

    flow: str
    started: datetime
    session: dict[str, str]
    segment: int
    previous: str
    start: float


class SampleFormat(msgspec.Struct, frozen=True, tag="sound"):
    """The format of the samples, and the party of each channel."""

    encoding: str
    rate: int
    parties: list[str]


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """A stretch without audio from any party, a hold or a pause: silence in the file. Seconds of the call."""

    start: float
    end: float


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """A stretch of the call that is missing, in seconds of the call.

    Without ``node``, no file holds it; otherwise it is silent in the file, and that node lost it for a track, or for
    all where there is none. Where only ``seconds`` of it are missing, it stands for several gaps.
    """

    start: float
    end: float
    reason: str
    node: str = ""
    track: str = ""
    seconds: float | None = None


class Silenced(msgspec.Struct, frozen=True):
    """A stretch in which an operator silenced a track, or all tracks where it is empty. Seconds of the call."""

    track: str
    start: float
    end: float


class Changed(msgspec.Struct, frozen=True):
    """Live fields, ``node.field``, that an operator changed in second ``at`` of the call."""

    at: float
    fields: tuple[str, ...]


class Tail(msgspec.Struct, frozen=True, tag="tail"):
    """The last record: the reason for the file's end, and what is missing.

    ``dropped`` are the seconds dropped by the recorder since the beginning of the file, by reason; ``lost`` those lost
    anywhere between the socket and the file, by node and reason; ``gaps`` say where, as far as it is known.
    """

    end: str
    dropped: dict[str, float]
    lost: dict[str, dict[str, float]] = {}
    gaps: list[Gap] = []
    silenced: list[Silenced] = []
    changed: list[Changed] = []


JournalRecord = Head | SampleFormat | Hold | Gap | Tail
_decode = msgspec.json.Decoder(JournalRecord).decode


@dataclass
class Journal:
    """The records of a journal. A journal without ``tail`` was left by a killed writer."""

    head: Head | None = None
    format: SampleFormat | None = None
    holds: list[Hold] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    tail: Tail | None = None
    unreadable: int = 0


def path_of(recording: Path) -> Path:
    """Return the path of the journal of an unfinished recording."""
    return recording.with_name(f"{recording.name.removesuffix(PARTIAL_SUFFIX)}.json{PARTIAL_SUFFIX}")


def encode(record: JournalRecord) -> bytes:
    """Return one line of a journal."""
    return msgspec.json.encode(record) + b"\n"


def head(session: Session, segment: int, previous: str, start: float) -> Head:
    """Return the first record of a journal, with the attributes of the session cut to their maximum length."""
    limit = MAX_ATTRIBUTE_LENGTH
    attributes = {str(name)[:limit]: str(value)[:limit] for name, value in session.attributes.items()}
    return Head(session.flow, session.started, attributes, segment, previous, round(start, 6))


def read(path: Path) -> Journal:
    """Return the readable records of the journal at ``path``; none where the file is missing."""
    journal = Journal()
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return journal
    for line in lines:
        try:
            record = _decode(line)
        except _NOT_JSON:
            journal.unreadable += 1  # torn by a power cut
            continue
        match record:
            case Head():
                journal.head = record
            case SampleFormat():
                journal.format = record
            case Hold():
                journal.holds.append(record)
            case Gap():
                journal.gaps.append(record)
            case Tail():
                journal.tail = record
    return journal


def metadata(journal: Journal, name: str, file: Path, container: str, seconds: float) -> bytes:
    """Return the JSON beside the recording ``name``, whose complete content is in ``file``. All times are in seconds.

    ``session`` holds attributes that the peer chose: never trust them. ``start``, ``holds`` and ``gaps`` are on the
    clock of the call. ``complete`` is false after a kill, a disk failure or a gap, and where anything was lost on the
    way from the socket into the file.
    """
    head, form, tail = journal.head, journal.format, journal.tail
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    end = "killed" if tail is None else tail.end
    fields: dict[str, Any] = {
        "recording": name,
        "flow": head.flow if head else "",
        "started": head.started.isoformat() if head else None,
        "seconds": round(seconds, 6),
        "complete": end in ("call", "max", "length") and not journal.gaps and not (tail and tail.lost),
        "end": end,
        "segment": head.segment if head else None,
        "previous": (head.previous or None) if head else None,
        "start": head.start if head else None,
        "session": head.session if head else {},
        "format": container,
        "encoding": form.encoding if form else None,
        "rate": form.rate if form else None,
        "parties": form.parties if form else [],
        "bytes": file.stat().st_size,
        "sha256": digest,
        "holds": [{"start": hold.start, "end": hold.end} for hold in journal.holds],
        "gaps": [_about(gap) for gap in (*journal.gaps, *(tail.gaps if tail else ()))],
        "dropped": tail.dropped if tail else None,
    }
    if tail and tail.silenced:
        fields["silenced"] = tail.silenced
    if tail and tail.changed:
        fields["changed"] = tail.changed
    if tail and tail.lost:
        fields["lost"] = tail.lost
    if journal.unreadable:
        fields["unreadable_lines"] = journal.unreadable
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"


def _about(gap: Gap) -> dict[str, Any]:
    about = {"start": gap.start, "end": gap.end, "reason": gap.reason}
    if gap.node:
        about |= {"node": gap.node, "track": gap.track or None}
    if gap.seconds is not None:
        about["seconds"] = gap.seconds
    return about
