"""Two hours of a call with holds, loss and a bad clock: both parties stay where they belong, beside each other.

What is measured: at the end of every minute of the call both parties click at the same moment, and the clicks are
looked for in the stereo recording. Both parties come over one connection and share the sender's clock. Packets are of
100 ms, so that two hours take seconds; the virtual clock runs as in a real call, in slots of 1 s.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import flowcore
from flowcore import Duration, Format, Host, Listener, Packet, node
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile
from flowcore.testing import run_plan
from nodes.protocols import g711, wav

RATE = 8000
PACKET = RATE // 10
SLOT = 1.0
HOURS = 2 * 3600
HOLDS = ((600.0, 45.0), (1900.0, 300.0), (3601.3, 0.9), (4000.0, 610.0), (6500.0, 20.0))
"""Start and length of each in seconds of the call: nobody sends anything."""
CLICK = g711.encode(np.array([20_000], np.int16)).tobytes()


def packets(ppm: float) -> Iterator[tuple[float, str, bytes]]:
    """When each packet is sent, by a true clock, whose it is, and its sound. Both parties have the sender's clock."""
    speed = 1 + ppm * 1e-6
    quiet = b"\xff" * PACKET
    for number in range(int(HOURS * speed * RATE / PACKET)):
        at, end = number * PACKET / RATE / speed, (number + 1) * PACKET / RATE / speed
        if any(start <= at < start + length for start, length in HOLDS):
            continue
        sound, minute = quiet, int(end // 60) * 60
        if at < minute <= end:
            click = min(PACKET - 1, int((minute - at) * RATE * speed))
            sound = quiet[:click] + CLICK + quiet[click + 1 :]
        yield end, "agent", sound
        yield end, "customer", sound


@node("long_call")
class LongCall(Listener[Packet]):
    """One call that lasts for hours; one packet in a hundred is lost, but for clicks."""

    class Config(flowcore.Config):
        ppm: float = 0.0
        length: Duration = Duration("2h")

    @classmethod
    def gives(cls, config: Any) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    async def run(self, host: Host) -> None:
        inlet = host.accept({"call_id": "long"})
        began, picks, numbers = host.now(), random.Random(5), {"agent": 0, "customer": 0}
        for at, track, data in packets(self.config.ppm):
            if began + at - host.now() > SLOT:
                await host.sleep(SLOT)
            if picks.random() > 0.01 or CLICK in data:
                inlet.push(Packet(track, numbers[track], data, began + at + picks.random() * 0.03))
            numbers[track] += 1
        inlet.end("stop")


RECORD = """
flowcore: 1
nodes:
  call: {{use: ringcx, with: {{port: 0}}}}
  ordered: {{use: reorder, from: call, with: {{window: 300ms, pause: 500ms, chunk: 1s}}}}
  wav: {{use: wav_file, from: ordered, with: {{path: "{folder}/{{call_id}}.wav", encoding: mulaw, fsync: end}}}}
"""


def clicks(samples: Any) -> Any:
    return np.flatnonzero(samples > 10_000) / RATE


@pytest.mark.slow
@pytest.mark.parametrize("ppm", [50.0, -50.0])
def test_after_two_hours_both_parties_are_within_20_ms(tmp_path, ppm):
    graph = compile(load_text(RECORD.format(folder=tmp_path), "graph.yaml"))
    listener = replace(graph.listener, cls=LongCall, config=LongCall.Config(ppm=ppm))
    result = run_plan(replace(graph, nodes={**graph.nodes, listener.name: listener}), slot=SLOT)
    (flow,) = result.flows
    assert flow.reason == "stop"
    samples = wav.decode((tmp_path / "long.wav").read_bytes())[1]
    agent, customer = clicks(samples[:, 0]), clicks(samples[:, 1])
    held = sum(1 for minute in range(60, HOURS, 60) for start, length in HOLDS if start < minute <= start + length)
    assert len(agent) == len(customer) >= HOURS // 60 - 1 - held - 1
    apart = np.abs(agent - customer)
    off = agent - np.round(agent / 60) * 60
    print(f"{ppm:+} ppm: parties apart {apart.max() * 1000:.2f} ms, clock off by {off.min():.3f} to {off.max():.3f} s")
    assert apart.max() <= 0.020
    assert flow.stats["ordered"].filled["lost"].seconds > 60
    assert abs(len(samples) / RATE - HOURS) < 1.0
