"""Two hours of a call with holds, loss and bad clocks: both parties stay aligned.

Both parties click at the end of every minute of the call; the test finds the clicks in the stereo recording. Both
parties use one connection, and share a wrong clock or have clocks that are wrong in opposite directions. Packets have
100 ms, so that two hours take seconds; the virtual clock runs in slots of 5 s.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowcore import Config, Duration, Format, Host, Listener, Packet, node
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import run_plan
from nodes.audio import g711

RATE = 8000
PACKET = RATE // 10
SLOT = 5.0
HOURS = 2 * 3600
HOLDS = ((600.0, 45.0), (1900.0, 300.0), (3601.3, 0.9), (4000.0, 610.0), (6500.0, 20.0))
"""Start and length of each hold in seconds of the call; no party sends audio."""
CLICK = g711.encode(np.array([20_000], np.int16)).tobytes()


def packets(track: str, ppm: float) -> Iterator[tuple[float, str, bytes]]:
    """Yield each packet of a party: its time of sending on a true clock, its track and its audio."""
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
        yield end, track, sound


class LongCallConfig(Config):
    agent: float = 0.0
    customer: float = 0.0
    length: Duration = Duration("2h")


@node("long_call")
class LongCall(Listener[Packet, LongCallConfig]):
    """One call that lasts for hours; one packet in a hundred is lost, except clicks."""

    @classmethod
    def gives(cls, config: Any) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    async def run(self, host: Host) -> None:
        inlet = host.accept({"call_id": "long"})
        began, picks, numbers = host.now(), random.Random(5), {"agent": 0, "customer": 0}
        parties = packets("agent", self.config.agent), packets("customer", self.config.customer)
        for at, track, data in heapq.merge(*parties):
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
  ordered: {{use: reorder, from: call, with: {{window: 300ms, pause: 500ms, chunk: 100ms}}}}
  wav: {{use: wav_file, from: ordered, with: {{path: "{folder}/{{call_id}}.wav", encoding: mulaw, fsync: end}}}}
"""


def recorded(path: Path) -> Any:
    """Return the mu-law bytes of both channels."""
    data = np.memmap(path, np.uint8, "r")
    start = bytes(data[:4096]).index(b"data") + 8
    return data[start:].reshape(-1, 2)


def clicks(samples: Any) -> Any:
    return np.flatnonzero(samples == CLICK[0]) / RATE


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "customer"), [(50.0, 50.0), (-50.0, -50.0), (50.0, -50.0), (-50.0, 50.0)])
def test_after_two_hours_both_parties_are_within_20_ms(tmp_path, agent, customer):
    graph = compile_graph(load_text(RECORD.format(folder=tmp_path), "graph.yaml"))
    listener = replace(graph.listener, cls=LongCall, config=LongCallConfig(agent=agent, customer=customer))
    result = run_plan(replace(graph, nodes={**graph.nodes, listener.name: listener}), slot=SLOT)
    (flow,) = result.flows
    assert flow.reason == "stop"
    samples = recorded(tmp_path / "long.wav")
    left, right = clicks(samples[:, 0]), clicks(samples[:, 1])
    held = sum(1 for minute in range(60, HOURS, 60) for start, length in HOLDS if start < minute <= start + length)
    assert len(left) == len(right) >= HOURS // 60 - 1 - held - 1
    apart, off = np.abs(left - right), left - np.round(left / 60) * 60
    print(f"{agent:+} and {customer:+} ppm: parties apart {apart.max() * 1000:.2f} ms")
    print(f"clock off by {off.min():.3f} to {off.max():.3f} s, stats {flow.stats['ordered'].filled.json()}")
    assert apart.max() <= 0.020
    assert flow.stats["ordered"].filled["lost"].seconds > 60
    assert not flow.stats["ordered~interleave"].dropped
    assert ("drift" in flow.stats["ordered"].filled) == (agent != customer)
    assert abs(len(samples) / RATE - HOURS) < 1.0
