from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flowcore import Packet
from flowcore.testing import SESSION, NodeHarness
from nodes.transforms.netsim import Netsim
from nodes.transforms.reorder import Reorder


def sent(count):
    """So many packets, 20 ms apart, whose bytes tell most of them apart."""
    return [Packet("agent", number, bytes([number % 251]) * 160, number * 0.02) for number in range(count)]


def through(packets, session=SESSION, **config):
    return NodeHarness(Netsim, config, session=session).push(*packets).end()


def audio(chunks):
    return b"".join(chunk.samples.tobytes() for chunk in chunks)


def test_without_an_effect_packets_pass_unchanged():
    harness = through(sent(100))
    assert harness.out == sent(100)
    assert not harness.events
    assert Netsim.latency(Netsim.Config(), None) == 0


# loss


@pytest.mark.parametrize(("ratio", "burst"), [(0.05, 1), (0.05, 5), (0.3, 3), (0.5, 1), (0.9, 10)])
def test_the_share_is_what_is_asked_for_and_the_rest_is_as_it_was(ratio, burst):
    packets = sent(10_000)
    harness = through(packets, loss=ratio, loss_burst=burst)
    assert harness.dropped_chunks["simulated_loss"] == len(packets) - len(harness.out)
    assert harness.dropped["simulated_loss"] == pytest.approx(harness.dropped_chunks["simulated_loss"] * 0.02)
    assert len(harness.out) / len(packets) == pytest.approx(1 - ratio, abs=0.03)
    assert harness.out == [packets[packet.seq] for packet in harness.out]


@pytest.mark.parametrize("burst", [1, 5])
def test_bursts_are_as_long_as_asked_for_in_the_mean(burst):
    came = {packet.seq for packet in through(sent(10_000), loss=0.1, loss_burst=burst).out}
    lengths = [len(run) for run in "".join(" " if n in came else "x" for n in range(10_000)).split()]
    assert sum(lengths) / len(lengths) == pytest.approx(burst, rel=0.15)


def test_loss_of_everything():
    assert through(sent(10_000), loss=1).out == []


def test_each_seed_and_each_call_loses_others():
    packets = sent(10_000)
    other = type(SESSION)("x", SESSION.started, {"call_id": "call-2"})
    first, second = through(packets, loss=0.1, seed=1).out, through(packets, loss=0.1, seed=2).out
    third = through(packets, other, loss=0.1, seed=1).out
    assert first == through(packets, loss=0.1, seed=1).out
    assert first != second
    assert first != third


def test_a_value_outside_0_to_1_is_refused():
    with pytest.raises(ValidationError):
        Netsim.Config(loss=1.5)


# duplicate


def test_repeats_are_whole_counted_and_no_later_than_asked_for():
    packets = sent(2000)
    harness = through(packets, duplicate=0.1, duplicate_within=4)
    seen: dict[int, int] = {}
    repeats = []
    for place, packet in enumerate(harness.out):
        assert packet.data == packets[packet.seq].data
        assert packet.arrived == max(packets[other.seq].arrived for other in harness.out[: place + 1])
        if packet.seq in seen:
            between = {other.seq for other in harness.out[seen[packet.seq] + 1 : place]} - {packet.seq}
            repeats.append(sum(seq > packet.seq for seq in between))
        else:
            seen[packet.seq] = place
    assert list(seen) == list(range(2000))
    assert set(repeats) == {0, 1, 2, 3, 4}
    assert len(repeats) / len(packets) == pytest.approx(0.1, abs=0.02)
    assert harness.filled["duplicated"] == pytest.approx(len(repeats) * 0.02)


def test_repeats_of_the_last_packets_come_at_the_end():
    harness = through(sent(10), duplicate=1, duplicate_within=1000)
    assert sorted(packet.seq for packet in harness.out) == sorted([*range(10)] * 2)


def test_all_packets_twice_at_once():
    assert through(sent(2000), duplicate=1, duplicate_within=0).out == [
        packet for packet in sent(2000) for _ in range(2)
    ]


# reorder


