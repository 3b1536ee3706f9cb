"""Row 52: a program that watches a folder finds finished files only, while calls end and processes are killed."""

import json
import random
import subprocess
import sys
import wave
from io import BytesIO
from itertools import chain

import numpy as np
import pytest

from nodes.sinks.transcript_file import TranscriptFile
from nodes.sinks.wav_file import WavFile
from tests.support.inotify import watching

pytestmark = pytest.mark.slow

PROCESSES, CALLS = 4, 50  # calls of each process
WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from flowcore import Audio, Text
from flowcore.testing import NodeHarness
from nodes.sinks.transcript_file import TranscriptFile
from nodes.sinks.wav_file import WavFile
folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
nodes = []
for call in range(first, last):
    samples = np.full(4000 + call, call, np.int16)
    text = Text("agent", 0.0, 0.5, f"call {call}", True, 0)
    nodes.append(NodeHarness(WavFile, {"path": f"{folder}/{call}.wav"}).push(Audio(samples, "s16", 8000, "agent", 0)))
    nodes.append(NodeHarness(TranscriptFile, {"path": f"{folder}/{call}.srt"}).push(text))
print("ready", flush=True)
sys.stdin.readline()
def end(node):
    node.end()
    print("ended", flush=True)
with ThreadPoolExecutor(16) as pool:
    list(pool.map(end, nodes))
"""


class Quiet:
    """A report that discards everything."""

    def event(self, event: str, **data: object) -> None: ...


def assert_whole(name: str, data: bytes) -> None:
    call = int(name.split(".")[0])
    if name.endswith(".json"):
        assert json.loads(data)["recording" if ".wav" in name else "transcript"] == name.removesuffix(".json")
    elif name.endswith(".srt"):
        assert data.decode() == f"1\n00:00:00,000 --> 00:00:00,500\nAgent: call {call}\n"
    else:
        with wave.open(BytesIO(data)) as reader:
            samples = np.frombuffer(reader.readframes(1 << 20), "<i2")
        assert len(data) == 44 + 2 * len(samples)
        assert (samples == np.full(4000 + call, call)).all()


@pytest.mark.fault(52)
def test_what_appears_while_200_calls_end_together_and_processes_are_killed_is_whole(tmp_path):
    picks = random.Random(52)
    with watching(tmp_path) as watch:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), str(first), str(first + CALLS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for first in range(0, PROCESSES * CALLS, CALLS)
        ]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("\n")
            writer.stdin.flush()
        for writer in writers[: PROCESSES // 2]:
            for _ in range(picks.randint(1, CALLS)):
                writer.stdout.readline()
            writer.kill()
        for writer in writers:
            writer.communicate(timeout=60)
        assert [writer.returncode for writer in writers] == [-9, -9, 0, 0]
        killed = len(list(tmp_path.glob("*.wav.part")))
        for node, kind in ((WavFile, "wav"), (TranscriptFile, "srt")):
            node.recover(node.Config(path=f"{tmp_path}/{{flow}}.{kind}"), Quiet())
    assert not watch.overflowed
    assert killed
    for name, contents in watch.appeared.items():
        for data in contents:
            assert_whole(name, data)
        assert {(tmp_path / name).read_bytes()} == set(contents)
    assert watch.changed == []
    assert {path.name for path in tmp_path.iterdir()} == set(watch.appeared)
    kinds = ("wav", "wav.json", "srt", "srt.json")
    assert set(watch.appeared) == set(
        chain.from_iterable((f"{call}.{kind}" for kind in kinds) for call in range(PROCESSES * CALLS))
    )
