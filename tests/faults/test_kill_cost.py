"""Row 36: what a kill costs is what waits between the socket and the file. docs/recordings.md states these figures."""

import pytest

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.interleave import Interleave
from nodes.transforms.reorder import Reorder

PACKET = 160
STEP = 0.02


def waiting(seconds, *talking):
    """Return for each packet of 20 ms the seconds of a call that are not at the recorder yet; ``talking`` sends."""
    ordered, both = NodeHarness(Reorder), NodeHarness(Interleave)
    found = []
    for number in range(round(seconds / STEP)):
        for track in talking:
            before = len(ordered.out)
            ordered.push(Packet(track, number + 1, b"\x55" * PACKET, 100 + number * STEP))
            both.push(*ordered.out[before:])
        found.append((number + 1) * STEP - (both.out[-1].end / 8000 if both.out else 0))
    return found


@pytest.mark.fault(36)
def test_while_both_parties_send_a_kill_costs_200_ms():
    lost = waiting(30, "agent", "customer")
    assert max(lost[round(0.5 / STEP) :]) <= 0.2


@pytest.mark.fault(36)
def test_while_one_party_sends_alone_a_kill_costs_5_s_and_after_20_s_costs_2_s():
    lost = waiting(40, "agent")
    assert 5.0 <= max(lost) <= 5.2
    assert 2.0 <= max(lost[round(25.3 / STEP) :]) <= 2.2
