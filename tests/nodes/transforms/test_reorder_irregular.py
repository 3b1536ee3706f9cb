"""Sequence numbers that count nothing, from the first packet or from the middle of a call on, through `reorder`."""

import random

import pytest

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.reorder import Reorder
from tests.support.hostile_calls import IRREGULAR, NOISE, RATE, T0, TRACKS

SECONDS = 8


def packets(numbering, seed=1, *, length=160, since=0.0, tracks=TRACKS, jitter=0.005):
    """A call in time; the numbers of ``tracks`` count packets until ``since`` seconds, and nothing afterwards."""
    rng = random.Random(seed)
    number = IRREGULAR[numbering]
    sent = []
    for count in range(SECONDS * RATE // length):
        for track in TRACKS:
            end = (count + 1) * length / RATE
            irregular = track in tracks and end > since
            seq = number(rng, count) if irregular else 5000 + count
            begin = (2 * count + (track == "agent")) * length
            arrived = T0 + end + rng.uniform(0, jitter)
            sent.append(Packet(track, seq, NOISE[begin : begin + length], arrived))
    return sorted(sent, key=lambda packet: packet.arrived)


def heard(harness, track):
    return b"".join(chunk.samples.tobytes() for chunk in harness.out if chunk.track == track)


def spoken(sent, track):
    return b"".join(packet.data for packet in sent if packet.track == track)


def named_after(sent, since=0.0):
    """The events of what comes within 2 s of the change."""
    harness = NodeHarness(Reorder).push(*(packet for packet in sent if packet.arrived < T0 + since + 2))
    return [name for name, _ in harness.events]


@pytest.mark.parametrize("length", [80, 160, 480, 800, 1600])
@pytest.mark.parametrize("numbering", IRREGULAR)
@pytest.mark.fault(69)
def test_numbers_that_count_nothing_are_named_and_the_order_is_that_of_arrival(numbering, length):
    sent = packets(numbering, length=length)
    harness = NodeHarness(Reorder).push(*sent).end()
    assert [name for name, _ in harness.events] == ["numbering_unknown"]
    assert named_after(sent) == ["numbering_unknown"]
    for track in TRACKS:
        assert heard(harness, track) == spoken(sent, track)


@pytest.mark.parametrize("tracks", [TRACKS, TRACKS[:1]])
@pytest.mark.parametrize("numbering", sorted(IRREGULAR.keys() - {"shuffled"}))  # most of that looks like reordering
@pytest.mark.fault(69)
def test_numbers_that_count_nothing_from_the_middle_of_a_call_on_are_named_and_no_packet_is_lost(numbering, tracks):
    sent = packets(numbering, since=3.3, tracks=tracks)
    harness = NodeHarness(Reorder).push(*sent).end()
    assert named_after(sent, 3.3)[-1] == "numbering_unknown"
    names = [name for name, _ in harness.events]
    assert names.count("numbering_unknown") == 1
    assert "hold_ended" not in names
    assert not harness.dropped
    for track in TRACKS:
        laid = heard(harness, track)
        assert all(packet.data in laid for packet in sent if packet.track == track)


def test_an_exact_repeat_is_dropped_once_numbers_count_nothing():
    sent = packets("random", jitter=0.0)
    harness = NodeHarness(Reorder).push(*(packet for packet in sent for _ in range(2))).end()
    assert set(harness.dropped) == {"duplicate"}
    for track in TRACKS:
        assert heard(harness, track) == spoken(sent, track)


def test_a_number_that_repeats_with_other_audio_is_no_duplicate():
    rng = random.Random(5)
    sent = [Packet(one.track, rng.randrange(100), one.data, one.arrived) for one in packets("random")]
    harness = NodeHarness(Reorder).push(*sent).end()
    assert not harness.dropped
    for track in TRACKS:
        assert heard(harness, track) == spoken(sent, track)


@pytest.mark.parametrize("loss", [0.3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_numbers_count_though_half_of_the_packets_are_lost(loss, seed):
    rng = random.Random(seed)
    sent = [one for one in packets("random", since=SECONDS + 1) if rng.random() > loss]
    harness = NodeHarness(Reorder).push(*sent).end()
    assert "numbering_unknown" not in [name for name, _ in harness.events]
    assert harness.filled["lost"] == pytest.approx(2 * SECONDS - 0.02 * len(sent), abs=0.5)


@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0])
def test_numbers_count_although_every_packet_comes_twice(delay):
    once = packets("random", since=SECONDS + 1)
    again = [Packet(one.track, one.seq, one.data, one.arrived + delay) for one in once]
    again = [packet for packet in again if packet.arrived < once[-1].arrived]
    sent = sorted([*once, *again], key=lambda packet: packet.arrived)
    harness = NodeHarness(Reorder).push(*sent).end()
    assert harness.events == []
    assert set(harness.dropped) == {"duplicate"}
    for track in TRACKS:
        assert heard(harness, track) == spoken(once, track)


@pytest.mark.parametrize("wraps_at", [256, 1 << 10])
def test_a_count_that_wraps_is_named_once_for_each_party(wraps_at):
    once = packets("random", since=SECONDS + 1, length=40)
    sent = [Packet(one.track, one.seq % wraps_at, one.data, one.arrived) for one in once]
    harness = NodeHarness(Reorder).push(*sent).end()
    assert [name for name, _ in harness.events] == ["sequence_restarted"] * 2
    for track in TRACKS:
        assert heard(harness, track) == spoken(sent, track)
