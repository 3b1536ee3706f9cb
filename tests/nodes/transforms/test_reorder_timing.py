"""Where each party's sound stands after everything that networks and phone systems do to it.

Each case is a call that is known to the sample: when each party spoke, and what the network did to its packets. Every
sample carries its own place (a counter in two bytes would not fit mu-law, so packets are of noise, and looked for).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Packet
from flowcore.testing import NodeHarness, joined
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_state import Ignored
from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.dialog_state import DialogState
from nodes.ringcx.segments import Dropped
from nodes.transforms.interleave import Interleave
from nodes.transforms.reorder import Reorder

RATE = 8000
T0 = 86_400.0
PAUSE = 0.2
"""The node's own threshold between a pause and a delay, in seconds."""
NOISE = random.Random(7).randbytes(1 << 22)


@dataclass
class Party:
    """Who speaks from ``start`` to ``end`` seconds of the call, and is on hold (nothing is sent) in ``holds``."""

    track: str
    seconds: float
    length: int = 160  # samples in a packet
    start: float = 0.0
    holds: Sequence[tuple[float, float]] = ()
    skew: float = 0.0  # of the sender's clock, in parts
    stalls: Sequence[tuple[float, float]] = ()  # what is sent in these stretches comes at their end
    batch: float = 0.0  # so many seconds are sent at once
    phase: float = 0.0  # of the batches
    lost: Callable[[int], bool] = lambda number: False
    sent: list[tuple[float, float, bytes]] = field(default_factory=list)  # captured from, arrived, data

    def __post_init__(self) -> None:
        at, number = self.start, 0
        offset = random.Random(self.track).randrange(1 << 20)
        period = self.length / RATE * (1 + self.skew)
        while at + period <= self.seconds + 1e-9:
            end = at + period
            if any(began <= at < began + length for began, length in self.holds):
                at = max(began + length for began, length in self.holds if began <= at < began + length)
                continue
            arrived = end
            if self.batch:
                arrived = min(math.ceil((end - self.phase) / self.batch - 1e-6) * self.batch + self.phase, self.seconds)
            for began, length in self.stalls:
                if began <= arrived < began + length:
                    arrived = began + length
            data = NOISE[offset + number * self.length : offset + (number + 1) * self.length]
            self.sent.append((at, arrived, data))
            at, number = end, number + 1


def packets(*parties: Party, number: Callable[[str, int, int], int] = lambda track, own, all_: own) -> list[Packet]:
    """Those of all parties by arrival; ``number`` gets the track, its packets so far, and those of all so far."""
    events = sorted(
        (arrived, at, party.track, data, index)
        for party in parties
        for index, (at, arrived, data) in enumerate(party.sent)
    )
    lost = {party.track: party.lost for party in parties}
    return [
        Packet(track, number(track, index, total), data, T0 + arrived)
        for total, (arrived, _, track, data, index) in enumerate(events)
        if not lost[track](index)
    ]


def play(arrivals: Iterable[Packet], **config: str) -> NodeHarness:
    return NodeHarness(Reorder, config).push(*arrivals).end()


def placed(harness: NodeHarness, track: str) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The samples of a track laid on the clock (-1 where there is none), and its stretches."""
    own = [chunk for chunk in harness.out if chunk.track == track]
    assert all(one.end <= two.start for one, two in pairwise(own)), "positions never go backwards"
    samples = np.full(max((chunk.end for chunk in own), default=0), -1, np.int16)
    for chunk in own:
        samples[chunk.start : chunk.end] = chunk.samples
    stretches: list[tuple[int, int]] = []
    for chunk in own:
        if stretches and stretches[-1][1] == chunk.start:
            stretches[-1] = (stretches[-1][0], chunk.end)
        else:
            stretches.append((chunk.start, chunk.end))
    return samples, stretches


def whole(party: Party) -> np.ndarray:
    return np.frombuffer(b"".join(data for _, _, data in party.sent), np.uint8)


def assert_untouched(harness: NodeHarness, *parties: Party) -> None:
    """No hold, nothing lost or made up: each party's samples are complete and contiguous."""
    assert [name for name, _ in harness.events if name == "hold_ended"] == []
    for party in parties:
        samples, stretches = placed(harness, party.track)
        assert len(stretches) == 1
        assert np.array_equal(samples[stretches[0][0] :], whole(party))
    assert not harness.dropped
    assert not harness.filled


