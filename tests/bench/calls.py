"""What calls cost over real sockets: the receiver on one core, its callers on another.

Figures of CPU stand beside those of the bare reader, which are measured in turn with them; latency is from the
sender's `send` to the node behind the listener.
"""

from __future__ import annotations

import math
import tempfile
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from flowcore.bench.search import GENERATOR_LATE, Search, verdict
from flowcore.bench.trial import Cores, Outcome, Receiver, TrialFailed, at_quantile, outcome, send_load, trial
from flowcore.engine.slots import PERIOD, STRETCH
from nodes.simulators.known_audio import RATE, samples
from nodes.simulators.load import call_id
from tests.support.recordings import stamped
from tools.speech_load import write_voices

ROOT = Path(__file__).parents[2]
__all__ = ["GENERATOR_LATE"]
LOAD_GENERATOR = "nodes.simulators.ringcx"
GRPC_LOAD_GENERATOR = "nodes.simulators.ringcx_grpc"
RECORD = str(ROOT / "graphs" / "record.yaml")
RECORD_16K = str(Path(__file__).parent / "graphs" / "record_16k.yaml")
TRANSCRIBE = str(ROOT / "graphs" / "transcribe.yaml")
BARE = str(Path(__file__).parent / "bare_reader.py")
STAGES = str(Path(__file__).parent / "stages.py")
FEW = 200
"""Calls that are no load yet: slots are as short as they get, now and then."""
HALF = 400
"""Half of what a core is to hold: where the budgets of CPU and latency are measured."""
SLOT_MS = PERIOD * STRETCH * 1000
"""The slot of a core under load."""
LATENCY_MS = SLOT_MS + 20.0
"""The budget of the added latency at half of what a core holds."""
HELD_MS = 100.0
"""The bound of the added latency at all that a core holds: there the core has hardly a slot to spare."""
COMPARED = 5
"""Recordings of each trial that are compared sample by sample; of all others the length is."""


def receive(
    graph: str,
    calls: int,
    seconds: float,
    *,
    probe: bool,
    together: bool,
    load_generator: str = LOAD_GENERATOR,
) -> Outcome:
    """One trial that records; where nothing was counted as lost, the recordings must be whole."""
    with tempfile.TemporaryDirectory(prefix="flowcore-bench-") as folder:
        settings = ["call.port=0", "call.max_connections=10000", f"wav.path={folder}/{{call_id}}.wav"]
        done = trial(graph, settings, load_generator, calls, seconds, Cores.share(1), probe=probe, together=together)
        if not done.losses():
            rate = 2 * RATE if graph == RECORD_16K else RATE
            done = replace(done, damage=damage(Path(folder), calls, seconds, rate, probe))
    return done


def receive_by_stage(calls: int, seconds: float, *, together: bool) -> Outcome:
    """`receive` with graphs/record.yaml and a receiver that measures the time in each stage."""
    with tempfile.TemporaryDirectory(prefix="flowcore-bench-") as folder:
        settings = ["--set=call.port=0", "--set=call.max_connections=10000", f"--set=wav.path={folder}/{{call_id}}.wav"]
        cores = Cores.share(1)
        with Receiver([STAGES, RECORD, *settings], cores.receiver) as receiver:
            options = ["--stamps", *["--together"] * together]
            load = send_load(LOAD_GENERATOR, receiver.url, calls, seconds, cores.callers, options)
            done = outcome(calls, load, receiver.stop())
        if not done.losses():
            done = replace(done, damage=damage(Path(folder), calls, seconds, RATE, probe=True))
    return done


def stages_ms(done: Outcome, quantile: float) -> dict[str, float]:
    """A quantile of the time in each stage, in ms, in the order of the stages."""
    return {stage: at_quantile(seconds, quantile) * 1000 for stage, seconds in done.report["stages"].items()}


def over_grpc(calls: int, seconds: float) -> Outcome:
    """graphs/record.yaml with its one word changed, and callers that send 100 ms in a message."""
    with tempfile.TemporaryDirectory(prefix="flowcore-bench-") as folder:
        graph = Path(folder) / "record_grpc.yaml"
        graph.write_text(Path(RECORD).read_text().replace("use: ringcx,", "use: ringcx_grpc,"))
        return receive(str(graph), calls, seconds, probe=True, together=False, load_generator=GRPC_LOAD_GENERATOR)


