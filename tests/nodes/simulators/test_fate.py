from flowcore import Packet, Session
from flowcore.testing import SESSION
from nodes.simulators.fate import Late, dice


def test_chance_depends_on_purpose_seed_and_call_and_on_nothing_else():
    same = Session("another-flow", SESSION.started, SESSION.attributes)
    other = Session(SESSION.flow, SESSION.started, {"call_id": "call-2"})
    first = dice("lose", 7, SESSION).random()
    assert first == dice("lose", 7, same).random()
    assert (
        len({first, *(dice(*a).random() for a in (("x", 7, SESSION), ("lose", 8, SESSION), ("lose", 7, other)))}) == 4
    )
    assert dice("lose", 7, SESSION).randrange(10**9) == 910381504  # on every machine


def test_what_is_late_goes_on_in_the_order_in_which_it_is_due():
    late, out = Late(), []
    for number, due in enumerate((0.3, 0.1, 0.2, 0.1)):
        late.hold(Packet("agent", number, b"x", 0.0), due)
    late.release(0.2, out.append)
    assert [(packet.seq, packet.arrived) for packet in out] == [(1, 0.1), (3, 0.1), (2, 0.2)]
    late.release(float("inf"), out.append)
    assert [packet.seq for packet in out] == [1, 3, 2, 0]
