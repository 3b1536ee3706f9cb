"""The journal of a transcript: one line of JSON per text, in order of arrival, the source of every format.

The first line describes the call, and the last line marks a complete journal. Lines are only appended, so the journal
of a killed writer has all texts up to then.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from flowcore import Loss, Session, Text, Word

MAX_ATTRIBUTE_CHARS = 256  # characters kept of each attribute that a peer sends

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError)


class NotAJournal(ValueError):
    """The file is not a journal."""


class Head(msgspec.Struct, frozen=True):
    """The first line: ``flow`` and ``started`` from this machine, ``session`` from the peer."""

    flow: str
    started: datetime
    session: dict[str, str]


class JournalLine(Text, frozen=True, omit_defaults=True):
    """A text in the journal, without fields that have their default."""


class LostGap(msgspec.Struct, frozen=True):
    """A stretch that ``node`` lost, of all tracks where ``track`` is empty."""

    track: str
    start: float
    end: float
    reason: str
    node: str


class Tail(msgspec.Struct, frozen=True):
    """The last line: the call ended after ``seconds`` of the flow's clock.

    ``lost`` are the seconds lost on the way from the socket to the transcript, by node and reason; a text has none.
    ``gaps`` say where audio or texts are missing, as far as it is known.
    """

    seconds: float
    lost: dict[str, dict[str, float]] = {}
    gaps: list[LostGap] = []


@dataclass
class Transcript:
    """The content of a journal.

    ``texts`` are the final texts with words or a gap, in order of arrival, then the interim texts that no final text
    replaced. ``events`` are all texts if `read` was asked for them, else the same as ``texts``. ``seconds`` is None if
    the writer was killed or failed; ``lost`` and ``gaps`` are those of the last line; ``unreadable`` counts lines
    damaged by a power cut. ``lags`` are measured seconds from voice to text, of final (True) and interim texts (False).
    """

    head: Head
    texts: list[Text]
    events: list[Text]
    seconds: float | None = None
    lost: dict[str, dict[str, float]] = field(default_factory=dict)
    gaps: list[LostGap] = field(default_factory=list)
    unreadable: int = 0
    lags: dict[bool, array[float]] = field(default_factory=lambda: {True: array("d"), False: array("d")})


def head(session: Session) -> bytes:
    """Encode the first line for a session."""
    limit = MAX_ATTRIBUTE_CHARS
    said = {str(name)[:limit]: str(value)[:limit] for name, value in session.attributes.items()}
    return _encode(Head(session.flow, session.started, said))


def entry(text: Text) -> bytes:
    """Encode the line of a text, with times in seconds to the millisecond."""
    fields = msgspec.structs.asdict(text)
    for name in ("start", "end", "confidence", "lag"):
        fields[name] = None if fields[name] is None else round(fields[name], 3)
    fields["words"] = tuple(_rounded(word) for word in text.words)
    return _encode(JournalLine(**fields))


def _rounded(word: Word) -> Word:
    confidence = None if word.confidence is None else round(word.confidence, 3)
    return Word(word.text, round(word.start, 3), round(word.end, 3), confidence)


def tail(seconds: float, losses: Sequence[Loss] = ()) -> bytes:
    """Encode the last line, with what the call lost."""
    lost: dict[str, dict[str, float]] = {}
    gaps = []
    for loss in losses:
        lost.setdefault(loss.node, {})[loss.reason] = round(loss.seconds, 3)
        gaps += [LostGap(g.track, round(g.start, 3), round(g.end, 3), loss.reason, loss.node) for g in loss.gaps]
    return _encode(Tail(round(seconds, 3), lost, sorted(gaps, key=lambda gap: gap.start)))


def read(path: Path, *, interim: bool = False) -> Transcript:
    """Read the journal at ``path``, with all interim texts if ``interim``. Raises OSError and `NotAJournal`."""
    with path.open("rb") as lines:
        try:
            first = msgspec.json.decode(next(lines, b""), type=Head)
        except NOT_JSON as error:
            raise NotAJournal(f"it does not begin like the journal of a transcript: {error}") from error
        texts: list[Text] = []
        found = Transcript(first, texts, [] if interim else texts)
        pending: dict[tuple[str, int], Text] = {}
        done: set[tuple[str, int]] = set()
        for text in _texts(lines, found):
            utterance = (text.track, text.utterance)
            if text.lag is not None and not text.gap:
                found.lags[text.final].append(text.lag)
            if interim:
                found.events.append(text)
            if text.final:
                done.add(utterance)
                pending.pop(utterance, None)
            elif utterance not in done:
                pending[utterance] = text
            # An empty final text only takes back interim texts: there were no words after all.
            if text.final and (text.text or text.gap):
                texts.append(text)
    texts += [text for text in pending.values() if text.text]
    return found


def _texts(lines: Iterator[bytes], found: Transcript) -> Iterator[Text]:
    for line in lines:
        try:
            yield _decode_line(line)
        except NOT_JSON:
            try:
                end = _decode_tail(line)
                found.seconds, found.lost, found.gaps = end.seconds, end.lost, end.gaps
            except NOT_JSON:
                found.unreadable += 1


def _encode(record: Head | JournalLine | Tail) -> bytes:
    return msgspec.json.encode(record) + b"\n"


_decode_line = msgspec.json.Decoder(JournalLine).decode
_decode_tail = msgspec.json.Decoder(Tail).decode
