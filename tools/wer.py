"""Count the wrong words of a transcript: ``python tools/wer.py TRANSCRIPT.jsonl`` prints each party's word error rate.

The word error rate is the share of words substituted, left out or put in. What was really said is that of the demo's
two recordings (see voices.py), or the text file given with ``--agent`` or ``--customer``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Charles Dickens, A Tale of Two Cities (1859), the first sentence, as read in two_cities.wav.
TWO_CITIES = """
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was
the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was
the spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all
going direct to Heaven, we were all going direct the other way – in short, the period was so far like the present
period, that some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative
degree of comparison only.
"""

# Samuel Beckett, Worstward Ho (1983), six sentences, as read in beckett.wav.
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."

SPOKEN = {"agent": TWO_CITIES, "customer": BECKETT}


def normalised(text: str) -> str:
    """Lower case, without punctuation, one space between words."""
    return " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split())


def transcript(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What each party said, by ``track``, in the order of time: the final texts of a transcript's lines."""
    finals = sorted((event for event in events if event["final"]), key=lambda event: event["start"])
    return {
        track: " ".join(event["text"] for event in finals if event["track"] == track)
        for track in sorted({event["track"] for event in finals})
    }


def wer(spoken: str, heard: str) -> float:
    """The word error rate, 0 for none wrong."""
    import jiwer

    return float(jiwer.wer(normalised(spoken), normalised(heard)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Print each party's word error rate.")
    parser.add_argument("transcript", type=Path, help="a JSONL file as transcript_file writes it")
    for track in SPOKEN:
        parser.add_argument(f"--{track}", type=Path, metavar="TEXT", help="a file with what this party really said")
    options = vars(parser.parse_args())
    heard = transcript(json.loads(line) for line in options["transcript"].read_text().splitlines())
    for track, text in SPOKEN.items():
        spoken = options[track].read_text() if options[track] else text
        words = len(normalised(spoken).split())
        print(f"{track:9} WER {100 * wer(spoken, heard.get(track, '')):5.1f} %  of {words} words")


if __name__ == "__main__":
    main()
