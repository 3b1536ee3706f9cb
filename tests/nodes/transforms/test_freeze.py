from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.freeze import Freeze

PACKETS = [Packet("agent", number, bytes(160), number * 0.02) for number in range(3000)]  # a minute


def frozen(**config):
    return NodeHarness(Freeze, config).push(*PACKETS).end()


def test_now_and_then_nothing_passes_and_then_all_at_once():
    harness = frozen(every="10s", length="2s")
    assert [packet.seq for packet in harness.out] == list(range(3000))
    late = [packet.arrived - sent.arrived for packet, sent in zip(harness.out, PACKETS, strict=True)]
    freezes = [data["packets"] for name, data in harness.events if name == "frozen"]
    assert len(freezes) in range(4, 7)
    assert sum(freezes) == sum(lateness > 0 for lateness in late)
    assert max(late) <= 2.0
    for earlier, later in zip(harness.out, harness.out[1:], strict=False):
        assert later.arrived >= earlier.arrived
        assert later.arrived - earlier.arrived < 2.05


def test_what_is_frozen_at_the_end_is_not_lost():
    harness = NodeHarness(Freeze, {"every": "20ms", "length": "1min"}).push(*PACKETS[:100])
    assert len(harness.out) < 10
    assert len(harness.end().out) == 100
