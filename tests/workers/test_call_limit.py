import subprocess
import sys

import pytest

from flowcore.workers.call_limit import CELLS, SharedCallLimit, SharedConnectionCounter
from flowcore.workers.call_limit import MAX_CONNECTIONS_PER_SLOT as FULL_SHARE

COMPETITOR = """
import sys
from flowcore.workers.call_limit import SharedCallLimit
fd, row = int(sys.argv[1]), int(sys.argv[2])
limit = SharedCallLimit(2000, 3, row, fd)
print(sum(limit.take() for _ in range(1500)))
"""


@pytest.mark.slow
def test_three_processes_that_compete_get_exactly_the_places_there_are():
    with SharedCallLimit.shared(2000, 3) as limit:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", COMPETITOR, str(limit.fd), str(row)], pass_fds=[limit.fd], stdout=subprocess.PIPE
            )
            for row in range(3)
        ]
        taken = [int(process.communicate(timeout=60)[0]) for process in processes]
        assert sum(taken) == 2000
        assert limit.full
        assert [limit.clear(row) for row in range(3)] == taken
        assert limit.held == 0


def workers_with(*held: int) -> list[SharedCallLimit]:
    """Return workers of one run that hold so many calls each."""
    with SharedCallLimit.shared(100, len(held)) as shared:
        workers = [SharedCallLimit(100, len(held), row, shared.fd) for row in range(len(held))]
        for worker, calls in zip(workers, held, strict=True):
            worker.join()
            assert all(worker.take() for _ in range(calls))
    return workers


def test_a_worker_expects_its_part_of_the_calls():
    assert [worker.share for worker in workers_with(0, 0, 0)] == [34] * 3


@pytest.mark.parametrize("held", [(0, 0, 0), (1, 0, 0), (9, 1, 30), (60, 40, 0)])
def test_the_parts_of_what_is_left_add_up_to_it(held):
    assert sum(worker.left for worker in workers_with(*held)) == 100 - sum(held)


def test_a_worker_that_takes_no_more_calls_leaves_its_part_to_the_others():
    workers = workers_with(5, 5, 5)
    workers[1].leave()
    assert workers[0].left + workers[2].left == 85
    assert workers[0].takers == 2


def test_idle_workers_take_few_connections_each():
    assert [worker.room() for worker in workers_with(0, 0, 0)] == [FULL_SHARE] * 3


def test_a_worker_that_holds_more_than_the_mean_takes_fewer_but_never_none():
    assert [worker.room() for worker in workers_with(10, 7, 4)] == [FULL_SHARE - 3, FULL_SHARE, FULL_SHARE]
    assert [worker.room() for worker in workers_with(60, 0, 0)] == [1, FULL_SHARE, FULL_SHARE]


def test_a_worker_that_takes_no_more_calls_leaves_connections_to_the_others_unless_all_do():
    workers = workers_with(5, 5)
    workers[0].leave()
    assert [worker.room() for worker in workers] == [0, FULL_SHARE]
    workers[1].leave()
    assert [worker.room() for worker in workers] == [FULL_SHARE, FULL_SHARE]


def test_the_row_of_a_dead_worker_no_longer_counts():
    workers = workers_with(9, 1, 1)
    assert workers[1].clear(0) == 9
    assert workers[1].held == 2
    assert workers[2].room() == FULL_SHARE


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