def offsets(harness: NodeHarness, party: Party) -> list[tuple[float, float]]:
    """For each packet that can be found: when it was spoken, and how much later it stands on the clock, in seconds."""
    samples, _ = placed(harness, party.track)
    haystack = samples.astype(">i2").tobytes()
    found = []
    begin = 0
    for at, _, data in party.sent:
        needle = np.frombuffer(data, np.uint8).astype(">i2").tobytes()
        place = haystack.find(needle, begin)
        while place % 2 and place >= 0:
            place = haystack.find(needle, place + 1)
        if place >= 0:
            found.append((at, place / 2 / RATE - at))
            begin = place + len(needle)
    return found


def assert_together(harness: NodeHarness, *parties: Party, within: float = 0.0201, after: float = 0.0) -> None:
    """At any time all parties are as much off the true clock as each other, within 20 ms; every packet was found."""
    tracks = []
    for party in parties:
        found = offsets(harness, party)
        assert len(found) == len(party.sent)
        tracks.append([(at, off) for at, off in found if at >= after])
    for mine in tracks[1:]:
        for at, off in mine:
            beside = min(tracks[0], key=lambda entry: abs(entry[0] - at))
            assert abs(off - beside[1]) <= within, f"{off - beside[1]:.4f} s apart at {at:.2f} s"


# --- what was found by trying: each is a case of its own ----------------------------------------------------------


@pytest.mark.fault(67)
def test_a_stall_and_burst_of_one_party_leaves_both_whole():
    agent, customer = Party("agent", 20), Party("customer", 20, stalls=[(5, 1.0), (12, 1.0)])
    assert_untouched(play(packets(agent, customer)), agent, customer)


@pytest.mark.slow
@pytest.mark.fault(67)
def test_a_party_that_stalls_every_four_seconds_moves_nobody():
    agent = Party("agent", 60)
    customer = Party("customer", 60, stalls=[(at, 0.5) for at in range(2, 58, 4)])
    assert_untouched(play(packets(agent, customer)), agent, customer)


@pytest.mark.fault(67)
def test_batches_that_alternate_do_not_lengthen_the_call():
    agent, customer = Party("agent", 10, batch=0.5), Party("customer", 10, batch=0.5, phase=0.25)
    harness = play(packets(agent, customer))
    assert_untouched(harness, agent, customer)
    assert max(chunk.end for chunk in harness.out) <= 10.3 * RATE


@pytest.mark.fault(67)
def test_a_backlog_at_the_start_of_one_party_after_the_other_stands_together():
    agent, customer = Party("agent", 10, stalls=[(0, 3)]), Party("customer", 10, stalls=[(0, 3.001)])
    harness = play(packets(agent, customer))
    assert_untouched(harness, agent, customer)
    assert_together(harness, agent, customer)


