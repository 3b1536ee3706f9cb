"""The replay buffer against a plain array of the same audio."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Audio
from nodes.audio import g711
from nodes.speech.cloud.replay_buffer import ReplayBuffer

RATE = 8000


def chunk(start: int, length: int, encoding: str = "mulaw") -> Audio:
    """Samples that tell their position."""
    values = (np.arange(start, start + length) % 200).astype(np.uint8 if encoding == "mulaw" else np.int16)
    return Audio(values, encoding, RATE, "agent", start)


def stretches(buffer: ReplayBuffer) -> list[tuple[int, int]]:
    found, at = [], 0
    while (stretch := buffer.stretch(at)) is not None:
        found.append((max(at, stretch[0]), stretch[1]))
        at = stretch[1]
    return found


def test_a_short_hole_is_silence_and_a_long_one_parts_two_stretches():
    buffer = ReplayBuffer("mulaw", RATE, 60)
    buffer.add(chunk(100, 800))
    buffer.add(chunk(1060, 800))
    buffer.add(chunk(1860 + 8001, 800))
    assert stretches(buffer) == [(100, 1860), (9861, 10661)]
    assert buffer.read(899, 1061) == bytes([99]) + b"\xff" * 160 + bytes([60])


def test_s16_keeps_its_bytes():
    buffer = ReplayBuffer("s16", RATE, 60)
    buffer.add(chunk(0, 800, "s16"))
    assert buffer.read(10, 12) == b"\x0a\0\x0b\0"
    (whole,) = buffer.chunks(0, "agent")
    assert whole.samples.tolist() == chunk(0, 800).samples.tolist()


def test_what_came_already_is_not_taken_again():
    buffer = ReplayBuffer("mulaw", RATE, 60)
    buffer.add(chunk(0, 800))
    buffer.add(chunk(400, 800))
    assert buffer.read(0, 1200) == chunk(0, 1200).samples.tobytes()


def test_audio_goes_on_where_all_was_trimmed():
    buffer = ReplayBuffer("mulaw", RATE, 60)
    buffer.add(chunk(0, 800))
    buffer.trim(800)
    assert buffer.stretch(0) is None
    buffer.add(chunk(960, 800))
    assert stretches(buffer) == [(800, 1760)]  # the hole is known, and silence


def test_what_is_not_there_cannot_be_read():
    buffer = ReplayBuffer("mulaw", RATE, 60)
    buffer.add(chunk(0, 800))
    with pytest.raises(ValueError, match="no audio from 700 to 900"):
        buffer.read(700, 900)


@pytest.mark.parametrize("encoding", ["mulaw", "s16"])
def test_the_quietest_place_is_the_middle_of_the_pause(encoding):
    loud = (8000 * np.sin(np.arange(RATE))).astype(np.int16)
    samples = np.concatenate([loud, loud[:1600] // 50, loud])
    buffer = ReplayBuffer(encoding, RATE, 60)
    buffer.add(Audio(g711.encode(samples) if encoding == "mulaw" else samples, encoding, RATE, "agent", 16000))
    place, level = buffer.quietest(16000, buffer.end)
    assert place == pytest.approx(16000 + RATE + 800, abs=400)
    assert 50 < level < 150
    assert buffer.quietest(16000, 16000 + 800) == (16800, float("inf"))  # too little to tell


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0, 0, 0, 5, 30]), st.integers(1, 40), st.sampled_from([None, -10, 0, 10, 100])),
        max_size=40,
    )
)
def test_it_holds_the_newest_of_all_that_came_and_says_what_it_lost(steps):
    rate, longest = 10, 6.0  # 60 samples, holes of up to 10
    buffer = ReplayBuffer("mulaw", rate, longest)
    came: dict[int, int] = {}
    at = trimmed = 0
    for hole, length, trim in steps:
        start = at + hole
        if hole <= rate and came:
            came |= dict.fromkeys(range(at, start), 0xFF)
        at = start + length
        came |= {n: n % 200 for n in range(start, at)}
        buffer.add(Audio((np.arange(start, at) % 200).astype(np.uint8), "mulaw", rate, "agent", start))
        if trim is not None:
            trimmed = max(trimmed, min(at, at + trim - 40))
            buffer.trim(trimmed)
        held = {
            chunk.start + n: value
            for chunk in buffer.chunks(0, "agent")
            for n, value in enumerate(chunk.samples.tolist())
        }
        assert len(held) <= longest * rate
        assert held == {n: came[n] for n in came if n >= trimmed and n >= buffer.lost}
        assert buffer.lost <= at
