"""What the generators of many calls have in common: a call's name, what is said of a run, and the command line."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from nodes.simulators.known_audio import TRACKS, voice

LATE = 0.020
"""Seconds of its own lag at p99 above which this generator was no real-time sender."""

STALL = 0.150
"""Seconds of its longest lag above which receivers may take it for a pause in the call."""


def call_id(call: int) -> str:
    """The name that call number ``call`` gives itself."""
    return f"load-{call:06d}"


@dataclass
class Result:
    """What was sent, and what went wrong."""

    calls: int
    seconds: float
    messages: int = 0
    """Media messages that were handed to the kernel whole."""
    bytes: int = 0
    """Their bytes on the wire."""
    refused: int = 0
    """Calls that were not let in."""
    closed: int = 0
    """Calls that the receiver ended before their time."""
    blocked: int = 0
    """Sends that the kernel took only in part, as the receiver had not read."""
    unclosed: int = 0
    """Calls whose end was not answered with a closing handshake."""
    began: float = 0.0
    ended: float = 0.0
    """When the first and the last message were sent, in seconds of the machine's monotonic clock."""
    lag_p50_ms: float = 0.0
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0
    """How late this generator itself was."""
    cpu_us_per_message: float = 0.0
    """What a message cost this generator."""

    @property
    def in_time(self) -> bool:
        """Whether the load was at real-time pace."""
        return self.lag_p99_ms < LATE * 1000 and self.lag_max_ms < STALL * 1000

    @property
    def fine(self) -> bool:
        """Whether all calls were sent whole and in time."""
        return self.in_time and self.refused + self.closed + self.blocked + self.unclosed == 0

    def late(self, lags: Sequence[float]) -> None:
        """How late each message was sent, in seconds."""
        if lags:
            ordered = sorted(lags)
            self.lag_p50_ms = ordered[len(ordered) // 2] * 1000
            self.lag_p99_ms = ordered[math.ceil(len(ordered) * 0.99) - 1] * 1000
            self.lag_max_ms = ordered[-1] * 1000


class Load(Protocol):
    """N calls to one receiver."""

    talking: Callable[[], None]
    """Called when all calls are up and the audio begins: for who measures the receiver."""

    def run(self) -> Result:
        """Call, talk and hang up. Raises `OSError` when nothing listens."""


def command(description: str, example: str, make: Callable[..., Load]) -> int:
    """The command line of a generator, which ``make`` makes: ``example`` is an address that it calls. The exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url", help=f"the receiver, like {example}")
    parser.add_argument("--calls", type=int, default=200, help="calls at once (default 200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each call (default 10)")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds between the last Start and the first audio")
    parser.add_argument("--together", action="store_true", help="both parties' messages at once")
    parser.add_argument("--stamps", action="store_true", help="write the time of sending into some messages")
    parser.add_argument("--voices", nargs=2, type=Path, metavar=("AGENT", "CUSTOMER"), help="WAV files, not noise")
    parser.add_argument("--core", type=int, help="run on this processor core only")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--announce", action="store_true", help='say "talking" on stderr when the audio begins')
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    gc.disable()  # nothing here makes garbage in cycles, and a collection makes the generator late
    try:
        load = make(
            options.url,
            options.calls,
            options.seconds,
            together=options.together,
            stamping=options.stamps,
            settle=options.settle,
            voices=dict(zip(TRACKS, map(voice, options.voices), strict=True)) if options.voices else None,
        )
        if options.announce:
            load.talking = lambda: print("talking", file=sys.stderr, flush=True)  # noqa: T201
        result = load.run()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"no call to {options.url}: {error}\n")
        return 1
    figures = asdict(result)
    if options.json:
        sys.stdout.write(json.dumps(figures | {"fine": result.fine, "in_time": result.in_time}) + "\n")
    else:
        for name, value in figures.items():
            sys.stdout.write(f"{name:>20}  {value:.3f}\n" if isinstance(value, float) else f"{name:>20}  {value}\n")
    return 0 if result.fine else 1
