"""Connections by address, counted over several workers."""

from flowcore.workers.call_limit import SharedCallLimit
from flowcore.workers.connection_counter import CELLS, SharedConnectionCounter


def test_connections_are_counted_over_all_workers_except_those_of_a_dead_one():
    with SharedCallLimit.shared(100, 3) as shared:
        workers = [SharedCallLimit(100, 3, row, shared.fd) for row in range(3)]
        for worker in workers:
            for address in ("192.0.2.1", "192.0.2.1", "2001:db8::1"):
                worker.connections.add(address)
        assert workers[1].connections.count("192.0.2.1") == 6
        assert shared.clear(0) == 0
        workers[2].connections.remove("192.0.2.1")
        assert [workers[1].connections.count(address) for address in ("192.0.2.1", "2001:db8::1", "192.0.2.9")] == [
            3,
            2,
            0,
        ]
        assert all(worker.held == 0 and not worker.full for worker in workers)


def test_more_connections_than_can_be_counted_are_refused_and_removing_them_does_no_harm():
    connections = SharedConnectionCounter(memoryview(bytearray(8 * CELLS)).cast("q"), 0)
    for number in range(CELLS + 10):
        connections.add(f"10.0.{number >> 8}.{number & 255}")
    assert connections.count("192.0.2.1") == CELLS
    for number in reversed(range(CELLS + 10)):
        connections.remove(f"10.0.{number >> 8}.{number & 255}")
    assert connections.count("10.0.0.1") == 0
