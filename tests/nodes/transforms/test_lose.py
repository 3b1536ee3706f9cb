import pytest
from pydantic import ValidationError

from flowcore import Packet
from flowcore.testing import SESSION, NodeHarness
from nodes.transforms.lose import Lose

PACKETS = [Packet("agent", number, bytes(160), number * 0.02) for number in range(10_000)]


def kept(**config):
    return NodeHarness(Lose, config).push(*PACKETS).end()


@pytest.mark.parametrize(("ratio", "burst"), [(0.05, 1), (0.05, 5), (0.3, 3), (0.5, 1), (0.9, 10)])
def test_the_share_is_what_is_asked_for_and_the_rest_is_as_it_was(ratio, burst):
    harness = kept(ratio=ratio, burst=burst)
    assert harness.dropped_chunks["lost_on_purpose"] == len(PACKETS) - len(harness.out)
    assert harness.dropped["lost_on_purpose"] == pytest.approx(harness.dropped_chunks["lost_on_purpose"] * 0.02)
    assert len(harness.out) / len(PACKETS) == pytest.approx(1 - ratio, abs=0.03)
    assert harness.out == [PACKETS[packet.seq] for packet in harness.out]


@pytest.mark.parametrize("burst", [1, 5])
def test_bursts_are_as_long_as_asked_for_in_the_mean(burst):
    came = {packet.seq for packet in kept(ratio=0.1, burst=burst).out}
    lengths = [len(run) for run in "".join(" " if n in came else "x" for n in range(len(PACKETS))).split()]
    assert sum(lengths) / len(lengths) == pytest.approx(burst, rel=0.15)


def test_nothing_and_everything():
    assert kept(ratio=0).out == PACKETS
    assert kept(ratio=1).out == []


def test_each_seed_and_each_call_loses_others():
    other = type(SESSION)("x", SESSION.started, {"call_id": "call-2"})
    first, second = kept(ratio=0.1, seed=1).out, kept(ratio=0.1, seed=2).out
    third = NodeHarness(Lose, {"ratio": 0.1, "seed": 1}, session=other).push(*PACKETS).end().out
    assert first == kept(ratio=0.1, seed=1).out
    assert first != second
    assert first != third


def test_what_is_no_share_is_refused():
    with pytest.raises(ValidationError):
        Lose.Config(ratio=1.5)
