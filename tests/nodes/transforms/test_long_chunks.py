"""Media and chunks of seconds: both parties of a recording are whole."""

import numpy as np
import pytest

from flowcore import Audio, Packet
from flowcore.testing import NodeHarness, joined
from nodes.transforms.interleave import Interleave
from nodes.transforms.reorder import Reorder

RATE = 8000
TRACKS = ("agent", "customer")
NOISE = np.random.default_rng(1).integers(0, 255, (2, 60 * RATE)).astype(np.uint8)


def recorded(seconds: float, length: float, *, offset: float = 0.0, chunk: str = "100ms", wait: str = "5s"):
    """Return both channels of a call whose parties send media of ``length``, the customer's ``offset`` later."""
    size = round(length * RATE)
    packets = sorted(
        (at + length + offset * channel, channel, number, NOISE[channel, number * size :][:size].tobytes())
        for channel in range(2)
        for number, at in enumerate(np.arange(0, seconds - 1e-9, length))
    )
    ordered, both = NodeHarness(Reorder, {"chunk": chunk}), NodeHarness(Interleave, {"wait": wait})
    for arrived, channel, number, data in packets:
        ordered.push(Packet(TRACKS[channel], number + 1, data, 100 + arrived))
    both.push(*ordered.end().out).end()
    return joined(both.out), both


@pytest.mark.fault(71)
@pytest.mark.parametrize("chunk", ["100ms", "2s"])
@pytest.mark.parametrize("length", [1.0, 1.2, 2.0, 3.0])
def test_media_of_more_than_a_second_is_whole_for_both_parties(length, chunk):
    samples, both = recorded(12.0, length, chunk=chunk)
    assert (samples == NOISE[:, : 12 * RATE].T).all()
    assert not both.dropped
    assert not both.filled


@pytest.mark.fault(71)
@pytest.mark.parametrize("length", [2.6, 4.9, 5.5, 6.1, 8.1])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5, 0.95])
def test_media_as_long_as_a_message_may_be_is_whole_for_both_parties(length, offset):
    """64 KiB are 6.1 s in the WebSocket's base64, and 8.2 s over gRPC."""
    samples, both = recorded(3 * length, length, offset=offset * length if offset != 0.3 else 0.3)
    assert not both.dropped
    for channel in range(2):
        heard = samples[:, channel].tobytes()
        assert NOISE[channel, : 3 * round(length * RATE)].tobytes() in heard


@pytest.mark.fault(71)
@pytest.mark.parametrize("wait", ["100ms", "1s", "5s"])
@pytest.mark.parametrize("length", [0.02, 0.1])
def test_chunks_that_are_longer_than_the_recorder_waits_lose_no_party(length, wait):
    samples, both = recorded(12.0, length, chunk="2s", wait=wait)
    assert (samples == NOISE[:, : 12 * RATE].T).all()
    assert not both.dropped


@pytest.mark.fault(71)
@pytest.mark.parametrize("chunk", [0.02, 1.0, 6.0, 10.0])
def test_chunks_of_any_length_are_joined_whole(chunk):
    size = round(chunk * RATE)
    both = NodeHarness(Interleave)
    for at in range(0, 60 * RATE, size):
        both.push(*(Audio(NOISE[c, at : at + size], "mulaw", RATE, track, at) for c, track in enumerate(TRACKS)))
    assert (joined(both.end().out) == NOISE.T).all()
    assert not both.dropped


def test_a_party_that_never_came_is_waited_for_less_after_20_s_and_may_join():
    both = NodeHarness(Interleave)
    second = [Audio(NOISE[0, at : at + RATE], "mulaw", RATE, "agent", at) for at in range(0, 30 * RATE, RATE)]
    leads = []
    for chunk in second:
        both.push(chunk)
        leads.append(chunk.end / RATE - (both.out[-1].end / RATE if both.out else 0))
    assert leads == [1, 2, 3, 4, *[5] * 22, 2, 2, 2, 2]
    both.push(Audio(NOISE[1, 28 * RATE : 30 * RATE], "mulaw", RATE, "customer", 28 * RATE)).end()
    assert not both.dropped
    assert (joined(both.out)[28 * RATE :, 1] == NOISE[1, 28 * RATE : 30 * RATE]).all()


def test_a_party_that_stalls_is_waited_for_as_long_as_the_config_says():
    both = NodeHarness(Interleave)

    def push(track, first, last):
        channel = TRACKS.index(track)
        for at in range(first * RATE, last * RATE, RATE):
            both.push(Audio(NOISE[channel, at : at + RATE], "mulaw", RATE, track, at))

    push("agent", 0, 10)
    push("customer", 3, 10)  # 7 s late: in time for its last 5 s
    assert both.dropped["late"] == 2.0
    push("agent", 10, 14)
    push("customer", 10, 14)
    push("agent", 14, 19)
    push("customer", 14, 19)
    assert both.dropped["late"] == 2.0
    push("agent", 19, 45)  # the customer is on hold
    push("customer", 43, 45)
    both.end()
    assert both.dropped["late"] == 2.0
    assert (joined(both.out)[43 * RATE :, 1] == NOISE[1, 43 * RATE : 45 * RATE]).all()
