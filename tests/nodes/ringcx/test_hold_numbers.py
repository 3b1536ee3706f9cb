"""The numbers of a hold that is sent as empty Media."""

import pytest

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.ringcx.call_sender import CallSender
from nodes.ringcx.call_state import CallState
from nodes.ringcx.hold_numbers import HoldNumbers
from nodes.transforms.reorder import Reorder


def numbers(*messages: int) -> list[int]:
    """The numbers of the audio; a negative message is an empty one."""
    hold = HoldNumbers()
    kept = []
    for seq in messages:
        if seq < 0:
            hold.empty(-seq)
        else:
            kept.append(hold.audio(seq))
    return kept


@pytest.mark.parametrize("step", [1, 2, 160])
def test_numbers_of_a_hold_are_left_out_in_steps_of_any_size(step: int) -> None:
    said = [at * step for at in (1, 2, -3, -4, -5, 6, 7, -8, -9, 10)]
    assert numbers(*said) == [at * step for at in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    "said",
    [
        (1, 2, -2, 3, 4),  # an empty message without a number of its own
        (1, 2, -7, 3, -7, -7, 4),  # stray ones
        (1, 2, -2, -2, -2, 3),
        (1, 2, -9, -8, 3),
        (1, 2, -5, -6, 3, 4),
    ],
)
def test_empty_messages_that_took_no_numbers_change_none(said: tuple[int, ...]) -> None:
    assert numbers(*said) == [seq for seq in said if seq > 0]


def test_lost_packets_beside_a_hold_stay_lost() -> None:
    assert numbers(1, 3, -4, -5, 6, 8) == [1, 3, 4, 6]


@pytest.mark.fault(22)
def test_a_hold_of_1_s_sent_as_empty_media_is_a_hold_and_no_loss() -> None:
    caller, call, harness = CallSender({"call_id": "x"}), CallState(), NodeHarness(Reorder)
    call.receive(caller.start(), 0.0)
    for place in range(150):
        for track in ("agent", "customer"):
            held = track == "agent" and 50 <= place < 100
            result = call.receive(caller.media(track, b"" if held else bytes(160)), place * 0.02)
            if isinstance(result, Packet):
                harness.push(result)
    harness.end()
    assert harness.filled == {}
    assert harness.dropped == {}
    assert harness.events == [
        ("hold_ended", {"track": "agent", "start": pytest.approx(1.0), "seconds": pytest.approx(1.0)})
    ]
