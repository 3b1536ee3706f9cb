"""Limits of a single process."""

from flowcore.engine.admission import MAX_CONNECTIONS_PER_SLOT, LocalCallLimit, LocalConnectionCounter


def test_a_process_takes_up_to_its_limit_and_again_after_a_call_ended():
    limit = LocalCallLimit(2)
    assert [limit.take(), limit.take(), limit.take()] == [True, True, False]
    limit.give_back()
    assert (limit.full, limit.take(), limit.full) == (False, True, True)


def test_a_process_accepts_many_connections_in_a_slot_whether_it_takes_calls_or_not():
    limit = LocalCallLimit(10)
    limit.join()
    assert limit.room() == MAX_CONNECTIONS_PER_SLOT
    limit.leave()
    assert limit.room() == MAX_CONNECTIONS_PER_SLOT


def test_connections_are_counted_by_address_and_removing_an_unknown_one_does_no_harm():
    connections = LocalConnectionCounter()
    for address in ("192.0.2.1", "192.0.2.1", "2001:db8::1"):
        connections.add(address)
    connections.remove("192.0.2.1")
    connections.remove("192.0.2.9")
    assert [connections.count(address) for address in ("192.0.2.1", "2001:db8::1", "192.0.2.9")] == [1, 1, 0]
    connections.remove("192.0.2.1")
    assert connections.count("192.0.2.1") == 0
