"""Common code of the load generators: names of calls, the result of a run, and the command line."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from flowcore.audio import TRACKS
from nodes.simulators.known_audio import CYCLE, SLOT, excerpt, mulaw, voice

MAX_LAG_P99 = 0.020
"""Seconds. A generator whose own lag is above this at p99 did not send in real time."""

MAX_LAG = 0.150
"""Seconds. Receivers may take a longer lag for a pause in the call."""


def call_id(call: int) -> str:
    """Return the id of call number ``call``."""
    return f"load-{call:06d}"


@dataclass
class Result:
    """Counts of a run: messages that were sent, and failures."""

    calls: int
    seconds: float
    messages: int = 0
    """Media messages that the kernel took whole."""
    bytes: int = 0
    """Their bytes on the wire."""
    refused: int = 0
    """Calls that the receiver refused."""
    closed: int = 0
    """Calls that the receiver ended early."""
    blocked: int = 0
    """Sends of which the kernel took only a part, because the receiver had not read."""
    unclosed: int = 0
    """Calls whose end the receiver did not answer with a closing handshake."""
    began: float = 0.0
    ended: float = 0.0
    """Times of the first and the last message, in seconds of the monotonic clock."""
    lag_p50_ms: float = 0.0
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0
    """Lag of this generator itself."""
    cpu_us_per_message: float = 0.0
    """CPU that a message cost this generator."""

    @property
    def in_time(self) -> bool:
        """Return whether the load was sent in real time."""
        return self.lag_p99_ms < MAX_LAG_P99 * 1000 and self.lag_max_ms < MAX_LAG * 1000

    @property
    def fine(self) -> bool:
        """Return whether all calls were sent whole and in time."""
        return self.in_time and self.refused + self.closed + self.blocked + self.unclosed == 0

    def set_lags(self, lags: Sequence[float]) -> None:
        """Set the percentiles from the lag of each message, in seconds."""
        if lags:
            ordered = sorted(lags)
            self.lag_p50_ms = ordered[len(ordered) // 2] * 1000
            self.lag_p99_ms = ordered[math.ceil(len(ordered) * 0.99) - 1] * 1000
            self.lag_max_ms = ordered[-1] * 1000


class LoadGenerator(ABC):
    """Many calls to one receiver; ``settle`` and ``timeout`` are in seconds."""

    def __init__(
        self,
        calls: int,
        seconds: float,
        *,
        together: bool = False,
        stamping: bool = False,
        settle: float = 0.0,
        timeout: float = 10.0,
        voices: Mapping[str, bytes] | None = None,
    ) -> None:
        self.together = together
        self.stamping = stamping
        self.settle = settle
        self.timeout = timeout
        self.cycle = CYCLE if voices is None else max(1, round(seconds / SLOT))
        """Slots after which the audio of a party repeats."""
        self.talking: Callable[[], None] = lambda: None
        """Called when all calls are up and the audio begins, for programs that measure the receiver."""
        self.result = Result(calls, seconds)
        self._voices = voices

    @abstractmethod
    def run(self) -> Result:
        """Make the calls, send their audio and hang up. Raises `OSError` when nothing listens."""

    def audio(self, number: int, track: str) -> bytes:
        """Return the audio that a party repeats."""
        seconds = self.cycle * SLOT
        return mulaw(number, track, seconds) if self._voices is None else excerpt(self._voices[track], number, seconds)


def command(description: str, example: str, make: Callable[..., LoadGenerator]) -> int:
    """Run the command line of the generator that ``make`` returns, and return the exit code.

    ``example`` is an address that the generator can call.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url", help=f"the receiver, like {example}")
    parser.add_argument("--calls", type=int, default=200, help="calls at once (default 200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each call (default 10)")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds between the last Start and the first audio")
    parser.add_argument("--together", action="store_true", help="send both parties' messages at once")
    parser.add_argument("--stamps", action="store_true", help="write the time of sending into some messages")
    parser.add_argument("--voices", nargs=2, type=Path, metavar=("AGENT", "CUSTOMER"), help="WAV files, not noise")
    parser.add_argument("--core", type=int, help="run on this processor core only")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--announce", action="store_true", help='say "talking" on stderr when the audio begins')
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    gc.disable()  # nothing here makes reference cycles, and a collection would delay the messages
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
