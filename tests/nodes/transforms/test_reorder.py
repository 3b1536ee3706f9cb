"""What a jitter buffer must do, told as calls: after the tests of GStreamer's rtpjitterbuffer and of WebRTC's NetEQ."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Packet
from flowcore.testing import NodeHarness, joined
from nodes.transforms.reorder import Reorder

BOTH = ("agent", "customer")
FRAMES = 160  # samples in a packet: 20 ms
NOISE = random.Random(1).randbytes(1 << 20)
T0 = 86_400.0  # arrival of the first packet: any monotonic clock

schemes = pytest.mark.parametrize("scheme", ["per_track", "shared"])
all_counters = pytest.mark.parametrize(
    ("scheme", "stride"), [("per_track", 1), ("per_track", 2), ("shared", 1), ("shared", 2)]
)


def call(
    seconds: float, *, scheme: str = "per_track", stride: int = 1, first: int = 1, tracks: Sequence[str] = BOTH
) -> list[Packet]:
    """A call in real time, every 20 ms one packet of each track, each with bytes of its own."""
    return numbered(
        [(track, T0 + 0.02 * at) for at in range(round(seconds * 50)) for track in tracks], scheme, stride, first
    )


def numbered(sent: Iterable[tuple[str, float]], scheme: str, stride: int = 1, first: int = 1) -> list[Packet]:
    counts: dict[str, int] = defaultdict(int)
    packets = []
    for track, when in sent:
        counter = "" if scheme == "shared" else track
        at = 131 * len(packets)
        packets.append(Packet(track, first + stride * counts[counter], NOISE[at : at + FRAMES], when))
        counts[counter] += 1
    return packets


def play(packets: Iterable[Packet], **config: str) -> NodeHarness:
    """The whole call through one node; the harness checks the law at its end."""
    return NodeHarness(Reorder, config).push(*packets).end()


def media(packets: Iterable[Packet], track: str, lost: Iterable[Packet] = ()) -> bytes:
    gone = {id(packet) for packet in lost}
    return b"".join(b"\xff" * len(p.data) if id(p) in gone else p.data for p in packets if p.track == track)


def heard(harness: NodeHarness, track: str) -> bytes:
    return joined(harness.out, track).astype(np.uint8).tobytes()


def holes(harness: NodeHarness, track: str) -> list[tuple[float, float]]:
    """Where a track jumps, as seconds on the clock: from, to."""
    found, end = [], 0
    for chunk in harness.out:
        if chunk.track == track:
            if chunk.start != end:
                found.append((end / 8000, chunk.start / 8000))
            end = chunk.end
    return found


def names(harness: NodeHarness) -> list[str]:
    return [name for name, _ in harness.events]


def assert_whole(harness: NodeHarness, packets: Sequence[Packet], lost: Sequence[Packet] = ()) -> None:
    """Each track holds exactly its packets, from 0 on, with silence for the lost ones."""
    for track in {packet.track for packet in packets}:
        assert holes(harness, track) == []
        assert heard(harness, track) == media(packets, track, lost)


# --- properties ---------------------------------------------------------------------------------------------------


@st.composite
def disturbed(draw):
    """A call, and the same as a network brings it: cut into batches, reordered within 100 ms, with repeats."""
    packets = call(
        draw(st.sampled_from([0.06, 0.3, 1.0])),
        scheme=draw(st.sampled_from(["per_track", "shared"])),
        stride=draw(st.sampled_from([1, 2])),
        first=draw(st.sampled_from([0, 1, 65_500, 2**32])),
        tracks=draw(st.sampled_from([BOTH, BOTH[::-1], ("agent",)])),
    )
    chance = draw(st.randoms(use_true_random=False))
    reach = draw(st.sampled_from([0, 1, 4])) * len({packet.track for packet in packets})
    repeats = draw(st.sampled_from([0, 0.1, 0.5]))
    keyed = []
    for at, packet in enumerate(packets):
        keyed.append((at + chance.randint(0, reach), packet))
        if chance.random() < repeats:
            keyed.append((at + chance.randint(0, reach), packet))
    order = [packet for _, packet in sorted(keyed, key=lambda pair: pair[0])]
    return packets, stamped(order, chance, draw(st.sampled_from([0.001, 0.02])))


def stamped(order: Sequence[Packet], chance: random.Random, jitter: float) -> list[Packet]:
    """Arrivals that never go back: each at the latest of what was sent so far, and a little later."""
    arrived, now = [], 0.0
    for packet in order:
        now = max(now, packet.arrived + chance.uniform(0, jitter))
        arrived.append(Packet(packet.track, packet.seq, packet.data, now))
    return arrived


@settings(max_examples=150, deadline=None)
@given(disturbed())
@pytest.mark.slow
def test_split_reordered_and_repeated_packets_give_the_same_bytes(case):
    packets, arrived = case
    harness = play(arrived)
    assert_whole(harness, packets)
    assert dict(harness.dropped_chunks) == (
        {"duplicate": len(arrived) - len(packets)} if len(arrived) > len(packets) else {}
    )
    assert not harness.filled
    assert not harness.events
    lengths = {track: [c.frames for c in harness.out if c.track == track] for track in BOTH}
    assert all(frames == 800 for own in lengths.values() for frames in own[:-1])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["per_track", "shared"]),
    st.sampled_from([1, 2]),
    st.sampled_from(["wait", "skip_late"]),
    st.sampled_from([BOTH, BOTH[::-1]]),
    st.sets(st.integers(20, 140), max_size=60),
)
def test_a_lost_packet_is_silence_of_its_length_in_its_track_only(scheme, stride, mode, tracks, gone):
    packets = call(1.5, scheme=scheme, stride=stride, tracks=tracks)
    lost = [packets[at] for at in gone]
    harness = play([packet for packet in packets if packet not in lost], mode=mode)
    assert_whole(harness, packets, lost)
    assert harness.filled["lost"] == pytest.approx(0.02 * len(lost))
    assert not harness.dropped


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(BOTH), st.integers(-5, 400), st.integers(0, 300)), max_size=60))
def test_any_numbers_at_all_keep_the_books_balanced(wild):
    packets = [Packet(track, number, NOISE[:length], T0 + 0.02 * at) for at, (track, number, length) in enumerate(wild)]
    harness = play(packets)
    for track in BOTH:
        own = [chunk for chunk in harness.out if chunk.track == track]
        assert all(one.end <= two.start for one, two in pairwise(own))


# --- one story each -----------------------------------------------------------------------------------------------


def test_first_packet_starts_the_clock_whatever_its_number():
    packets = call(0.5, first=-77)
    assert_whole(play(packets), packets)


def test_chunks_are_as_long_as_asked_for_and_the_rest_comes_at_the_end():
    packets = call(0.26, tracks=("agent",))
    assert [chunk.frames for chunk in play(packets, chunk="50ms").out] == [400] * 5 + [80]
    assert [chunk.frames for chunk in play(packets, chunk="90ms").out] == [720, 720, 640]


def test_chunks_leave_while_the_call_goes_on():
    harness = NodeHarness(Reorder).push(*call(1.0))
    assert all(joined(harness.out, track).size == 8000 for track in BOTH)


@all_counters
def test_lost_packet_is_given_up_once_the_window_is_over(scheme, stride):
    packets = call(2, scheme=scheme, stride=stride)
    lost, at = packets[51], 52
    harness = NodeHarness(Reorder).push(*packets[:51])
    while not harness.filled:
        harness.push(packets[at])
        at += 1
    assert packets[at - 1].arrived - packets[52].arrived == pytest.approx(0.12)  # seven packets cover more than 120 ms
    assert_whole(harness.push(*packets[at:]).end(), packets, [lost])


@pytest.mark.fault(25)
@schemes
def test_lost_then_late_is_dropped_once(scheme):
    packets = call(2, scheme=scheme)
    lost = packets[41]
    arrived = [p for p in packets if p is not lost]
    again = Packet(lost.track, lost.seq, lost.data, arrived[70].arrived)
    harness = play([*arrived[:70], again, again, *arrived[70:]])
    assert_whole(harness, packets, [lost])
    assert dict(harness.dropped_chunks) == {"late": 1, "duplicate": 1}
    assert harness.filled["lost"] == pytest.approx(0.02)


@schemes
def test_skip_late_never_waits(scheme):
    packets = call(2, scheme=scheme)
    swapped = [*packets[:40], packets[42], packets[41], packets[40], *packets[43:]]
    harness = play(swapped, mode="skip_late")
    lost = [packets[40]] if scheme == "per_track" else [packets[40], packets[41]]
    assert_whole(harness, packets, lost)
    assert dict(harness.dropped_chunks) == {"late": len(lost)}


@schemes
def test_duplicates_are_dropped_and_counted(scheme):
    packets = call(1, scheme=scheme)
    harness = play([packet for packet in packets for _ in range(2)])
    assert_whole(harness, packets)
    assert dict(harness.dropped_chunks) == {"duplicate": 100}
    assert harness.dropped["duplicate"] == pytest.approx(2)


def test_reordered_further_than_the_window_is_late():
    packets = call(2, tracks=("agent",))
    late = packets.pop(40)
    harness = play([*packets[:48], late, *packets[48:]], window="100ms")
    assert harness.dropped_chunks["late"] == 1
    assert harness.filled["lost"] == pytest.approx(0.02)


@pytest.mark.fault(25)
@schemes
@pytest.mark.parametrize("bits", [16, 31, 32])
def test_wrapped_numbers_lose_nothing(bits, scheme):
    top = 2**bits
    packets = [
        Packet(p.track, p.seq % top if bits != 31 else (p.seq + top) % (2 * top) - top, p.data, p.arrived)
        for p in call(3, scheme=scheme, first=top - 60)
    ]
    harness = play(packets)
    assert_whole(harness, packets)
    assert set(names(harness)) == {"sequence_restarted"}
    assert not harness.dropped


@schemes
def test_counter_reset_in_mid_call_loses_nothing(scheme):
    packets = call(4, scheme=scheme, first=1000)
    again = [
        Packet(p.track, at // (2 if scheme == "per_track" else 1), p.data, p.arrived)
        for at, p in enumerate(packets[200:])
    ]
    harness = play(packets[:200] + again)
    assert_whole(harness, packets)
    assert not harness.dropped


def test_early_counter_reset_is_not_taken_for_repeats():
    packets = call(3, tracks=("agent",))
    again = [Packet(p.track, at + 1, p.data, p.arrived) for at, p in enumerate(packets[20:])]
    harness = play(packets[:20] + again)
    assert_whole(harness, packets)
    assert names(harness) == ["sequence_restarted"]


def test_big_gap_is_a_new_count_and_no_hours_of_silence():
    packets = call(2, tracks=("agent",))
    moved = [Packet(p.track, p.seq + 500_000, p.data, p.arrived) for p in packets[50:]]
    harness = play(packets[:50] + moved)
    assert_whole(harness, packets)
    assert names(harness) == ["sequence_restarted"]


def test_one_stray_number_is_dropped_alone():
    packets = call(2, tracks=("agent",))
    stray = Packet("agent", 500_000, bytes(160), packets[50].arrived)
    harness = play([*packets[:50], stray, *packets[50:]])
    assert_whole(harness, packets)
    assert dict(harness.dropped_chunks) == {"stray": 1}


def test_long_loss_is_filled_to_the_sample():
    packets = call(10, tracks=("agent",))
    lost = packets[100:300]
    harness = play(packets[:100] + packets[300:])
    assert_whole(harness, packets, lost)
    assert harness.filled["lost"] == pytest.approx(4)


@all_counters
def test_single_track_of_any_counter(scheme, stride):
    packets = call(2, scheme=scheme, stride=stride, tracks=("customer",))
    lost = packets[40]
    assert_whole(play([p for p in packets if p is not lost]), packets, [lost])


@pytest.mark.parametrize("behind", [1, 5, 60, 300])
@pytest.mark.parametrize("first", [0, 40, 61, 1000])
@schemes
def test_second_track_joins_late_at_the_place_of_the_first(scheme, first, behind):
    sent = [(track, T0 + 0.02 * at) for at in range(400) for track in BOTH if track == "agent" or at >= behind]
    packets = numbered(sent, scheme)
    if scheme == "per_track":
        packets = [
            Packet(p.track, p.seq + first - 1, p.data, p.arrived) if p.track == "customer" else p for p in packets
        ]
    harness = play(packets)
    assert heard(harness, "agent") == media(packets, "agent")
    own = joined(harness.out, "customer").tobytes()
    assert own == b"\xff" * (behind * FRAMES) + media(packets, "customer")
    assert not harness.filled
    assert not harness.dropped


def test_second_track_that_seems_to_continue_the_counter_but_has_its_own():
    sent = [(track, T0 + 0.02 * at) for at in range(200) for track in BOTH if track == "agent" or at >= 50]
    packets = [
        Packet(p.track, p.seq + 51, p.data, p.arrived) if p.track == "customer" else p
        for p in numbered(sent, "per_track")
    ]  # the agent's next number would be 51 or 52, the customer's first is 52
    harness = play(packets)
    assert heard(harness, "agent") == media(packets, "agent")
    assert heard(harness, "customer")[50 * FRAMES :] == media(packets, "customer")
    assert not harness.filled
    assert not harness.dropped


@schemes
def test_tracks_that_come_in_bursts_start_together(scheme):
    sent = [(track, T0 + 0.1 * at + 0.09) for at in range(30) for track in BOTH for _ in range(5)]
    packets = numbered(sent, scheme)
    assert_whole(play(packets), packets)


@schemes
def test_freeze_and_burst_is_no_pause(scheme):
    packets = [
        Packet(p.track, p.seq, p.data, T0 + 5 if T0 + 2 < p.arrived < T0 + 5 else p.arrived)
        for p in call(8, scheme=scheme)
    ]
    harness = play(packets)
    assert_whole(harness, packets)
    assert not harness.events


@pytest.mark.fault(26)
def test_added_delay_is_gone_once_the_burst_is_over():
    packets = [Packet(p.track, p.seq, p.data, T0 + 5 if T0 + 2 < p.arrived < T0 + 5 else p.arrived) for p in call(8)]
    harness = NodeHarness(Reorder).push(*(p for p in packets if p.arrived <= T0 + 5.2))
    assert min(joined(harness.out, track).size for track in BOTH) >= 5.1 * 8000


def on_hold(packets: Sequence[Packet]) -> list[Packet]:
    """98 packets of each track, then 30 s of nothing, then the rest."""
    return [Packet(p.track, p.seq, p.data, p.arrived + 30 * (p.arrived > T0 + 1.95)) for p in packets]


@schemes
def test_hold_of_both_is_a_hole_in_both(scheme):
    packets = on_hold(call(4, scheme=scheme))
    harness = play(packets)
    for track in BOTH:
        assert holes(harness, track) == [(1.96, 31.96)]
        assert heard(harness, track) == media(packets[:196], track) + b"\xff" * 240_000 + media(packets[196:], track)
    assert harness.events == [("hold_ended", {"track": "", "start": 1.96, "seconds": 30.0})]
    starts = [chunk.start for chunk in harness.out]
    assert starts == sorted(starts)  # what was said before a hold leaves before what was said after it


@schemes
def test_hold_of_both_collapsed(scheme):
    packets = on_hold(call(4, scheme=scheme))
    assert_whole(play(packets, hold="collapse"), packets)


@schemes
def test_lost_packets_after_a_hold_are_silence_after_the_hold(scheme):
    packets = on_hold(call(4, scheme=scheme))
    lost = [packets[200], packets[203]]
    harness = play([p for p in packets if p not in lost], mode="skip_late")
    for track in BOTH:
        after = media(packets[196:], track, lost)
        assert holes(harness, track) == [(1.96, 31.96)]
        assert heard(harness, track) == media(packets[:196], track) + b"\xff" * 240_000 + after


def test_what_was_said_before_a_hold_leaves_first_even_if_one_party_stays_silent():
    packets = on_hold(call(4))
    harness = play(packets[:196] + [p for p in packets[196:] if p.track == "agent"])
    starts = [chunk.start for chunk in harness.out]
    assert starts == sorted(starts)


def test_the_last_packet_after_a_hold_is_heard():
    packets = on_hold(call(2, tracks=("agent",)))[:99]
    assert heard(play(packets), "agent").endswith(packets[-1].data)


def test_waiting_long_for_a_loss_is_no_pause():
    packets = call(4)
    lost = [p for p in packets[100:120] if p.track == "agent"]
    harness = play([p for p in packets if p not in lost], window="500ms")
    assert_whole(harness, packets, lost)
    assert not harness.events


def test_first_packet_missing_shifts_nothing_else():
    packets = call(2)[1:]  # the agent's first one: nobody can know of it
    harness = play(packets)
    for track in BOTH:
        assert heard(harness, track) == media(packets, track)
    assert not harness.filled


@schemes
def test_hold_of_one_is_a_hole_in_that_one(scheme):
    sent = [(track, T0 + 0.02 * at) for at in range(400) for track in BOTH if track == "agent" or not 100 <= at < 250]
    packets = numbered(sent, scheme)
    harness = play(packets)
    assert holes(harness, "agent") == []
    assert holes(harness, "customer") == [(2.0, 5.0)]
    assert heard(harness, "customer").replace(b"\xff" * 24_000, b"", 1) == media(packets, "customer")
    assert harness.events == [("hold_ended", {"track": "customer", "start": 2.0, "seconds": 3.0})]
    assert_whole(play(packets, hold="collapse"), packets)


def test_what_was_said_before_a_hold_of_one_does_not_wait_for_its_end():
    sent = [(track, T0 + 0.02 * at) for at in range(100) for track in BOTH if track == "agent" or at < 33]
    harness = NodeHarness(Reorder).push(*numbered(sent, "per_track"))
    assert joined(harness.out, "customer").size == 33 * FRAMES


@pytest.mark.parametrize(("mode", "when"), [("wait", (103, 170)), ("skip_late", (170,))])
@schemes
def test_loss_while_one_is_on_hold_belongs_to_the_other(scheme, mode, when):
    sent = [(track, T0 + 0.02 * at) for at in range(400) for track in BOTH if track == "agent" or not 100 <= at < 250]
    packets = numbered(sent, scheme)
    lost = [p for p in packets if p.arrived in [T0 + 0.02 * at for at in when] and p.track == "agent"]
    assert len(lost) == len(when)
    harness = play([p for p in packets if p not in lost], mode=mode)
    assert heard(harness, "agent") == media(packets, "agent", lost)
    assert holes(harness, "customer") == [(2.0, 5.0)]


@pytest.mark.fault(26)
@pytest.mark.parametrize("ppm", [-1000, -100, 100, 1000])
@pytest.mark.slow
def test_drift_of_the_senders_clock_is_never_a_pause(ppm):
    """An hour: the media falls 0.36 s behind the arrivals at 100 ppm, far more than the shortest pause."""
    data = bytes(800)
    harness = NodeHarness(Reorder)
    for at in range(36_000):
        when = T0 + 0.1 * at * (1 + ppm / 1e6)
        harness.push(Packet("agent", at, data, when), Packet("customer", at, data, when))
        harness.out[:-1] = []  # 115 MB otherwise
    assert not harness.events
    assert not harness.filled
    harness.node.flush(harness.out.append)
    assert max(chunk.end for chunk in harness.out) == 36_000 * 800


def test_hold_after_half_an_hour_of_drift_is_as_long_as_it_was():
    data = bytes(800)
    harness = NodeHarness(Reorder)
    for at in range(18_100):
        when = T0 + 0.1 * at * 1.0001 + 10 * (at >= 18_000)
        harness.push(Packet("agent", at, data, when), Packet("customer", at, data, when))
        harness.out[:-1] = []
    [(_, hold)] = harness.events
    assert hold["seconds"] == pytest.approx(10, abs=0.001)


def long_ones(arrivals: Iterable[float]) -> list[Packet]:
    """Packets of 100 ms as gRPC brings them, one of each party at each of these times."""
    return [
        Packet(track, 1 + number + (1 << 40) * which, NOISE[800 * (2 * number + which) :][:800], T0 + when)
        for number, when in enumerate(arrivals)
        for which, track in enumerate(BOTH)
    ]


@pytest.mark.fault(26)
@pytest.mark.parametrize("frozen", [0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("pace", [0.0, 0.01])
def test_freeze_and_burst_of_long_packets_is_no_pause(frozen, pace):
    packets = long_ones(max(0.1 * n, 1 + frozen + pace * (n - 10) if n >= 10 else 0) for n in range(60))
    harness = play(packets)
    assert_whole(harness, packets)
    assert not harness.filled
    assert names(harness) == []


@pytest.mark.parametrize("hold", [0.3, 1.0, 60.0])
def test_hold_of_long_packets_is_a_hole_of_its_length_in_both(hold):
    packets = long_ones(0.1 * n + (hold if n >= 10 else 0) for n in range(30))
    harness = play(packets)
    assert names(harness) == ["hold_ended"]
    for track in BOTH:
        assert holes(harness, track) == [(1.0, pytest.approx(1.0 + hold))]


def test_the_same_call_gives_the_same_chunks_again():
    chance = random.Random(3)
    packets = stamped([p for p in call(5) if chance.random() > 0.1], chance, 0.3)
    one, two = play(packets), play(packets)
    assert [(c.track, c.start, c.samples.tobytes()) for c in one.out] == [
        (c.track, c.start, c.samples.tobytes()) for c in two.out
    ]


def test_nothing_in_gives_nothing_out():
    assert play([]).out == []
