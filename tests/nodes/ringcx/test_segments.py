"""Participants as tracks: which chunk of a segment it is, and who is mixed into whom."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Packet
from nodes.audio import g711
from nodes.audio.codecs import from_mulaw
from nodes.ringcx.segments import LEAD_TIMEOUT, MAX_WAITING, TRACK_STRIDE, Segment, TrackMixer

CHUNK = 800


def noise(seed, size=CHUNK):
    return random.Random(seed).randbytes(size)


def places(*seqs):
    """The places of chunks with these numbers; a number may come with its own audio: (number, audio)."""
    segment = Segment(TrackMixer("agent", 1), from_mulaw)
    told = [(seq, noise(n)) if isinstance(seq, int) else seq for n, seq in enumerate(seqs)]
    return [segment.place(seq, payload) for seq, payload in told]


@pytest.mark.parametrize("first", [0, 1, 77, (1 << 32) - 2])
@pytest.mark.parametrize("step", [1, 5, 800])
def test_numbers_count_chunks_from_wherever_they_start_in_steps_of_any_size(first, step):
    assert places(*((first + step * n) % (1 << 32) for n in range(5))) == [0, 1, 2, 3, 4]


def test_a_gap_is_as_many_chunks_as_are_missing():
    assert places(1, 2, 5, 6) == [0, 1, 4, 5]


@pytest.mark.fault(25)
def test_the_same_number_with_the_same_audio_is_a_repeat():
    assert places((1, b"a"), (2, b"b"), (2, b"b"), (3, b"c")) == [0, 1, 1, 2]


def test_the_same_number_with_other_audio_is_the_next_chunk():
    assert places((0, b"a"), (0, b"b"), (0, b"b"), (0, b"c")) == [0, 1, 2, 3]
    assert places((1, b"a"), (1, b"b"), (2, b"c"), (2, b"d")) == [0, 1, 2, 3]


def test_a_call_without_numbers_that_begins_with_silence_keeps_its_length():
    assert places((0, b"-"), (0, b"-"), (0, b"-"), (0, b"a"), (0, b"-"), (0, b"b")) == [0, 0, 0, 3, 4, 5]


def test_an_older_number_gets_its_own_place():
    assert places(1, 2, 4, 3, 5) == [0, 1, 3, 2, 4]


@given(st.lists(st.integers(0, (1 << 32) - 1)))
def test_any_numbers_have_places(seqs):
    assert len(places(*seqs)) == len(seqs)


def test_a_single_participant_passes_byte_by_byte():
    mixer = TrackMixer("customer", 2)
    one = Segment(mixer, from_mulaw)
    for n in range(5):
        assert mixer.take(one, n, noise(n), 0.1 * n) == Packet("customer", 2 * TRACK_STRIDE + n, noise(n), 0.1 * n)
    assert mixer.seconds == pytest.approx(0.5)
    assert mixer.flush(1.0) is None


def test_two_at_once_are_mixed_to_one_track_of_one_length():
    mixer = TrackMixer("agent", 1)
    one, two = Segment(mixer, from_mulaw), Segment(mixer, from_mulaw)
    voices = [g711.encode((6000 * np.sin(np.arange(4000) / k)).astype(np.int16)).tobytes() for k in (5, 11)]
    packets = []
    for n in range(5):
        for segment, voice in ((two, voices[1]), (one, voices[0])):
            taken = mixer.take(segment, n, voice[CHUNK * n : CHUNK * (n + 1)], 0.1 * n)
            packets += [taken] if taken else []
    flush = mixer.flush(0.5)
    assert [packet.seq - TRACK_STRIDE for packet in packets] == [0, 1, 2, 3, 4]
    heard = g711.decode(np.frombuffer(b"".join(packet.data for packet in packets), np.uint8)).astype(int)
    whole = [g711.decode(np.frombuffer(voice, np.uint8)).astype(int) for voice in voices]
    # `two` leads, so `one` comes a chunk later.
    wanted = whole[1] + np.concatenate([np.zeros(CHUNK, int), whole[0][:-CHUNK]])
    assert np.abs(heard - wanted).max() <= 600  # half a step of mu-law at that level
    assert flush == Packet("agent", TRACK_STRIDE + 5, voices[0][-CHUNK:], 0.5)


def test_another_leads_when_the_first_is_on_hold_or_gone_and_nothing_is_lost():
    mixer = TrackMixer("agent", 1)
    one, two = Segment(mixer, from_mulaw), Segment(mixer, from_mulaw)
    mixer.take(one, 0, noise(0), 0.0)
    assert mixer.take(two, 0, noise(1), 0.1) is None  # waits for the one who leads
    after = mixer.take(two, 1, noise(2), 0.1 + LEAD_TIMEOUT)
    assert after == Packet("agent", TRACK_STRIDE + 1, noise(1) + noise(2), 0.1 + LEAD_TIMEOUT)
    two.stopped = True
    assert mixer.take(one, 1, noise(3), 0.7) == Packet("agent", TRACK_STRIDE + 2, noise(3), 0.7)


def test_waiting_audio_is_bounded_and_repeats_are_dropped():
    mixer = TrackMixer("agent", 1)
    one, two = Segment(mixer, from_mulaw), Segment(mixer, from_mulaw)
    mixer.take(one, 0, noise(0), 0.0)
    told = [mixer.take(two, n, noise(n), 0.0) for n in range(20)]
    assert told.count(None) * CHUNK == MAX_WAITING // CHUNK * CHUNK
    assert told[-1] == "mixed_too_late"
    assert mixer.take(two, 0, noise(0), 0.0) == "duplicate"
