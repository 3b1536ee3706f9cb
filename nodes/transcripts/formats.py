"""A transcript as JSON lines, as subtitles (SRT, WebVTT) or as plain text: the same texts in each.

SRT has no standard: this is the form of SubRip, which numbers its cues. WebVTT: https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flowcore import Text
from nodes.transcripts.journal import Transcript, entry
from nodes.transcripts.plain import plain, words

Names = Mapping[str, str]
"""What the parties are called, by track; one without a name is called by its track."""

SHORTEST = 0.001  # seconds: WebVTT wants a cue to end after it begins

_SRT = str.maketrans("<>{}", "‹›()")  # SRT has no escape, and players take these for the beginning of a format
_VTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def jsonl(transcript: Transcript, names: Names) -> bytes:
    """Every text in the order in which it came, one object a line, as in the journal."""
    return b"".join(entry(text) for text in transcript.events)


def srt(transcript: Transcript, names: Names) -> bytes:
    """Numbered cues, ``Agent: hello``; brackets and braces, for which SRT knows no escape, become look-alikes."""
    cues = []
    for number, (start, end, text) in enumerate(_cues(transcript), 1):
        line = f"{who(text, names)}: {said(text)}".translate(_SRT)
        cues.append(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{line}\n")
    return "\n".join(cues).encode()


def vtt(transcript: Transcript, names: Names) -> bytes:
    """Cues with the party as their voice, ``<v Agent>hello``, which a style sheet can tell apart."""
    cues = ["WEBVTT\n"]
    for start, end, text in _cues(transcript):
        line = f"<v {who(text, names).translate(_VTT)}>{said(text).translate(_VTT)}"
        cues.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{line}\n")
    return "\n".join(cues).encode()


def txt(transcript: Transcript, names: Names) -> bytes:
    """One line for each text, ``[00:12.3] Agent: hello``, by the time at which it begins."""
    lines = (f"[{_minutes(start)}] {who(text, names)}: {said(text)}\n" for start, _, text in _cues(transcript))
    return "".join(lines).encode()


FORMATS: dict[str, Callable[[Transcript, Names], bytes]] = {"jsonl": jsonl, "srt": srt, "vtt": vtt, "txt": txt}


def said(text: Text) -> str:
    """The words on one line, with ``…`` behind those that never became final."""
    line = words(text)
    return line if text.final or not line else f"{line} …"


def who(text: Text, names: Names) -> str:
    """The name of the party that speaks."""
    return plain(names.get(text.track, "")) or plain(text.track) or "?"


def _cues(transcript: Transcript) -> list[tuple[float, float, Text]]:
    """Each text that shows anything, with when to show it, by its start.

    Parties who talk at once have cues that overlap; a party's own cue ends when its next one begins.
    """
    texts = sorted((text for text in transcript.texts if said(text)), key=lambda text: (text.start, text.end))
    following: dict[str, float] = {}
    cues = []
    for text in reversed(texts):
        start, end = max(text.start, 0.0), text.end
        if following.get(text.track, start) > start:
            end = min(end, following[text.track])
        following[text.track] = start
        cues.append((start, max(end, start + SHORTEST), text))
    return cues[::-1]


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _minutes(seconds: float) -> str:
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes:02}:{tenths / 10:04.1f}"