def damage(folder: Path, calls: int, seconds: float, rate: int, probe: bool) -> str:
    """What is wrong with the recordings: all have the right length, some are compared with what was said."""
    frames = round(seconds * rate)
    for call in range(calls):
        with wave.open(str(folder / f"{call_id(call)}.wav")) as file:
            if file.getnframes() != frames or file.getnchannels() != 2:
                return f"call {call} has {file.getnframes()} frames, {frames} were said"
            if call % max(1, calls // COMPARED) == 0 and rate == RATE:
                heard = np.frombuffer(file.readframes(frames), "<i2").reshape(-1, 2)
                known = ~stamped(call, seconds) if probe else np.full(frames, True)
                same = np.array_equal(heard[known, 0], samples(call, "agent", seconds)[known])
                if not same or not np.array_equal(heard[:, 1], samples(call, "customer", seconds)):
                    return f"call {call} was recorded wrong, and nothing was counted as lost"
    return ""


def bare(calls: int, seconds: float, *, together: bool) -> Outcome:
    """The same load into the bare reader."""
    cores = Cores.share(1)
    with Receiver([BARE], cores.receiver) as receiver:
        load = send_load(LOAD_GENERATOR, receiver.url, calls, seconds, cores.callers, ["--together"] * together)
        report = receiver.stop()
    if report["bytes"] < load["bytes"]:
        raise TrialFailed(f"the bare reader read {report['bytes']} bytes of {load['bytes']}")
    return outcome(calls, load, report)


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU a message, and how many times the bare reader's, by kind of receiver."""

    us: dict[str, float]
    ratio: dict[str, float]
    late: int
    """Trials in which the generator was late: their figures are in doubt."""
    losses: list[str]
    """What went wrong in trials in which it was not."""


KINDS: dict[str, Callable[[int, float], Outcome]] = {
    "bare": lambda calls, seconds: bare(calls, seconds, together=False),
    "record": lambda calls, seconds: receive(RECORD, calls, seconds, probe=False, together=False),
    "record_16k": lambda calls, seconds: receive(RECORD_16K, calls, seconds, probe=False, together=False),
}


def cost(calls: int, rounds: int, seconds: float) -> Iterator[str | Cost]:
    """All kinds in turn; yields a word of progress for each trial, and at last the `Cost`."""
    found: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind, run in KINDS.items():
            yield f"cost of a message at {calls} calls, round {number + 1} of {rounds}: {kind}"
            found[kind].append(run(calls, seconds))
    us = {kind: median(done.us_per_message for done in trials) for kind, trials in found.items()}
    ratio = {
        kind: median(a.us_per_message / b.us_per_message for a, b in zip(trials, found["bare"], strict=True))
        for kind, trials in found.items()
    }
    flowcores = [done for kind, trials in found.items() if kind != "bare" for done in trials]
    late = sum(not done.in_time for trials in found.values() for done in trials)
    yield Cost(us, ratio, late, [loss for done in flowcores if done.in_time for loss in done.losses()])


def capacity(seconds: float, start: int, told: Callable[[str], None]) -> Search:
    """The most calls of graphs/record.yaml that are held with nothing lost and the latency within `HELD_MS`."""

    def attempt(calls: int) -> str:
        told(f"calls held: {calls}")
        return verdict(receive(RECORD, calls, seconds, probe=True, together=True), HELD_MS)

    search = Search(attempt, start)
    search.run()
    return search


def transcribe(calls: int, seconds: float, max_wait: str = "3s") -> Outcome:
    """One trial of graphs/transcribe.yaml with voices that pause little, on one core with one decoder.

    Words that wait longer than ``max_wait`` are lost: a load that is too high shows within the trial.
    """
    with tempfile.TemporaryDirectory(prefix="flowcore-bench-") as name:
        folder = Path(name)
        voices = [str(path) for path in write_voices(folder)]
        settings = ["call.port=0", "call.max_connections=10000", f"words.max_wait={max_wait}"]
        settings += [f"wav.path={folder}/{{call_id}}.wav", f"text.path={folder}/{{call_id}}.jsonl"]
        return trial(TRANSCRIBE, settings, LOAD_GENERATOR, calls, seconds, Cores.share(1), probe=False, voices=voices)


def speech_capacity(seconds: float, told: Callable[[str], None]) -> Search:
    """The most calls of graphs/transcribe.yaml in which one core transcribes all words in time."""

    def attempt(calls: int) -> str:
        told(f"calls transcribed: {calls}")
        return verdict(transcribe(calls, seconds), math.inf)

    search = Search(attempt, start=4)
    search.run()
    return search


def lost(done: Outcome) -> list[str]:
    """Return the losses of a trial, except those of a busy machine: late callers, which a receiver takes for pauses."""
    return replace(done, load=done.load | {"blocked": 0}, report=done.report | {"events": {}}).losses()