def test_packets_overtake_each_other_and_none_is_later_than_the_window():
    packets = sent(1000)
    harness = through(packets, reorder=0.3, reorder_window="100ms")
    order = [packet.seq for packet in harness.out]
    assert sorted(order) == list(range(1000))
    assert order != sorted(order)
    assert [packet.arrived for packet in harness.out] == sorted(packet.arrived for packet in harness.out)
    late = [packet.arrived - packets[packet.seq].arrived for packet in harness.out]
    assert 0.08 < max(late) <= 0.1
    assert sum(lateness > 0 for lateness in late) / 1000 == pytest.approx(0.3, abs=0.05)
    assert harness.events == [("packets_reordered", {"packets": sum(lateness > 0 for lateness in late)})]


def test_the_node_reorder_restores_every_byte():
    plain = NodeHarness(Reorder, {"window": "120ms"}).push(*sent(1000)).end()
    mixed = through(sent(1000), reorder=0.3, reorder_window="60ms")
    restored = NodeHarness(Reorder, {"window": "120ms"}).push(*mixed.out).end()
    assert audio(restored.out) == audio(plain.out)
    assert not restored.dropped_chunks


# delay and jitter


def test_each_is_late_by_another_time_and_none_overtakes():
    packets = sent(1000)
    harness = through(packets, jitter="150ms")
    assert [packet.seq for packet in harness.out] == list(range(1000))
    late = [packet.arrived - packets[packet.seq].arrived for packet in harness.out]
    assert min(late) >= 0
    assert 0.13 < max(late) <= 0.15
    assert len({round(lateness, 4) for lateness in late}) > 100
    assert harness.events == [("packets_delayed", {"longest": round(max(late), 3)})]


def test_delay_alone_is_the_same_for_all_packets():
    harness = through(sent(100), delay="200ms")
    assert [packet.arrived for packet in harness.out] == [packet.arrived + 0.2 for packet in sent(100)]
    assert harness.events == [("packets_delayed", {"longest": 0.2})]


def test_a_packet_goes_on_when_one_comes_that_arrived_after_its_time():
    packets = sent(1000)
    harness = NodeHarness(Netsim, {"jitter": "1min"}).push(*packets)
    assert len(harness.out) < 1000
    assert all(packet.arrived <= packets[-1].arrived for packet in harness.out)
    assert len(harness.end().out) == 1000


def test_the_node_reorder_does_not_take_jitter_for_a_pause():
    packets = sent(1000)
    restored = NodeHarness(Reorder).push(*through(packets, jitter="150ms").out).end()
    assert audio(restored.out) == b"".join(packet.data for packet in packets)
    assert restored.out[-1].end == 160_000


# freeze


def test_now_and_then_nothing_passes_and_then_all_at_once():
    packets = sent(3000)  # a minute
    harness = through(packets, freeze="2s", freeze_every="10s")
    assert [packet.seq for packet in harness.out] == list(range(3000))
    late = [packet.arrived - before.arrived for packet, before in zip(harness.out, packets, strict=True)]
    freezes = [data["packets"] for name, data in harness.events if name == "packets_frozen"]
    assert len(freezes) in range(4, 7)
    assert sum(freezes) == sum(lateness > 0 for lateness in late)
    assert max(late) <= 2.0
    for earlier, later in zip(harness.out, harness.out[1:], strict=False):
        assert later.arrived >= earlier.arrived
        assert later.arrived - earlier.arrived < 2.05


def test_what_is_frozen_at_the_end_is_not_lost():
    harness = NodeHarness(Netsim, {"freeze": "1min", "freeze_every": "20ms"}).push(*sent(100))
    assert len(harness.out) < 10
    assert len(harness.end().out) == 100


# corrupt


def test_so_many_bytes_of_so_many_packets_are_others_and_nothing_else_is():
    packets = sent(2000)
    harness = through(packets, corrupt=0.1, corrupt_bytes=16)
    changed = 0
    for packet, before in zip(harness.out, packets, strict=True):
        others = sum(a != b for a, b in zip(packet.data, before.data, strict=True))
        assert others in (0, 16)
        assert (packet.track, packet.seq, packet.arrived) == (before.track, before.seq, before.arrived)
        changed += bool(others)
    assert changed / 2000 == pytest.approx(0.1, abs=0.02)
    assert harness.dropped["corrupted"] == harness.filled["corrupted"] == pytest.approx(changed * 0.02)


