"""Participants as tracks: which chunk of a segment it is, and who is mixed into whom."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Packet
from nodes.audio import g711
from nodes.audio.codecs import from_mulaw
from nodes.ringcx.segments import MAX_WAITING, TRACK_STRIDE, Dropped, Filled, Segment, TrackMixer

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


def told(mixer, segment, place, data, now):
    return list(mixer.take(segment, place, data, now))


def two_of(mixer, now=0.0):
    """Two participants of a track who may speak from ``now`` on."""
    segments = Segment(mixer, from_mulaw), Segment(mixer, from_mulaw)
    for segment in segments:
        mixer.join(segment, now)
    return segments


def test_a_single_participant_passes_byte_by_byte():
    mixer = TrackMixer("customer", 2)
    one = Segment(mixer, from_mulaw)
    mixer.join(one, 0.0)
    for n in range(5):
        assert told(mixer, one, n, noise(n), 0.1 * n) == [Packet("customer", 2 * TRACK_STRIDE + n, noise(n), 0.1 * n)]
    assert mixer.seconds == pytest.approx(0.5)
    assert list(mixer.flush(1.0)) == []


@pytest.mark.parametrize("behind", [0.0, 0.001, 0.05, 0.079])
@pytest.mark.parametrize("first", [0, 1])
def test_two_at_once_are_mixed_as_they_spoke_whoever_comes_first(first, behind):
    mixer = TrackMixer("agent", 1)
    segments = two_of(mixer)
    voices = [g711.encode((6000 * np.sin(np.arange(4000) / k)).astype(np.int16)).tobytes() for k in (5, 11)]
    packets = []
    for n in range(5):
        for which, late in ((first, 0.0), (1 - first, behind)):
            data = voices[which][CHUNK * n : CHUNK * (n + 1)]
            packets += told(mixer, segments[which], n, data, 0.1 * n + late)
    packets += mixer.flush(0.6)
    assert [packet.seq - TRACK_STRIDE for packet in packets] == list(range(len(packets)))
    assert [packet.arrived for packet in packets[:5]] == [0.1 * n for n in range(5)]
    heard = g711.decode(np.frombuffer(b"".join(packet.data for packet in packets), np.uint8)).astype(int)
    shift = round(behind * 8000)
    wanted = np.zeros(4000 + shift, int)
    for which, start in ((first, 0), (1 - first, shift)):
        wanted[start : start + 4000] += g711.decode(np.frombuffer(voices[which], np.uint8))
    assert np.abs(heard - wanted).max() <= 600  # half a step of mu-law at that level


def test_another_leads_when_the_first_is_gone_and_stands_where_it_spoke():
    mixer = TrackMixer("agent", 1)
    one, two = two_of(mixer, -1.0)
    assert told(mixer, one, 0, noise(0), 0.0) == [Packet("agent", TRACK_STRIDE, noise(0), 0.0)]
    chunks = [told(mixer, two, n, noise(1 + n), 0.25 + 0.1 * n) for n in range(4)]
    assert chunks[:3] == [[], [], []]  # they wait for the one who leads
    [filled, packet] = chunks[3]
    assert filled == Filled("handover", 0.15)
    assert packet == Packet("agent", TRACK_STRIDE + 1, b"\xff" * 1200 + b"".join(noise(1 + n) for n in range(4)), 0.55)
    two.stopped = True
    assert told(mixer, one, 1, noise(9), 0.65) == [Packet("agent", TRACK_STRIDE + 2, noise(9), 0.65)]


def test_a_repeat_of_the_leader_takes_nothing_of_the_others():
    mixer = TrackMixer("agent", 1)
    one, two = two_of(mixer)
    silence = b"\xff" * CHUNK
    packets = told(mixer, one, 0, silence, 0.0) + told(mixer, one, 0, silence, 0.0) + told(mixer, two, 0, noise(1), 0.0)
    assert [packet.seq - TRACK_STRIDE for packet in packets] == [0, 0]
    assert packets[0].data == silence
    assert np.array_equal(*(g711.decode(np.frombuffer(data, np.uint8)) for data in (packets[1].data, noise(1))))


@pytest.mark.parametrize("early", [-0.015, 0.0, 0.015])
def test_a_participant_who_goes_on_at_once_overlaps_the_other_by_no_sample_within_jitter(early):
    mixer = TrackMixer("agent", 1)
    one, two = two_of(mixer, -1.0)
    packets = [*told(mixer, one, 0, noise(0), 0.0), *told(mixer, two, 0, noise(1), 0.1 - early)]
    packets += [*told(mixer, two, 1, noise(2), 0.2 - early), *mixer.flush(0.3)]
    assert b"".join(packet.data for packet in packets) == noise(0) + noise(1) + noise(2)


def test_what_the_leader_says_waits_for_others_no_longer_than_half_a_second():
    mixer = TrackMixer("agent", 1)
    one, _ = two_of(mixer)
    ready = [told(mixer, one, n, noise(n), 0.1 * n) for n in range(8)]
    assert ready[:6] == [[]] * 6
    assert [packet.seq - TRACK_STRIDE for packet in ready[6]] == list(range(7))
    assert [packet.seq - TRACK_STRIDE for packet in ready[7]] == [7]


def test_waiting_audio_is_bounded_and_repeats_are_dropped():
    mixer = TrackMixer("agent", 1)
    one, two = two_of(mixer, -1.0)
    told(mixer, one, 0, noise(0), 0.0)
    results = [told(mixer, two, n, noise(n), 0.0) for n in range(20)]
    assert results.count([]) * CHUNK == MAX_WAITING // CHUNK * CHUNK
    assert results[-1] == [Dropped("mixed_too_late", 0.1)]
    assert told(mixer, two, 0, noise(0), 0.0) == [Dropped("duplicate", 0.1)]


@pytest.mark.slow
@given(st.data())
def test_whatever_two_participants_do_each_chunk_comes_out_once_in_order_and_bounded(data):
    """Any order, pauses and stops: the track's numbers are a count, and it is as long as what was taken."""
    mixer = TrackMixer("agent", 1)
    segments = two_of(mixer)
    now, places, packets, rest = 0.0, [0, 0], [], 0.0
    for _ in range(data.draw(st.integers(0, 30))):
        now += data.draw(st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.3, 2.0]))
        which = data.draw(st.integers(0, 1))
        segments[which].stopped = data.draw(st.booleans())
        for result in told(mixer, segments[which], places[which], noise(places[which]), now):
            if isinstance(result, Packet):
                packets.append(result)
            else:
                rest += result.seconds
        places[which] += 1
    packets += mixer.flush(now)
    assert [packet.seq - TRACK_STRIDE for packet in packets] == list(range(len(packets)))
    seconds = sum(len(packet.data) for packet in packets) / 8000
    assert seconds == pytest.approx(mixer.seconds)
    assert max(places) * 0.1 - rest - 1e-6 <= seconds <= sum(places) * 0.1 + rest + 0.6 * len(packets)


@pytest.mark.parametrize("step", [1, 160])
def test_numbers_of_empty_chunks_are_no_lost_chunks(step):
    (segment, _) = two_of(TrackMixer("agent", 1))
    places = [segment.place(1 * step, noise(1)), segment.place(2 * step, noise(2))]
    for number in (3, 4, 5):
        segment.skip(number * step)
    assert [*places, segment.place(6 * step, noise(3)), segment.place(8 * step, noise(4))] == [0, 1, 2, 4]