@pytest.mark.fault(67)
@pytest.mark.parametrize("busy", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("length", [160, 800])
def test_parties_that_take_turns_start_together_however_busy_the_machine_that_stamps_them(busy, length):
    for seed in range(100):
        rng = random.Random(seed)
        at, arrivals = T0, []
        for number in range(4000 // length):
            for track in ("agent", "customer"):
                at += rng.expovariate(500) + (rng.uniform(0.05, 1.5) if rng.random() < busy else 0.0)
                arrivals.append(Packet(track, number, NOISE[number * length :][:length], at))
        starts = {chunk.track: chunk.start for chunk in reversed(play(arrivals, hold="collapse").out)}
        assert abs(starts["agent"] - starts["customer"]) <= length


def test_a_stall_of_the_whole_network_is_made_up_for_whichever_queue_comes_first():
    agent, customer = Party("agent", 7, stalls=[(2, 3)]), Party("customer", 7, stalls=[(2, 3.01)])
    harness = play(packets(agent, customer))
    assert_untouched(harness, agent, customer)
    assert max(chunk.end for chunk in harness.out) == 7 * RATE


@pytest.mark.parametrize("length", [40, 160, 480, 800, 4000, 9600])
@pytest.mark.parametrize("other", [160, 800])
@pytest.mark.slow
@pytest.mark.fault(68)
def test_parties_of_different_packet_lengths_start_together(length, other):
    agent, customer = Party("agent", 15, length), Party("customer", 15, other)
    harness = play(packets(agent, customer))
    assert_untouched(harness, agent, customer)
    assert_together(harness, agent, customer)


@pytest.mark.parametrize("phase", [number / 100 for number in range(10)])
@pytest.mark.fault(68)
def test_a_party_that_joins_between_the_packets_of_another_stands_where_it_spoke(phase):
    agent, customer = Party("agent", 12, 800), Party("customer", 12, 800, start=4 + phase)
    harness = play(packets(agent, customer))
    assert_untouched(harness, agent, customer)
    assert_together(harness, agent, customer)


@pytest.mark.parametrize("phase", [number / 100 for number in range(10)])
@pytest.mark.fault(68)
def test_a_party_whose_hold_ends_between_the_packets_of_another_stands_where_it_spoke(phase):
    agent, customer = Party("agent", 12, 800), Party("customer", 12, 800, holds=[(4, 3 + phase)])
    harness = play(packets(agent, customer))
    assert [name for name, _ in harness.events] == ["hold_ended"]
    assert_together(harness, agent, customer)


@pytest.mark.fault(68)
@pytest.mark.parametrize(("length", "start"), [(1600, 0.191), (480, 0.5), (4000, 0.5)])
def test_a_party_that_speaks_beside_the_first_long_packet_of_another_stands_where_it_spoke(length, start):
    agent, customer = Party("agent", 8, 4000), Party("customer", 8, length, start=start)
    harness = play(packets(agent, customer))
    assert_untouched(harness, agent, customer)
    assert_together(harness, agent, customer)


@pytest.mark.parametrize("phase", [0.0, 0.103, 0.205, 0.4])
@pytest.mark.parametrize("length", [40, 160, 800, 1600])
@pytest.mark.slow
@pytest.mark.fault(68)
def test_a_hold_of_parties_that_send_in_batches_is_as_long_as_it_was(length, phase):
    """Nothing but the end of a batch is on time, and a batch comes as fast as what a stall held back."""
    hold = (2.531, 1.729)
    agent = Party("agent", 9, 160, holds=[hold])
    customer = Party("customer", 9, length, 1.0, holds=[hold], batch=0.5, phase=phase)
    harness = play(packets(agent, customer))
    assert not harness.dropped
    assert not harness.filled
    for party in (agent, customer):
        assert all(abs(off) <= 0.5 + length / RATE for _, off in offsets(harness, party))
        assert len(offsets(harness, party)) == len(party.sent)
    assert sum(fields["seconds"] for name, fields in harness.events if name == "hold_ended") < 2 * 1.75


@pytest.mark.fault(68)
def test_a_hold_after_stalls_that_looked_like_batches_is_as_long_as_it_was():
    agent = Party("agent", 16)
    customer = Party("customer", 16, holds=[(6, 0.6), (11, 0.6)], stalls=[(at / 2, 0.45) for at in range(4, 11)])
    harness = play(packets(agent, customer))
    assert [(name, data["track"]) for name, data in harness.events] == [("hold_ended", "customer")] * 2
    assert_together(harness, agent, customer, after=9)


@pytest.mark.parametrize("gap", [0.06, 0.15, 0.19])
def test_pauses_that_are_too_short_to_be_seen_add_up_to_one_that_is(gap):
    """Less than ``pause`` looks like jitter; a party is never much further off than that."""
    agent = Party("agent", 40)
    customer = Party("customer", 40, holds=[(2.0 + 2 * at, gap) for at in range(18)])
    harness = play(packets(agent, customer))
    assert_together(harness, agent, customer, within=PAUSE + 0.04)
    assert sum(data["seconds"] for _, data in harness.events) == pytest.approx(18 * gap, abs=PAUSE + 18 * 0.02)


@pytest.mark.parametrize("gap", [0.08, 0.15])
def test_a_shorter_pause_is_seen_where_the_config_says_so(gap):
    agent, customer = Party("agent", 8), Party("customer", 8, holds=[(3.0, gap)])
    harness = play(packets(agent, customer), pause="60ms")
    assert [(name, data["track"]) for name, data in harness.events] == [("hold_ended", "customer")]
    assert_together(harness, agent, customer)


def test_a_party_that_lags_after_a_short_pause_is_level_again_once_it_is_quiet():
    """The correction of skew sees the lag within 30 s, and fills it in where the party says nothing."""
    agent, customer = Party("agent", 45), Party("customer", 45, holds=[(5.0, 0.15)])
    customer.sent = [(at, arrived, b"\x7f" * len(data)) for at, arrived, data in customer.sent]
    harness = play(packets(agent, customer))
    assert [name for name, _ in harness.events] == ["drift_corrected"]
    ends = {chunk.track: chunk.end for chunk in harness.out}
    assert abs(ends["agent"] - ends["customer"]) <= 0.02 * RATE


@pytest.mark.fault(69)
def test_a_jump_of_numbers_without_a_pause_makes_no_silence():
    agent, customer = Party("agent", 10), Party("customer", 10)
    jump = {"agent": 150}
    harness = play(
        packets(agent, customer, number=lambda track, own, _: own + (jump.get(track, 0) if own >= 200 else 0))
    )
    assert_untouched(harness, agent, customer)
    assert ("sequence_jumped", {"track": "agent", "expected": 200, "got": 350}) in harness.events


SCHEMES: dict[str, Callable[[str, int, int], int]] = {
    "samples": lambda track, own, total: own * 160,
    "milliseconds": lambda track, own, total: own * 20,
    "steps of 3": lambda track, own, total: own * 3,
    "steps of 320": lambda track, own, total: own * 320,
    "constant": lambda track, own, total: 7,
    "shared samples": lambda track, own, total: total * 160,
    "shared milliseconds": lambda track, own, total: total * 20,
    "shared steps of 3": lambda track, own, total: total * 3,
    "shared steps of 320": lambda track, own, total: total * 320,
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.fault(69)
def test_numbers_that_count_anything_else_are_named_and_order_is_that_of_arrival(scheme):
    agent, customer = Party("agent", 2), Party("customer", 2)
    arrivals = packets(agent, customer, number=SCHEMES[scheme])
    harness = play(arrivals)
    assert_untouched(harness, agent, customer)
    [(name, data)] = harness.events
    assert (name, data["scheme"]) == (
        "numbering_unknown",
        scheme.removeprefix("shared ") if "steps" in scheme else data["scheme"],
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("agent", "customer"),
    [
        ({"length": 480, "batch": 0.5, "phase": 0.1}, {"length": 4000, "batch": 0.2}),
        ({"length": 80, "batch": 0.5}, {"length": 480, "batch": 0.5, "phase": 0.1}),
        ({"length": 4000, "batch": 0.5, "phase": 0.262}, {"length": 80, "batch": 0.2, "phase": 0.25}),
        ({"length": 160, "stalls": [(0.05, 0.8)]}, {"length": 800, "stalls": [(0.15, 0.8)]}),
    ],
)
@pytest.mark.slow
@pytest.mark.fault(69)
def test_unknown_numbers_are_named_within_2_s_however_the_packets_come(scheme, agent, customer):
    parties = Party("agent", 6, **agent), Party("customer", 6, **customer)
    arrivals = packets(*parties, number=SCHEMES[scheme])
    early = NodeHarness(Reorder).push(*(packet for packet in arrivals if packet.arrived < T0 + 2))
    assert [name for name, _ in early.events] == ["numbering_unknown"]
    assert_untouched(play(arrivals), *parties)


def test_a_silent_party_whose_numbers_stand_still_is_not_taken_for_repeats():
    silent = [Packet("agent", 5, b"\xff" * 160, T0 + 0.02 * at) for at in range(100)]
    harness = play(silent)
    assert sum(chunk.frames for chunk in harness.out) == 16_000


def test_every_packet_twice_is_not_an_unknown_scheme():
    agent = Party("agent", 2)
    harness = play([packet for packet in packets(agent) for _ in range(2)])
    assert not harness.events
    assert harness.dropped_chunks == {"duplicate": 100}


@pytest.mark.parametrize("stop", [0.0, 0.25, 3.0])
@pytest.mark.parametrize(("overlap", "gap"), [(0.0, 0.0), (0.0, 0.15), (0.0, 0.4), (0.4, 0.0)])
@pytest.mark.parametrize("phase", [0.0, 0.03, 0.09])
@pytest.mark.fault(68)
def test_an_agent_who_takes_over_stands_where_he_spoke_however_late_the_stop_of_the_first_comes(
    stop, overlap, gap, phase
):
    """Agent 1 speaks for 5 s, agent 2 from then on, the customer all the time, in chunks of 100 ms."""
    sender = DialogSender({"call_id": "one"})
    noise = (NOISE[at : at + 800] for at in range(0, len(NOISE), 800))
    chunks = {
        "agent": [(0.1 * n, next(noise)) for n in range(round(50 + 10 * overlap))],
        "second": [(5 + gap + phase + 0.1 * n, next(noise)) for n in range(40)],
        "customer": [(0.1 * n, next(noise)) for n in range(90)],
    }
    media = sorted((at + 0.1, segment, data) for segment, spoken in chunks.items() for at, data in spoken)
    events = [(at, sender.media(segment, data)) for at, segment, data in media]
    events += [
        (0.0, sender.dialog_init()),
        (0.0, sender.segment_start("agent")),
        (0.0, sender.segment_start("customer")),
    ]
    events += [(5 + gap + phase, sender.segment_start("second", participant=pb.AGENT))]
    events += [(5 + max(stop, overlap) + 0.15, sender.segment_stop("agent"))]
    dialog = DialogState()
    results = [result for at, message in sorted(events) for result in dialog.receive(message, 100 + at)]
    results += dialog.end(110)
    assert not [result for result in results if isinstance(result, Ignored | Dropped)]

    reorder = play(result for result in results if isinstance(result, Packet))
    assert not reorder.dropped
    assert not reorder.filled
    tracks = {track: joined(chunk for chunk in reorder.out if chunk.track == track) for track in ("agent", "customer")}
    for segment, spoken in chunks.items():
        track = tracks["customer" if segment == "customer" else "agent"].astype(np.uint8).tobytes()
        alone = [(at, data) for at, data in spoken if not 4.9 + gap + phase <= at < 5 + overlap]  # the others are mixed
        for at, data in alone:
            assert abs(track.find(data) / 8000 - at) <= 0.0201, f"{segment} at {at}"


# --- properties -------------------------------------------------------------------------------------------------------

LENGTHS = st.sampled_from([40, 80, 160, 320, 480, 800, 1600, 4000])
NUMBERS: dict[str, Callable[[str, int, int], int]] = {
    "per party": lambda track, own, total: own,
    "per party, steps of 2": lambda track, own, total: own * 2 + 5,
    "shared": lambda track, own, total: total,
    "shared, steps of 2": lambda track, own, total: total * 2,
    "per party, anew after a transfer": lambda track, own, total: own if own < 150 else own + 70_000,
    **SCHEMES,
}


@st.composite
def stretches(draw, seconds: float, longest: float, first: float = 1.0):
    """Some stretches of a call that do not touch: start and length in seconds."""
    found, at = [], first
    for _ in range(draw(st.integers(0, 3))):
        at += draw(st.floats(0.3, seconds / 3))
        length = draw(st.floats(0.05, longest))
        if at + length > seconds - 1:
            break
        found.append((at, length))
        at += length + 1.0
    return found


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
@pytest.mark.fault(67)
def test_whatever_a_network_does_nobody_is_moved_when_nothing_was_withheld(data):
    """Stalls, bursts and batches of each party, packets of 5 to 500 ms, any numbers: whole, contiguous, no hold."""
    seconds = 8.0
    parties = [
        Party(
            track,
            seconds,
            data.draw(LENGTHS, f"length of {track}"),
            stalls=data.draw(stretches(seconds, 3.0), f"stalls of {track}"),
            batch=data.draw(st.sampled_from([0.0, 0.0, 0.2, 0.5]), f"batch of {track}"),
            phase=data.draw(st.sampled_from([0.0, 0.1, 0.25]), f"phase of {track}"),
            skew=data.draw(st.sampled_from([0.0, 1e-4, -1e-4]), f"skew of {track}"),
        )
        for track in ("agent", "customer")
    ]
    scheme = data.draw(st.sampled_from(sorted(NUMBERS)))
    harness = play(packets(*parties, number=NUMBERS[scheme]))
    assert_untouched(harness, *parties)
    if not any(party.batch for party in parties):  # a batch may add the same delay to all packets: nothing tells it
        assert_together(harness, *parties)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
@pytest.mark.fault(68)
def test_after_real_holds_each_party_is_right_to_a_packet_and_both_are_together(data):
    """Holds of one or of both parties, and parties that join, with packets of 5 to 100 ms, some in batches."""
    seconds = 14.0
    both = [(at, length + 0.5) for at, length in data.draw(stretches(seconds - 2, 2.5), "holds of both")]
    parties = []
    for track in ("agent", "customer"):
        own = [(at, length + 0.5) for at, length in data.draw(stretches(seconds - 2, 2.0), f"holds of {track}")]
        own = [one for one in own if all(one[0] + one[1] + 1 < at or at + length + 1 < one[0] for at, length in both)]
        start = 0.0 if track == "agent" else data.draw(st.sampled_from([0.0, 0.5, 2.013]), "start")
        length = data.draw(st.sampled_from([40, 160, 480, 800]), f"length of {track}")
        batch = data.draw(st.sampled_from([0.0, 0.0, 0.0, 0.2, 0.5]), f"batch of {track}")
        phase = data.draw(st.sampled_from([0.0, 0.1, 0.25]), f"phase of {track}")
        parties.append(Party(track, seconds, length, start, sorted([*both, *own]), batch=batch, phase=phase))
    scheme = data.draw(st.sampled_from(sorted(NUMBERS)))
    harness = play(packets(*parties, number=NUMBERS[scheme]))
    assert not harness.dropped
    assert not harness.filled
    batch = max(party.batch for party in parties)
    batch += PAUSE if batch else 0.0  # what is later than both together is no batch
    for party in parties:
        found = offsets(harness, party)
        assert len(found) == len(party.sent)
        assert all(abs(off) <= party.length / RATE + batch + 0.0201 for _, off in found)
    if batch:
        return  # a batch may add the same delay to all packets: nothing tells it
    assert_together(harness, *parties)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_loss_is_silence_in_its_own_track_whatever_stalls(data):
    seconds = 6.0
    gone = data.draw(st.sets(st.integers(30, 270), max_size=20))
    agent = Party("agent", seconds, lost=lambda number: number in gone)
    customer = Party("customer", seconds, stalls=data.draw(stretches(seconds, 1.5)))
    harness = play(packets(agent, customer))
    assert [name for name, _ in harness.events] == []
    expected = whole(agent).reshape(-1, 160).copy()
    expected[sorted(gone)] = 0xFF
    assert np.array_equal(placed(harness, "agent")[0], expected.reshape(-1))
    assert np.array_equal(placed(harness, "customer")[0], whole(customer))


@pytest.mark.slow
def test_a_backlog_that_comes_twice_as_fast_as_speech_for_minutes_is_bounded_and_stays_contiguous():
    """A minute's stall, then all of it at double speed: what waits is bounded, and leaves without a hole."""
    agent = Party("agent", 180)
    agent.sent = [
        (at, max(arrived, 80 + (arrived - 20) / 2) if arrived > 20 else arrived, data)
        for at, arrived, data in agent.sent
    ]
    node = NodeHarness(Reorder)
    behind = 0.0
    for packet in packets(agent):
        node.push(packet)
        sent = (
            sum(len(data) for _, arrived, data in agent.sent[: packet.seq + 1]) / RATE if packet.seq % 500 == 0 else 0
        )
        behind = max(behind, sent - sum(chunk.frames for chunk in node.out) / RATE)
    assert behind < 31
    assert_untouched(node.end(), agent)


# --- and in a stereo recording ----------------------------------------------------------------------------------------


def recorded(*parties: Party, **config: str) -> np.ndarray:
    """What a recorder gets of a call, in stereo; nothing of it may be dropped behind `reorder`."""
    interleave = NodeHarness(Interleave).push(*play(packets(*parties), **config).out).end()
    assert not interleave.dropped
    return joined(interleave.out)


@pytest.mark.parametrize(
    ("agent", "customer"),
    [
        ({}, {"stalls": [(5, 1.0), (12, 1.0)]}),
        ({"stalls": [(2, 3.0)]}, {"stalls": [(2, 3.01)]}),
        ({"batch": 0.5}, {"batch": 0.5, "phase": 0.25}),
        ({"length": 12_000}, {"length": 12_000}),
        ({"length": 4000}, {}),
    ],
)
@pytest.mark.slow
def test_a_recording_has_every_sample_of_both_parties(agent, customer):
    parties = Party("agent", 15, **agent), Party("customer", 15, **customer)
    stereo = recorded(*parties)
    for channel, party in enumerate(parties):
        assert stereo[:, channel].astype(np.uint8).tobytes().rstrip(b"\xff").strip(b"\xff") in whole(party).tobytes()
        assert len(stereo) == 15 * RATE


@pytest.mark.parametrize("chunk", ["20ms", "500ms", "2s"])
@pytest.mark.slow
def test_a_recording_of_any_chunk_length_is_whole(chunk):
    agent, customer = Party("agent", 9), Party("customer", 9)
    stereo = recorded(agent, customer, chunk=chunk)
    assert np.array_equal(stereo, np.stack([whole(agent), whole(customer)], axis=1))


def test_chunks_longer_than_a_recorder_waits_are_refused():
    with pytest.raises(ValueError, match="less than or equal to 2"):
        Reorder.Config(chunk="3s")