def test_a_packet_with_fewer_bytes_is_changed_in_all_of_them():
    harness = through([Packet("agent", 1, b"abc", 0.0)], corrupt=1, corrupt_bytes=999)
    assert all(a != b for a, b in zip(harness.out[0].data, b"abc", strict=True))


# all together

EFFECTS = {
    "corrupt": {"corrupt": 0.1},
    "loss": {"loss": 0.1, "loss_burst": 2},
    "duplicate": {"duplicate": 0.2, "duplicate_within": 0},
    "reorder": {"reorder": 0.2},
    "jitter": {"delay": "10ms", "jitter": "40ms"},
    "freeze": {"freeze": "300ms", "freeze_every": "2s"},
}


def test_the_latency_of_all_effects_is_their_sum():
    config = Netsim.Config(reorder=0.1, reorder_window="60ms", delay="10ms", jitter="20ms", freeze="1s")
    assert Netsim.latency(config, None) == pytest.approx(1.09)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sets(st.sampled_from(sorted(EFFECTS))))
def test_switching_effects_on_does_not_change_what_another_one_does(seed, others):
    packets = sent(500)

    def effects(names):
        config = {key: value for name in names for key, value in EFFECTS[name].items()}
        return through(packets, seed=seed, **config)

    both = effects(others | {"loss", "corrupt", "duplicate"})
    lost = {packet.seq for packet in packets} - {packet.seq for packet in effects({"loss"}).out}
    assert {packet.seq for packet in packets} - {packet.seq for packet in both.out} == lost
    corrupted = {packet.seq: packet.data for packet in effects({"corrupt"}).out}
    assert all(packet.data == corrupted[packet.seq] for packet in both.out)
    twice = Counter(packet.seq for packet in effects({"duplicate"}).out)
    assert Counter(packet.seq for packet in both.out) == {seq: times for seq, times in twice.items() if seq not in lost}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_the_effects_work_in_the_documented_order(seed):
    packets = sent(1000)
    every = {key: value for effect in EFFECTS.values() for key, value in effect.items()}
    harness = through(packets, seed=seed, **every)
    # Loss stands behind corrupt, and duplicate behind both: a repeat is as corrupt as its packet, and none is lost.
    assert harness.dropped_chunks["corrupted"] == pytest.approx(100, abs=40)
    assert len(harness.out) == 1000 - harness.dropped_chunks["simulated_loss"] + round(
        harness.filled["duplicated"] / 0.02
    )
    assert len({(packet.seq, packet.data) for packet in harness.out}) == len({packet.seq for packet in harness.out})
    # Delay and freeze stand last: what reorder has mixed leaves in the order of the arrival stamps.
    stamps = [packet.arrived for packet in harness.out]
    assert stamps == sorted(stamps)
    assert [name for name, _ in harness.events[-2:]] == ["packets_reordered", "packets_delayed"]
    assert "packets_frozen" in {name for name, _ in harness.events}


def test_freezes_come_at_the_same_times_whatever_else_is_on():
    def ends(**config):
        out = through(sent(3000), freeze="1s", freeze_every="5s", seed=3, **config).out
        stamps = Counter(round(packet.arrived, 6) for packet in out)
        return {stamp for stamp, packets in stamps.items() if packets > 10}

    assert ends() == ends(loss=0.1, duplicate=0.1, reorder=0.2) == ends(jitter="40ms")
    assert len(ends()) > 5


def test_a_line_gets_worse_and_better_during_the_call():
    packets = sent(300)
    harness = NodeHarness(Netsim).push(*packets[:100]).set(loss=1.0).push(*packets[100:200])
    harness.set(loss=0.0, freeze="50ms", freeze_every="100ms").push(*packets[200:])
    out = harness.set(freeze="0s").end().out
    assert [packet.seq for packet in out] == [packet.seq for packet in (*packets[:100], *packets[200:])]
    assert harness.dropped_chunks == {"simulated_loss": 100}


def test_a_shorter_delay_lets_no_packet_overtake():
    packets = sent(100)
    harness = NodeHarness(Netsim, {"delay": "500ms"}).push(*packets[:50]).set(delay="0s").push(*packets[50:]).end()
    assert [packet.seq for packet in harness.out] == [packet.seq for packet in packets]
    assert harness.out == sorted(harness.out, key=lambda packet: packet.arrived)
