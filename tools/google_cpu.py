"""Measure the CPU that Google streaming costs this machine: calls of graphs/google.yaml beside calls of record.yaml.

    python tools/google_cpu.py [--calls 40] [--seconds 12] [--version 1]

The fake of Google is a process of its own, on the callers' core; the figures are those of flowcore's process. Each call
is two streams of 100 ms requests, whose words come back. Encryption is off: it costs almost nothing for 20 requests of
800 bytes a second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from flowcore.bench.trial import Cores, Outcome, trial

ROOT = Path(__file__).parents[1]
LOAD_GENERATOR = "nodes.simulators.ringcx"


def measure(graph: str, settings: list[str], options: argparse.Namespace, voices: list[str], folder: str) -> Outcome:
    settings = ["call.port=0", f"wav.path={folder}/{graph}/{{flow}}.wav", *settings]
    path = str(ROOT / "graphs" / f"{graph}.yaml")
    return trial(
        path, settings, LOAD_GENERATOR, options.calls, options.seconds, Cores.share(1), probe=False, voices=voices
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=40, help="calls at once (default: 40)")
    parser.add_argument("--seconds", type=float, default=12, help="length of each call (default: 12)")
    parser.add_argument("--version", type=int, default=2, choices=(1, 2), help="version of Google's API (default: 2)")
    options = parser.parse_args()
    command = [sys.executable, "-m", "tools.fake_google"]
    with tempfile.TemporaryDirectory() as folder:
        voices = [f"{folder}/agent.wav", f"{folder}/caller.wav"]
        for number, voice in enumerate(voices):
            words = ["--write", voice, "--seconds", str(options.seconds), "--first", str(number * 1000)]
            subprocess.run([*command, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        recording = measure("record", [], options, voices, folder)
        with subprocess.Popen([*command, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as google:
            assert google.stdout is not None
            address = google.stdout.readline().split()[3].rstrip(",")
            settings = [
                f"words.engine.endpoint={address}",
                "words.engine.plaintext=true",
                f"words.engine.version={options.version}",
                f"text.path={folder}/{{flow}}.jsonl",
            ]
            both = measure("google", settings, options, voices, folder)
            google.terminate()
    for name, outcome in (("record.yaml", recording), ("google.yaml", both)):
        losses = ", ".join(outcome.losses()) or "nothing lost"
        each = outcome.cpu / options.calls
        print(f"{name}: {options.calls} calls, {outcome.cpu:.1%} of a core: {each:.2%} a call, {losses}")
    words = (both.cpu - recording.cpu) / options.calls
    print(
        f"Google streaming alone: {words:.2%} of a core a call, {words / 20 * 1e6:.0f} µs per request with its answers"
    )


if __name__ == "__main__":
    main()
