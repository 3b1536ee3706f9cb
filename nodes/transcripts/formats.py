"""Write a transcript as JSON lines, subtitles (SRT, WebVTT) or plain text, with the same texts in each.

SRT has no standard: this module writes numbered cues, as SubRip does. WebVTT: https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from flowcore import Text
from nodes.transcripts.journal import Transcript, entry

Names = Mapping[str, str]
"""Names of the parties by track; a party without one is called by its track."""

MIN_CUE_SECONDS = 0.001  # WebVTT requires a cue to end after its start

_CONTROL = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # would reverse the rest of the line
_SRT = str.maketrans("<>{}", "‹›()")  # SRT has no escape, and players treat these as formatting
_VTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def jsonl(transcript: Transcript, names: Names) -> bytes:
    """Every text in order of arrival, one object per line, as in the journal."""
    return b"".join(entry(text) for text in transcript.events)


def srt(transcript: Transcript, names: Names) -> bytes:
    """Numbered cues, ``Agent: hello``; similar characters replace brackets and braces, as SRT has no escape."""
    cues = []
    for number, (start, end, text) in enumerate(_cues(transcript), 1):
        line = f"{party_name(text, names)}: {cue_text(text)}".translate(_SRT)
        cues.append(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{line}\n")
    return "\n".join(cues).encode()


def vtt(transcript: Transcript, names: Names) -> bytes:
    """Cues with the party as voice, ``<v Agent>hello``, for style sheets."""
    cues = ["WEBVTT\n"]
    for start, end, text in _cues(transcript):
        line = f"<v {party_name(text, names).translate(_VTT)}>{cue_text(text).translate(_VTT)}"
        cues.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{line}\n")
    return "\n".join(cues).encode()


def txt(transcript: Transcript, names: Names) -> bytes:
    """One line per text, ``[00:12.3] Agent: hello``, in order of start."""
    lines = (f"[{minutes(start)}] {party_name(text, names)}: {cue_text(text)}" for start, _, text in _cues(transcript))
    return "".join(f"{line}\n" for line in lines).encode()


FORMATS: dict[str, Callable[[Transcript, Names], bytes]] = {"jsonl": jsonl, "srt": srt, "vtt": vtt, "txt": txt}


def cue_text(text: Text) -> str:
    """Return the words on one line, with ``…`` after words that never became final."""
    line = text_line(text)
    return line if text.final or not line else f"{line} …"


def party_name(text: Text, names: Names) -> str:
    """Return the name of the speaking party."""
    return one_line(names.get(text.track, "")) or one_line(text.track) or "?"


def _cues(transcript: Transcript) -> list[tuple[float, float, Text]]:
    """Return the start, end and text of each cue, in order of start.

    Cues of parties who speak at once overlap; a party's own cue ends at the start of its next one.
    """
    texts = sorted((text for text in transcript.texts if cue_text(text)), key=lambda text: (text.start, text.end))
    following: dict[str, float] = {}
    cues = []
    for text in reversed(texts):
        start, end = max(text.start, 0.0), text.end
        if following.get(text.track, start) > start:
            end = min(end, following[text.track])
        following[text.track] = start
        cues.append((start, max(end, start + MIN_CUE_SECONDS), text))
    return cues[::-1]


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{whole // 60:02}:{whole % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def one_line(text: str) -> str:
    """Replace white space and control characters by one space, and remove direction marks."""
    return _CONTROL.sub(" ", _BIDI.sub("", text)).strip()


def text_line(text: Text) -> str:
    """Return the words of a text on one line: ``[uncertain] hello`` if they are; a gap gives ``[untranscribed 3.2 s]``.

    Empty without words and gap.
    """
    mark = "[uncertain]" if text.uncertain else ""
    if text.gap:
        mark = f"[{one_line(text.gap)} {max(text.end - text.start, 0):.1f} s]"
    return f"{mark} {one_line(text.text)}".strip()


def minutes(seconds: float) -> str:
    """Return minutes and seconds, such as ``00:12.3``."""
    whole, tenths = divmod(round(seconds * 10), 600)
    return f"{whole:02}:{tenths / 10:04.1f}"
