import json
import random
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore import Gap
from flowcore.testing import NodeHarness, joined, tone
from nodes.audio import wav
from nodes.sinks.wav_file import WavFile
from tests.support.recordings import files, read, record, stereo


def test_recording_equals_the_audio_bit_by_bit(tmp_path):
    chunks = tone("1s", rate=16000)
    harness = record(tmp_path, *chunks)
    assert files(harness) == [f"{tmp_path}/test-flow.wav"]
    assert (read(files(harness)[0])[:, 0] == joined(chunks)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test-flow.wav", "test-flow.wav.json"]


def test_stereo_keeps_agent_left_and_customer_right(tmp_path):
    harness = record(tmp_path, stereo(0, 100))
    assert (read(files(harness)[0]) == [1000, -1000]).all()


def test_each_file_names_what_an_operator_silenced_within_it(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav", "length": "2s"})
    harness.node.silenced = lambda: (Gap("agent", 0.5, 1.0, 0.5), Gap("", 1.5, 2.5, 1.0))
    harness.push(*tone("3s")).end()
    first, second = (json.loads(Path(f"{path}.json").read_text()) for path in files(harness))
    assert first["silenced"] == [
        {"track": "agent", "start": 0.5, "end": 1.0},
        {"track": "", "start": 1.5, "end": 2.0},
    ]
    assert second["silenced"] == [{"track": "", "start": 2.0, "end": 2.5}]
    assert first["complete"]
    assert second["complete"]


def test_call_without_sound_leaves_an_empty_recording(tmp_path):
    assert len(read(files(record(tmp_path))[0])) == 0


@pytest.mark.fault(41)
@pytest.mark.slow
def test_two_gibibytes_roll_over_and_never_wrap(tmp_path):
    harness = NodeHarness(WavFile, {"path": f"{tmp_path}/x.wav"}).push(stereo(0, 1))
    part = tmp_path / "x.wav.part"
    with part.open("r+b") as file:  # days of a call, without their samples on the disk
        file.truncate(2**31 - 4)
    harness.node._file._file.size = 2**31 - 4
    harness.push(stereo(1, 2)).end()
    assert [Path(path).stat().st_size for path in files(harness)] == [2**31, 48]
    with Path(files(harness)[0]).open("rb") as file:
        head = file.read(44)
    assert (int.from_bytes(head[4:8], "little"), int.from_bytes(head[40:44], "little")) == (2**31 - 8, 2**31 - 44)
    assert len(read(files(harness)[1])) == 1


def test_encoding_selects_the_accepted_formats():
    accepted = {
        encoding: WavFile.accepts(WavFile.Config(encoding=encoding))[0].encodings
        for encoding in ("pcm16", "mulaw", None)
    }
    assert accepted == {"pcm16": ("s16",), "mulaw": ("mulaw",), None: ("s16", "mulaw")}


def test_another_kind_of_file_is_refused_when_the_graph_is_read():
    with pytest.raises(ValidationError, match=r"end it in \.wav; audio_file writes \.flac"):
        WavFile.Config(path="x.flac")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_killed_recorder_keeps_all_acknowledged_audio(tmp_path, seed):
    program = f"""
import numpy as np
from flowcore import Audio
from flowcore.testing import NodeHarness
from nodes.sinks.wav_file import WavFile
harness = NodeHarness(WavFile, {{"path": {str(tmp_path / "x.wav")!r}}})
for number in range(30_000):
    harness.push(Audio(np.full(80, number, np.int16), "s16", 8000, "agent", 80 * number))
    print(number + 1, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    wanted = random.Random(seed).randrange(1, 2000)
    for _ in range(wanted):
        process.stdout.readline()
    process.kill()
    acknowledged = wanted + process.communicate()[0].count("\n")
    part = tmp_path / "x.wav.part"

    head = part.read_bytes()[:44]
    assert (head[4:8], head[40:44]) == (b"\xff" * 4, b"\xff" * 4)
    with wave.open(str(part)) as reader:  # playable as it is
        before = reader.readframes(30_000 * 80)
    wav.finalize(part)
    samples = read(part)[:, 0]
    assert samples.tobytes() == before
    assert len(samples) >= 80 * acknowledged
    assert (samples == np.arange(len(samples)) // 80).all()
