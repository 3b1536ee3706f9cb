"""Measure how well speech is understood.

    python tools/wer.py TRANSCRIPT.jsonl                    # word error rate of each party of a transcript
    python tools/wer.py --engine moonshine                  # of an engine on telephone speech, and its CPU
    python tools/wer.py --engine moonshine --model tiny
    python tools/wer.py --engine whisper --model FOLDER
    python tools/wer.py --silence 300                       # words invented in sounds without speech

The word error rate is the share of words substituted, left out or put in. The reference is the text of the demo's two
recordings (see voices.py), or the text file given with ``--agent`` or ``--customer``; for an engine, it is the text of
the prompts in prompts.py. An engine gets two channels at once, or all sounds, through all nodes between a call's
mu-law and its transcript: g711, resample and transcribe with its processes. CPU seconds are those of all these
processes, for final texts only; speech_load.py shows the cost of interim texts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.error_rate import error_rate, normalised
from tools.prompts import monologue, prompts
from tools.wordless import wordless

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


def transcript(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the final texts of a transcript's lines, joined in the order of time, by track."""
    finals = sorted((event for event in events if event["final"]), key=lambda event: event["start"])
    return {
        track: " ".join(event["text"] for event in finals if event["track"] == track)
        for track in sorted({event["track"] for event in finals})
    }


class Recognition:
    """Recognition of two channels: ``texts`` (final texts and gaps), and ``cost``, CPU s per second of one channel."""

    def __init__(self, engine: Mapping[str, Any], channels: Mapping[str, Any]) -> None:
        """Recognise ``channels`` (s16 at 8 kHz, by track) with ``engine``, given as in a graph."""
        import threading

        import psutil

        from flowcore import Audio, Text
        from flowcore.testing import NodeHarness
        from nodes.transforms.resample import Resample
        from nodes.transforms.transcribe import Transcribe

        config = {"engine": dict(engine), "interim": "0s", "processes": 1}
        resource: Any = Transcribe.make_resource(Transcribe.Config(**config))
        resource.open()
        try:
            woken = threading.Event()
            call = NodeHarness(Transcribe, config, resource=resource)
            call.node.wake = woken.set
            narrow = NodeHarness(Resample, {"rate": 16000})
            decoders = [psutil.Process().children()[-1]]
            before = time.process_time() + sum(_cpu(decoder) for decoder in decoders)
            for at in range(0, max(map(len, channels.values())), 800):
                for track, samples in channels.items():
                    if at < len(samples):
                        narrow.push(Audio(samples[at : at + 800], "s16", 8000, track, at))
                call.push(*narrow.out)
                narrow.out.clear()
                _catch_up(call, woken)
            narrow.node.flush(narrow.out.append)
            call.push(*narrow.out)
            call.node.flush(call.out.append)
            _catch_up(call, woken)
            cpu = time.process_time() + sum(_cpu(decoder) for decoder in decoders) - before
            self.texts: list[Text] = [text for text in call.out if text.final]
            self.cost = cpu / sum(len(samples) / 8000 for samples in channels.values())
            call.node.close()
        finally:
            resource.close()

    def said(self, track: str) -> str:
        """Return all words of one party."""
        return " ".join(text.text for text in self.texts if text.track == track)


def _catch_up(call: Any, woken: Any) -> None:
    """Wait for the final texts that are due, as a real call leaves time for them."""
    call.collect()
    while call.node.busy():
        woken.wait(1)
        woken.clear()
        call.collect()


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(
    engine: Mapping[str, Any], first: str, last: str, every: int = 1, pause: float = 2.0
) -> tuple[float, int, float]:
    """Return word error rate, number of words and cost of the prompts ``first`` to ``last``, half in each channel."""
    said = prompts(first, last)[::every]
    halves = {"agent": said[::2], "customer": said[1::2]}
    heard = Recognition(engine, {track: monologue(half, pause) for track, half in halves.items()})
    spoken = [" ".join(prompt.text for prompt in half) for half in halves.values()]
    found = [heard.said(track) for track in halves]
    return error_rate(spoken, found), sum(len(normalised(text).split()) for text in spoken), heard.cost


def invented(engine: Mapping[str, Any], seconds: float) -> dict[str, str]:
    """Return the words that the engine invents in each sound without speech."""
    sounds = wordless(seconds)
    heard = Recognition(engine, sounds)
    return {name: heard.said(name) for name in sounds}


def report(engine: Mapping[str, Any], recordings: bool = True) -> Iterable[str]:
    """Yield the lines of a table."""
    from tools.voices import RECORDINGS, telephone

    name = str(engine["use"])
    for first, last, use in (("a", "m", "tuned on"), ("n", "z", "reported")):
        rate, words, cost = measure(engine, first, last)
        yield _row(name, f"prompts {first}-{last}, {use}", rate, words, cost)
    if recordings:
        heard = Recognition(
            engine, {"agent": telephone(RECORDINGS["agent"]), "customer": telephone(RECORDINGS["caller"])}
        )
        for track, text in SPOKEN.items():
            words = len(normalised(text).split())
            yield _row(name, f"the demo's {track}", error_rate(text, heard.said(track)), words, heard.cost)


def _row(engine: str, what: str, rate: float, words: int, cost: float) -> str:
    return f"{engine:10} {what:24} WER {100 * rate:5.1f} %  of {words:5} words  {cost:.3f} CPU s/s"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure how well speech is understood.")
    parser.add_argument("transcript", type=Path, nargs="?", help="a JSONL file as transcript_file writes it")
    for track in SPOKEN:
        parser.add_argument(f"--{track}", type=Path, metavar="TEXT", help="file with the true text of this party")
    parser.add_argument("--engine", default="moonshine", help="engine to measure (default moonshine)")
    parser.add_argument("--model", help="of the engine: for moonshine base or tiny, for whisper a name or a folder")
    parser.add_argument(
        "--silence", type=float, metavar="SECONDS", help="length of sounds without speech, instead of prompts"
    )
    options = parser.parse_args(arguments)
    engine = {"use": options.engine} | ({"model": options.model} if options.model else {})
    try:
        if options.transcript:
            for line in of_transcript(vars(options)):
                print(line)
        elif options.silence:
            for name, words in invented(engine, options.silence).items():
                print(f"{options.engine:10} {name:14} {options.silence:5.0f} s  {words or 'no words'}", flush=True)
        else:
            for line in report(engine):
                print(line, flush=True)
    except FileNotFoundError as error:
        sys.exit(str(error))


def of_transcript(options: Mapping[str, Any]) -> Iterable[str]:
    """Yield a line for each party of a transcript."""
    heard = transcript(json.loads(line) for line in options["transcript"].read_text().splitlines())
    for track, text in SPOKEN.items():
        spoken = options[track].read_text() if options[track] else text
        words = len(normalised(spoken).split())
        yield f"{track:9} WER {100 * error_rate(spoken, heard.get(track, '')):5.1f} %  of {words} words"


if __name__ == "__main__":
    main()
