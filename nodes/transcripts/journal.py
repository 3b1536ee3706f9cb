"""The journal of a transcript: each text as it came, one line of JSON, from which every format is made.

The first line says whose call it is, the last one that nothing is missing. Lines are only appended, so a writer that
is killed leaves all that was said.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from flowcore import Session, Text, Word

LONGEST = 256
"""Characters of what a peer says of its call that are kept."""

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError)


class NotAJournal(ValueError):
    """The file was written by something else."""


class Head(msgspec.Struct, frozen=True):
    """The first line: ``flow`` and ``started`` by this machine, ``session`` as the peer said."""

    flow: str
    started: datetime
    session: dict[str, str]


class Line(Text, frozen=True, omit_defaults=True):
    """A text as it is written: without what the engine did not say."""


class Tail(msgspec.Struct, frozen=True):
    """The last line: the stream came to its end after so many ``seconds`` of the engine's clock."""

    seconds: float


@dataclass
class Transcript:
    """What a journal holds.

    ``texts`` are the final ones that have words or mark a gap, in the order in which they came, then the interim ones
    that no final text ever replaced: somebody was cut off. ``events`` are all texts, where they were asked for, else
    the same. ``seconds`` is None where the writer was killed or failed; ``unreadable`` counts lines that a power cut
    spoilt. ``lags`` are measured seconds from voice to text, of final (True) and interim texts (False).
    """

    head: Head
    texts: list[Text]
    events: list[Text]
    seconds: float | None = None
    unreadable: int = 0
    lags: dict[bool, array[float]] = field(default_factory=lambda: {True: array("d"), False: array("d")})


def head(session: Session) -> bytes:
    """The first line for a session."""
    said = {str(name)[:LONGEST]: str(value)[:LONGEST] for name, value in session.attributes.items()}
    return _line(Head(session.flow, session.started, said))


def entry(text: Text) -> bytes:
    """The line of a text: times in seconds, to the millisecond."""
    return _line(
        Line(
            text.track,
            round(text.start, 3),
            round(text.end, 3),
            text.text,
            text.final,
            text.utterance,
            None if text.confidence is None else round(text.confidence, 3),
            tuple(Word(word.text, round(word.start, 3), round(word.end, 3)) for word in text.words),
            None if text.lag is None else round(text.lag, 3),
            text.gap,
        )
    )


def tail(seconds: float) -> bytes:
    """The last line."""
    return _line(Tail(round(seconds, 3)))


def read(path: Path, *, interim: bool = False) -> Transcript:
    """What the journal at ``path`` holds; ``interim`` to have all interim texts. Raises OSError and `NotAJournal`."""
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
            # A final text may be empty: there were no words after all, and it only takes back the interim ones.
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
                found.seconds = _decode_tail(line).seconds
            except NOT_JSON:
                found.unreadable += 1


def _line(what: Head | Line | Tail) -> bytes:
    return msgspec.json.encode(what) + b"\n"


_decode_line = msgspec.json.Decoder(Line).decode
_decode_tail = msgspec.json.Decoder(Tail).decode
