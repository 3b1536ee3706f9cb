"""Calls until full, for decoders: estimated at part of the load, it comes near the load at which words are lost.

Calls talk, and a decoder works, on a clock of the simulation; the queue is the real one. Interim texts fill the time
that final ones leave, so that the decoder is almost always busy: only the time for final texts tells the load.
"""

import heapq
import random
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest

from flowcore.speech import DECODER_RATE
from flowcore.telemetry.headroom import Headroom
from nodes.speech.local.decode_queue import DecodeJob, DecodeQueue
from nodes.speech.local.decoder_pool import FULL

pytestmark = pytest.mark.slow

MAX_WAIT = 15.0
SECONDS = 600
START, EACH = 0.05, 0.1
"""Seconds that a text takes, and those for each second of its audio."""


@dataclass
class Simulation:
    """One decoder, and ``calls`` of two parties who talk in turn; ``lost`` utterances had waited too long."""

    calls: int
    seed: int
    time: float = 0.0
    needed: float = 0.0
    busy: float = 0.0
    lost: int = 0
    free_at: float = 0.0
    headroom: Headroom = field(default_factory=Headroom)

    def run(self) -> "Simulation":
        rng, numbers = random.Random(self.seed), count()
        queue = DecodeQueue(MAX_WAIT, lambda: self.time)
        events = [(rng.uniform(0, 8), next(numbers), call, 0.0) for call in range(self.calls)]
        heapq.heapify(events)
        sampled, before = 0.0, 0.0
        while events and (at := events[0][0]) < SECONDS:
            _, _, call, heard = heapq.heappop(events)
            self._decode_until(queue, at)
            self.time = at
            if heard < 0:  # the end of an utterance of this length
                queue.put(self._job(call, -heard, final=True))
                heapq.heappush(events, (at + rng.uniform(0.3, 4), next(numbers), call, 0.0))
            else:  # it goes on: an interim text each second
                if heard:
                    queue.put(self._job(call, heard, final=False))
                length = heard + 1.0
                over = rng.random() < 0.3
                heapq.heappush(events, (at + 1.0, next(numbers), call, -length if over else length))
            if at - sampled >= 1.0:
                load = (self.needed - before) / (at - sampled) / FULL
                self.headroom.sample({"decoders": load}, self.calls, at - sampled)
                sampled, before = at, self.needed
        return self

    def _job(self, call: int, seconds: float, *, final: bool) -> DecodeJob:
        samples = np.zeros(round(seconds * DECODER_RATE), np.int16)
        return DecodeJob(call, call, samples, final, lambda outcome: None, on_refused=self._count_lost)

    def _count_lost(self) -> None:
        self.lost += 1

    def _decode_until(self, queue: DecodeQueue, until: float) -> None:
        while self.free_at < until and not queue.idle:
            self.time = max(self.time, self.free_at)
            job = queue.take()
            took = 0.0 if job.refused else START + EACH * job.seconds
            self.busy += took
            self.needed += took if job.final else 0.0
            self.free_at = self.time + took
            queue.finished(job)


def limit(seed: int) -> int:
    """The most calls of which no word is lost."""
    held, failed = 1, 128
    while failed - held > 1:
        middle = (held + failed) // 2
        held, failed = (middle, failed) if not Simulation(middle, seed).run().lost else (held, middle)
    return held


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_estimate_at_a_quarter_and_at_half_of_the_load_is_near_the_real_limit(seed):
    most = limit(seed)
    assert most > 10
    for share in (0.25, 0.5):
        simulation = Simulation(round(most * share), seed).run()
        assert simulation.headroom.capacities()["decoders"] == pytest.approx(most, rel=0.3)


def test_the_decoder_itself_looks_much_fuller_than_it_is():
    simulation = Simulation(limit(1) // 2, 1).run()
    assert simulation.busy / SECONDS > 1.3 * simulation.needed / SECONDS
