"""Measure live speech recognition: the lag of texts and the losses, with a number of channels on one core.

    python tools/speech_load.py --channels 10                        # with interim texts
    python tools/speech_load.py --channels 30 --interim 0s           # final texts only
    python tools/speech_load.py --channels 2                         # the lag of final texts on an idle core

One core receives, decodes and transcribes calls, as ``flowcore run`` does; another core simulates the calls in real
time. Each call is a conversation in two channels (the prompts of prompts.py, names from n to z), each call at another
place of it. ``lag`` is that of the transcripts: from the arrival of the last audio of the voice to its text. Exit code:
0, or 1 if the load generator itself was late, which makes the figures useless.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

GRAPH = """
flowcore: 1
nodes:
  call: {{use: ringcx, with: {{port: 0}}}}
  ordered: {{use: reorder, from: call, with: {{window: 120ms, chunk: 100ms}}}}
  voices: {{use: decode_mulaw, from: ordered}}
  speech: {{use: resample, from: voices, with: {{rate: 16000}}}}
  words: {{use: transcribe, from: speech, with: {with_}, queue: {{max: 20s}}}}
  text: {{use: transcript_file, from: words, with: {{path: "{folder}/{{flow}}.jsonl", interim: true}}}}
"""
TURN_PAUSE = 0.6  # seconds between two turns of a conversation


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure live speech recognition on one core.")
    parser.add_argument("--channels", type=int, default=10, help="channels, two for each call (default 10)")
    parser.add_argument("--interim", default="2s", help="time between interim texts; 0s for none (default 2s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the calls (default 60)")
    parser.add_argument("--engine", default="moonshine", help="engine (default moonshine)")
    parser.add_argument("--model", help="model of the engine, if it has several")
    parser.add_argument("--core", type=int, default=0, help="the core that is measured (default 0)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="speech-load-") as name:
        result = run(options, Path(name))
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:>24}  {value}")
    return 0 if result["load in time"] else 1


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the calls and return the figures. Raises `FileNotFoundError` if the prompts are not installed."""
    voices = write_voices(folder)
    engine = {"use": options.engine} | ({"model": options.model} if options.model else {})
    graph, stats = folder / "graph.yaml", folder / "stats.json"
    with_ = json.dumps({"engine": engine, "interim": options.interim})
    graph.write_text(GRAPH.format(with_=with_, folder=folder))
    calls = max(1, options.channels // 2)
    pinned = ["taskset", "-c", str(options.core)]
    flowcore = [str(Path(sys.executable).with_name("flowcore")), "run", str(graph), "--calls", str(calls), "--log-json"]
    with subprocess.Popen(
        [*pinned, *flowcore, "--stats", str(stats)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as receiver:
        assert receiver.stderr is not None
        url, log = "", []
        for line in receiver.stderr:
            log.append(line)
            if found := re.search(r"ws://[\d.]+:\d+/", line):
                url = found[0]
                break
        if not url:
            raise RuntimeError("".join(log))
        others = sorted(os.sched_getaffinity(0) - {options.core}) or [options.core]
        load = [sys.executable, "-m", "nodes.simulators.ringcx", url, "--calls", str(calls), "--json"]
        load += ["--seconds", str(options.seconds), "--core", str(others[-1]), "--voices", *map(str, voices)]
        sent = json.loads(subprocess.run(load, capture_output=True, text=True, cwd=ROOT).stdout)
        log += receiver.stderr.read().splitlines(keepends=True)
        usage = os.wait4(receiver.pid, 0)[2]
        receiver.returncode = 0
    texts = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    reasons = dropped(json.loads(stats.read_text()))
    return {
        "channels": 2 * calls,
        "seconds": options.seconds,
        "interim": options.interim,
        **lags("final", [text["lag"] for text in texts if text["final"] and "lag" in text]),
        **lags("interim", [text["lag"] for text in texts if not text["final"] and "lag" in text]),
        "untranscribed": sum(1 for text in texts if text.get("gap")),
        "stale interims": reasons.pop("stale_interim", 0),
        "other losses": reasons,
        "CPU of the core, %": round(100 * (usage.ru_utime + usage.ru_stime) / options.seconds, 1),
        "load in time": sent["in_time"] and sent["closed"] + sent["refused"] == 0,
    }


def lags(kind: str, found: list[float]) -> dict[str, Any]:
    """Return the number of texts and the percentiles of their lags, in seconds."""
    found.sort()
    places = (
        {}
        if not found
        else {f"p{p}": round(found[min(len(found) - 1, len(found) * p // 100)], 2) for p in (50, 95, 99)}
    )
    return {f"{kind} texts": len(found), f"{kind} lag": places}


def dropped(stats: Any) -> dict[str, int]:
    """Return the chunks that all nodes dropped, by reason."""
    reasons: dict[str, int] = {}
    for node in stats["nodes"].values():
        for reason, tally in node.get("dropped", {}).items():
            reasons[reason] = reasons.get(reason, 0) + tally["chunks"]
    return reasons


def write_voices(folder: Path) -> Iterable[Path]:
    """Write the two sides of a conversation as WAV files."""
    from tools.prompts import RATE, conversation, prompts

    paths = [folder / "agent.wav", folder / "customer.wav"]
    for path, samples in zip(paths, conversation(prompts("n", "z"), TURN_PAUSE), strict=True):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    return paths


if __name__ == "__main__":
    sys.exit(main())
