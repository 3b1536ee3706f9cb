"""Run the fake of Google's speech recognition: ``python -m tools.fake_google --help``."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import count
from pathlib import Path

from . import FakeGoogle, StreamLog, random_faults
from .stream import KINDS
from .words import RATE, mulaw

HELP = """Fake Google's speech recognition, v1 and v2, for any client on this machine: no account, no network, no cost.

It ends streams by Google's rules, and understands one artificial language only, which --write speaks:

  python -m tools.fake_google --write agent.wav --seconds 60
  python -m tools.fake_google &
  flowcore run graphs/google.yaml --set words.engine.endpoint=127.0.0.1:8700 --set words.engine.plaintext=true
"""


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m tools.fake_google", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--port", type=int, default=8700, help="port on 127.0.0.1 (default: 8700)")
    options.add_argument("--speed", type=float, default=1.0, help="speed of its clock (default: 1, real time)")
    options.add_argument("--quota", type=int, help="streams that may be open at once (default: any number)")
    options.add_argument("--errors", type=float, default=0, metavar="PERCENT", help="share of streams with a fault")
    options.add_argument("--kinds", default=",".join(KINDS), help="kinds of fault: status codes, hang, silent")
    options.add_argument("--seed", type=int, default=0, help="seed of the random faults")
    options.add_argument("--write", type=Path, metavar="WAV", help="write a recording for the fake, and exit")
    options.add_argument("--seconds", type=float, default=60, help="length of that recording (default: 60)")
    options.add_argument("--first", type=int, default=0, help="number of its first word (default: 0)")
    return options


def write(path: Path, seconds: float, first: int) -> None:
    """Write a WAV file of utterances, 8 kHz s16: three words of 0.3 s, then a pause of a second."""
    import wave

    import numpy as np

    from nodes.audio import g711

    words = []
    for number in count():
        start = 0.5 + number // 3 * 1.9 + number % 3 * 0.3
        if start + 0.3 > seconds:
            break
        words.append((first + number, start, start + 0.3))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(g711.decode(np.frombuffer(mulaw(words, seconds), np.uint8)).tobytes())
    print(f"{path}: {seconds:g} s, words w{first} to w{first + len(words) - 1}")


def line(stream: StreamLog) -> str:
    """Describe a finished stream in one line."""
    broken = f", {stream.broken} in part" if stream.broken else ""
    return (
        f"stream {stream.number}: v{stream.version} {stream.config.get('model', '')} {stream.seconds:.1f} s in "
        f"{stream.requests} requests, {len(stream.words)} words{broken}: {stream.outcome}"
    )


def main() -> int:
    options = parser().parse_args()
    if options.write:
        write(options.write, options.seconds, options.first)
        return 0
    fault = random_faults(options.errors / 100, options.seed, kinds=tuple(options.kinds.split(",")))
    google = FakeGoogle(port=options.port, speed=options.speed, quota=options.quota, fault=fault)
    printed: set[StreamLog] = set()
    try:
        with google:
            print(f"speech recognition at {google.address}, without encryption; Ctrl-C ends it", flush=True)
            while True:
                time.sleep(0.2)
                for stream in [stream for stream in google.streams if stream.outcome and stream not in printed]:
                    print(line(stream), flush=True)
                    printed.add(stream)
    except KeyboardInterrupt:
        print(f"{len(google.streams)} streams, {google.peak} at once")
        return 0
    except RuntimeError:
        print(f"port {options.port} is taken: give another one with --port", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
