import random

import pytest

from flowcore import Packet, Session
from flowcore.impairment import DelayQueue, GilbertLoss, call_rng
from flowcore.testing import SESSION


def test_chance_depends_on_purpose_seed_and_call_and_on_nothing_else():
    same = Session("another-flow", SESSION.started, SESSION.attributes)
    other = Session(SESSION.flow, SESSION.started, {"call_id": "call-2"})
    first = call_rng("lose", 7, SESSION).random()
    assert first == call_rng("lose", 7, same).random()
    others = (("x", 7, SESSION), ("lose", 8, SESSION), ("lose", 7, other))
    assert len({first, *(call_rng(*arguments).random() for arguments in others)}) == 4
    assert call_rng("lose", 7, SESSION).randrange(10**9) == 910381504  # on every machine


def test_delayed_packets_leave_in_the_order_in_which_they_are_due():
    queue = DelayQueue[Packet]()
    for number, due in enumerate((0.3, 0.1, 0.2, 0.1)):
        queue.hold(Packet("agent", number, b"x", 0.0), due)
    assert [(packet.seq, due) for due, packet in queue.release(0.2)] == [(1, 0.1), (3, 0.1), (2, 0.2)]
    assert [packet.seq for _, packet in queue.release()] == [0]


@pytest.mark.parametrize(("ratio", "burst"), [(0.0, 1), (0.05, 4), (1.0, 1)])
def test_the_share_of_lost_packets_is_the_ratio(ratio, burst):
    loss = GilbertLoss(ratio, burst, random.Random(1))
    assert sum(loss.lost() for _ in range(20_000)) / 20_000 == pytest.approx(ratio, abs=0.01)
