"""Measure the latency of the node monitor over minutes: python tools/monitor_latency.py --minutes 10

The sound card is a PulseAudio server with a null sink, whose output is recorded; the caller's clock is ``--ppm`` faster
than the card's. Prints, for each minute, the latency from the node to the card's output, and all losses.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.card import RATE, Card

CHUNK = 320


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--ppm", type=float, default=200)
    options = parser.parse_args()
    with Card() as card:
        os.environ.update(card.added)
        measure(card, options.minutes, options.ppm)


def measure(card: Card, minutes: float, ppm: float) -> None:
    from flowcore.audio import Audio
    from flowcore.testing import NodeHarness
    from nodes.sinks.monitor import Monitor
    from nodes.sound.speaker import Speaker

    speaker = Speaker("pulse", RATE)
    speaker.now = time.monotonic
    speaker.open()
    while not speaker.playing:
        time.sleep(0.01)
    recorder = card.recorder()
    harness = NodeHarness(Monitor, {}, resource=speaker)
    harness.node.now = time.monotonic
    cpu, began = time.process_time(), time.monotonic()
    clicks: list[float] = []
    delays: list[float] = []
    searched = 0
    for number in range(round(minutes * 60 * 50)):
        samples = np.full(CHUNK, 500, np.int16)  # a constant level, so that gaps show
        due = began + number * CHUNK / RATE / (1 + ppm * 1e-6)
        time.sleep(max(0.0, due - time.monotonic()))
        if number % 50 == 0:
            samples[:16] = 20000
            clicks.append(time.monotonic())
        harness.push(Audio(samples, "s16", RATE, "agent", number * CHUNK))
        if number % 3000 == 2999:
            heard, stamps = recorder.heard[searched:, 0], recorder.stamps
            at = np.flatnonzero((heard[1:] > 10000) & (heard[:-1] <= 10000)) + searched + 1
            frames, when = (np.array(column) for column in zip(*stamps, strict=True))
            came = when[np.minimum(np.searchsorted(frames, at + 1), len(when) - 1)]
            delays = [t - max((c for c in clicks if c < t - 0.02), default=t) for t in came]
            buffer = harness.node._call.buffers["agent"]
            holes = int((heard == 0).sum()) if searched else 0
            print(
                f"{(number + 1) // 3000:3d} min: {1000 * np.median(delays):.0f} ms latency "
                f"({1000 * min(delays):.0f} to {1000 * max(delays):.0f}), wait {1000 * buffer.wait:.0f} ms, "
                f"silence {holes / RATE * 1000:.0f} ms, late {buffer.late}, "
                f"dropped {sum(harness.dropped.values()):.3f} s, card underruns {speaker.underruns}",
                flush=True,
            )
            searched, clicks = searched + len(heard), clicks[-2:]
            recorder.stamps = recorder.stamps[-10:]
    print(f"CPU {100 * (time.process_time() - cpu) / (time.monotonic() - began):.1f} % of a core, including this tool")
    harness.end()
    speaker.close()
    recorder.stop()


if __name__ == "__main__":
    main()
