"""Whole calls through whole graphs: real sockets, real threads, real files."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flowcore import Packet
from flowcore.testing import NodeHarness, joined
from nodes.transforms.decode_mulaw import DecodeMulaw
from nodes.transforms.interleave import Interleave
from nodes.transforms.reorder import Reorder
from tests.support.live import Live
from tests.support.phone import MESSAGE, Phone, said, stereo
from tools.load import Load, call_id, frame, mulaw

SILENCE = 0


@pytest.mark.slow
def test_twenty_calls_at_once_and_no_sample_in_the_wrong_call(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"], calls=20) as live:
        result = Load(live.url, 20, 2.0).run()
    assert (result.refused, result.closed, result.unclosed) == (0, 0, 0)
    for call in range(20):
        assert np.array_equal(stereo(tmp_path / f"{call_id(call)}.wav"), said(call, 2.0))
    assert live.dropped() == {}
    assert live.engine.totals.reasons == {"stop": 20}


def test_a_call_cut_in_mid_message_keeps_every_whole_message(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"], calls=1) as live:
        phone = Phone(live.url)
        phone.start()
        phone.talk(7, 1.0)
        half = frame(phone.sender.media("agent", bytes(160)))
        phone.socket.sendall(half[: len(half) // 2])
        phone.socket.close()
    assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 1.0))
    assert live.engine.totals.reasons == {"peer_lost": 1}


def test_garbage_ends_its_own_call_and_no_other(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"], calls=2) as live:
        good, bad = Phone(live.url, "good"), Phone(live.url, "bad")
        good.start()
        bad.start()
        bad.talk(1, 0.5)
        bad.say(b"no json", b"[]", b"{}", b'{"event":"Media"}', b'{"event":"Hold"}')
        bad.talk(1, 0.5)
        good.talk(2, 1.0)
        bad.say(*[b"no json"] * 16)
        assert bad.socket.recv(4096)[:1] == b"\x88"  # a close frame, which a well-behaved peer would answer
        bad.socket.close()
        good.stop()
        good.hang_up()
    assert np.array_equal(stereo(tmp_path / "good.wav"), said(2, 1.0))
    assert len(stereo(tmp_path / "bad.wav")) == 8000
    assert live.engine.totals.reasons == {"stop": 1, "peer_broke_protocol": 1}
    dropped = live.dropped()
    assert dropped["bad_message:not_json"] >= 16
    assert dropped["unknown_event"] == 1


def test_media_before_start_is_counted_and_stop_without_start_is_no_call(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"], calls=1) as live:
        early, never = Phone(live.url, "early"), Phone(live.url, "never")
        never.stop()
        never.hang_up()
        early.say(early.sender.media("agent", bytes(160)))
        early.start()
        early.talk(3, 0.2)
        early.stop()
        early.hang_up()
    assert live.dropped()["media_before_start"] == 1
    assert live.dropped()["stop_before_start"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["early.wav", "early.wav.json"]


def test_the_same_call_twice_at_once_is_two_whole_recordings(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"], calls=2) as live:
        phones = [Phone(live.url, "same"), Phone(live.url, "same")]
        for number, phone in enumerate(phones):
            phone.start()
            phone.talk(number, 0.4)
        for phone in phones:
            phone.stop()
            phone.hang_up()
    recordings = [stereo(tmp_path / name) for name in ("same.wav", "same-2.wav")]
    expected = [said(0, 0.4), said(1, 0.4)]
    assert any(np.array_equal(recordings[0], one) for one in expected)
    assert any(np.array_equal(recordings[1], one) for one in expected)
    assert not np.array_equal(*recordings)


def test_stopping_the_process_leaves_whole_files(tmp_path):
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"]) as live:
        phones = [Phone(live.url, f"call{number}") for number in range(5)]
        for number, phone in enumerate(phones):
            phone.start()
            phone.talk(number, 0.3)
        while sum(flow.stats()["ordered"].arrived.chunks for flow in tuple(live.engine.flows.values())) < 150:
            pass  # until all audio has come
    for number in range(5):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), said(number, 0.3))
    assert live.engine.totals.reasons == {"stopping": 5}


def through_the_trunk(packets):
    """What graphs/record.yaml makes of packets, without sockets: the stereo samples, and the books."""
    reorder = NodeHarness(Reorder, {"window": "120ms", "chunk": "100ms"}).push(*packets).end()
    decoded = NodeHarness(DecodeMulaw).push(*reorder.out).end()
    return joined(NodeHarness(Interleave).push(*decoded.out).end().out), reorder


def packets_of(call: int, seconds: float):
    return [
        Packet(track, at // MESSAGE + 1, mulaw(call, track, seconds)[at : at + MESSAGE], at / 8000)
        for at in range(0, round(seconds * 8000), MESSAGE)
        for track in ("agent", "customer")
    ]


MAX_DELAY = 0.099
"""Seconds by which a packet is late at most: less than `window`, so that no packet counts as lost."""

FIRST_PACKETS = 5
"""Packets of each party that are sure to be seen before it is decided how the parties stand."""


class DelayedCall(NamedTuple):
    """A call whose packets are late by ``delays`` in seconds, and repeated: at a place, and so many packets later."""

    number: int
    seconds: float
    delays: list[float]
    repeats: list[tuple[int, int]]

    def packets(self):
        return packets_of(self.number, self.seconds)

    def arrived(self):
        packets = self.packets()
        stamps = [packet.arrived + delay for packet, delay in zip(packets, self.delays, strict=False)]
        order = sorted(range(len(packets)), key=lambda place: stamps[place])
        for place, behind in self.repeats:
            at = place % len(order)
            order.insert(min(len(order), at + behind), order[at])
        latest = accumulate((stamps[place] for place in order), max)
        return [replace(packets[place], arrived=stamp) for place, stamp in zip(order, latest, strict=True)]


DELAYED_CALLS = st.builds(
    DelayedCall,
    st.integers(0, 1000),
    st.sampled_from([0.3, 1.0]),
    st.lists(st.just(0.0) | st.floats(0, MAX_DELAY), min_size=100, max_size=100),
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 6)), max_size=5),
)


@pytest.mark.fault(25)
@settings(max_examples=150, deadline=None)
@given(DELAYED_CALLS, st.tuples(*[st.integers(0, FIRST_PACKETS - 1)] * 2))
@pytest.mark.slow
def test_any_reorder_within_the_window_and_any_repeats_give_the_input_bit_by_bit(call, in_time):
    for party, number in enumerate(in_time):
        call.delays[2 * number + party] = 0.0  # a party whose packets are all late seems to begin later
    heard, _ = through_the_trunk(call.arrived())
    expected, _ = through_the_trunk(call.packets())
    assert np.array_equal(heard, expected)
    assert len(heard) == round(call.seconds * 8000)


@pytest.mark.fault(25)
@settings(max_examples=150, deadline=None)
@given(DELAYED_CALLS, st.tuples(*[st.floats(0, MAX_DELAY)] * 2))
@pytest.mark.slow
def test_parties_with_any_delays_are_whole_and_apart_by_what_all_first_packets_of_one_have_in_common(call, least):
    for place in range(2 * FIRST_PACKETS):
        call.delays[place] = max(call.delays[place], least[place % 2])
    reorder = NodeHarness(Reorder).push(*call.arrived()).end()
    starts = {}
    for track in ("agent", "customer"):
        chunks = [chunk for chunk in reorder.out if chunk.track == track]
        assert all(before.end == after.start for before, after in pairwise(chunks))
        laid = b"".join(chunk.samples.tobytes() for chunk in chunks)
        assert laid == b"".join(packet.data for packet in call.packets() if packet.track == track)
        starts[track] = chunks[0].start / 8000
    common = [min(call.delays[place] for place in range(party, 2 * FIRST_PACKETS, 2)) for party in (0, 1)]
    assert abs(starts["agent"] - starts["customer"]) <= max(common) + 1 / 8000


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(12, 90), max_size=12), st.integers(0, 1000))
@pytest.mark.slow
def test_a_lost_message_is_silence_of_its_length_in_its_channel_only(lost, call):
    packets = packets_of(call, 1.0)
    heard, reorder = through_the_trunk([packet for number, packet in enumerate(packets) if number not in lost])
    expected, _ = through_the_trunk(packets)
    for number in lost:
        at = number // 2 * MESSAGE
        expected[at : at + MESSAGE, number % 2] = SILENCE
    assert np.array_equal(heard, expected)
    assert reorder.filled["lost"] == pytest.approx(len(lost) * 0.02)
