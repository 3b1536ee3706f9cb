"""Measure how well speech is understood.

    python tools/wer.py TRANSCRIPT.jsonl                    # word error rate of each party of a transcript
    python tools/wer.py --engine moonshine                  # of an engine on telephone speech, its lag, CPU and memory
    python tools/wer.py --engine moonshine --model tiny
    python tools/wer.py --engine whisper --model FOLDER
    python tools/wer.py --conditions                        # in noise, from far away, with losses and echo
    python tools/wer.py --silence 300                       # words invented in sounds without speech

The word error rate is the share of words substituted, left out or put in. The reference is the text of the demo's two
recordings (see voices.py), or the text file given with ``--agent`` or ``--customer``; for an engine, it is the text of
the prompts in prompts.py. Stages: ``whole`` is the engine alone, prompt by prompt; ``finals`` are two channels at once,
through all nodes between a call's mu-law and its transcript (g711, resample, and transcribe with its processes);
``interims`` is the same with interim texts.

The audio is played as fast as it is decoded, on a clock that advances by the audio and by the CPU seconds that its
texts take. So the lags are those of an idle core, on a busy machine too: of final texts from the end of the voice, of
the first words from the start of the voice, of each word from its end to the first text that has it. *Kept* are the
words of interim texts that the final one has too. CPU seconds are those of all processes, per second of one channel.
Memory is that of the decoder.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.conditions import CONDITIONS, Condition
from tools.error_rate import error_rate, normalised
from tools.interim_words import delays, kept
from tools.prompts import conversation, monologue, prompts
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

INTERIM = "2s"  # the default of transcribe
CHUNK = 800  # samples at 8 kHz: 100 ms, as transcribe gets them
PAUSE = 2.0  # seconds between two prompts
SPOKEN = {"agent": TWO_CITIES, "customer": BECKETT}


def transcript(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the final texts of a transcript's lines, joined in the order of time, by track."""
    finals = sorted((event for event in events if event["final"]), key=lambda event: event["start"])
    return {
        track: " ".join(event["text"] for event in finals if event["track"] == track)
        for track in sorted({event["track"] for event in finals})
    }


class Recognition:
    """Recognition of two channels.

    ``texts``, ``cost`` in CPU s per second of one channel, ``memory`` of the decoder in MB.
    """

    def __init__(self, engine: Mapping[str, Any], channels: Mapping[str, Any], interim: str = "0s") -> None:
        """Recognise ``channels`` (s16 at 8 kHz, by track) with ``engine``, given as in a graph."""
        import psutil

        from flowcore import Audio, Text
        from flowcore.testing import NodeHarness
        from nodes.transforms.resample import Resample
        from nodes.transforms.transcribe import Transcribe

        config = {"engine": dict(engine), "interim": interim, "processes": 1}
        self._resource: Any = Transcribe.make_resource(Transcribe.Config(**config))
        self._resource.open()
        try:
            self._woken = threading.Event()
            self._call = NodeHarness(Transcribe, config, resource=self._resource)
            self._call.node.wake = self._woken.set
            narrow = NodeHarness(Resample, {"rate": 16000})
            self._decoder = psutil.Process().children()[-1]
            began = self._cpu()
            for at in range(0, max(map(len, channels.values())), CHUNK):
                for track, samples in channels.items():
                    if at < len(samples):
                        narrow.push(Audio(samples[at : at + CHUNK], "s16", 8000, track, at))
                self._play(narrow.out, (at + CHUNK) / 8000)
            narrow.node.flush(narrow.out.append)
            self._play(narrow.out, self._call.now)
            self._call.node.flush(self._call.out.append)
            self._play([], self._call.now)
            self.cost = (self._cpu() - began) / sum(len(samples) / 8000 for samples in channels.values())
            self.memory = self._decoder.memory_info().rss >> 20
            self.texts: list[Text] = self._call.out
            self._call.node.close()
        finally:
            self._resource.close()

    def _play(self, chunks: list[Any], now: float) -> None:
        """Push ``chunks`` and wait for their texts, as a real call leaves time for them."""
        call, before = self._call, self._cpu()
        call.now = now
        call.push(*chunks)
        chunks.clear()
        done = False
        while not done or call.node.busy():
            done = self._resource.pool.queue.idle
            call.now = now + self._cpu() - before
            call.collect()
            if not done:
                self._woken.wait(0.01)
                self._woken.clear()

    def _cpu(self) -> float:
        times = self._decoder.cpu_times()
        return time.process_time() + float(times.user + times.system)

    def said(self, track: str) -> str:
        """Return all words of one party."""
        return " ".join(text.text for text in self.texts if text.final and text.track == track)

    @property
    def lags(self) -> list[float]:
        """Seconds from the end of the voice to the final text."""
        return sorted(text.lag for text in self.texts if text.final and text.text and text.lag is not None)

    @property
    def first_words(self) -> list[float]:
        """Seconds from the start of the voice to the first words of each utterance."""
        first: dict[tuple[str, int], float] = {}
        for text in self.texts:
            if text.text and text.lag is not None:
                first.setdefault((text.track, text.utterance), text.end + text.lag - text.start)
        return sorted(first.values())


def measure(
    engine: Mapping[str, Any],
    first: str,
    last: str,
    every: int = 1,
    interim: str = "0s",
    condition: Condition = CONDITIONS["clean"],
) -> tuple[float, int, Recognition]:
    """Return word error rate and number of words of the prompts ``first`` to ``last``, half in each channel."""
    said = prompts(first, last)[::every]
    halves = {"agent": said[::2], "customer": said[1::2]}
    if condition.in_turn:
        channels = dict(zip(halves, conversation(said, PAUSE), strict=True))
    else:
        channels = {track: monologue(half, PAUSE) for track, half in halves.items()}
    heard = Recognition(engine, condition.change(channels), interim)
    spoken = [" ".join(prompt.text for prompt in half) for half in halves.values()]
    found = [heard.said(track) for track in halves]
    return error_rate(spoken, found), words_in(spoken), heard


def measure_whole(engine: Mapping[str, Any], first: str, last: str, every: int = 1) -> tuple[float, int]:
    """Return word error rate and number of words of prompts that the engine decodes one by one."""
    from nodes.audio import rates
    from nodes.transforms.transcribe import Transcribe

    said = prompts(first, last)[::every]
    choice = Transcribe.Config(engine=dict(engine)).engine
    decoder = choice.decoder(choice.config)
    decoder.open()
    found = []
    for prompt in said:
        wide = rates.make_filter(8000, 16000, "auto", prompt.samples)
        found.append(decoder.decode(np.concatenate((wide.feed(prompt.samples), wide.finish()))).text)
    decoder.close()
    spoken = [prompt.text for prompt in said]
    return error_rate(spoken, found), words_in(spoken)


def words_in(texts: Iterable[str]) -> int:
    """Return the number of words as the error rate counts them."""
    return sum(len(normalised(text).split()) for text in texts)


def invented(engine: Mapping[str, Any], seconds: float) -> dict[str, str]:
    """Return the words that the engine invents in each sound without speech."""
    sounds = wordless(seconds)
    heard = Recognition(engine, sounds)
    return {name: heard.said(name) for name in sounds}


def report(engine: Mapping[str, Any]) -> Iterable[str]:
    """Yield the lines of a table: each stage on the prompts for tuning and for the report; the demo's recordings."""
    from tools.voices import RECORDINGS, telephone

    for first, last in (("a", "m"), ("n", "z")):
        yield _row(f"whole {first}-{last}", *measure_whole(engine, first, last))
        for stage, interim in (("finals", "0s"), ("interims", INTERIM)):
            yield _row(f"{stage} {first}-{last}", *measure(engine, first, last, interim=interim))
    heard = Recognition(engine, {"agent": telephone(RECORDINGS["agent"]), "customer": telephone(RECORDINGS["caller"])})
    for track, text in SPOKEN.items():
        yield _row(f"the demo's {track}", error_rate(text, heard.said(track)), words_in([text]), heard)


def in_conditions(engine: Mapping[str, Any]) -> Iterable[str]:
    """Yield a line for each of `CONDITIONS`: word error rates of the prompts for tuning and of those for the report."""
    yield f"{'':28}  a-m    n-z"
    for name, condition in CONDITIONS.items():
        rates = [measure(engine, *names, condition=condition)[0] for names in (("a", "m"), ("n", "z"))]
        yield f"{name:28} {100 * rates[0]:4.1f} %  {100 * rates[1]:4.1f} %"


def _row(what: str, rate: float, words: int, heard: Recognition | None = None) -> str:
    row = f"{what:20} WER {100 * rate:5.1f} % of {words:5} words"
    if heard is None:
        return row
    times = heard.lags, heard.first_words, delays(heard.texts)
    lag, first, shown = (f"{_at(found, 0.5):.2f} / {_at(found, 0.95):.2f}" for found in times)
    costs = f"{heard.cost:.4f} CPU s/s  {heard.memory} MB"
    words = f"first words {first} s  each word {shown} s  kept {100 * kept(heard.texts):.0f} %"
    return f"{row}  {costs}  final {lag} s  {words}"


def _at(found: Sequence[float], share: float) -> float:
    return found[min(len(found) - 1, int(len(found) * share))] if found else nan


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
    parser.add_argument("--conditions", action="store_true", help="in noise, from far away, with losses, echo")
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
            for line in in_conditions(engine) if options.conditions else report(engine):
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
