import subprocess
import sys

from flowcore.workers.call_limit import FEW, MANY, CallLimit
from flowcore.workers.connection_counter import CELLS

CROWD = """
import sys
from flowcore.workers.call_limit import CallLimit
fd, row = int(sys.argv[1]), int(sys.argv[2])
places = CallLimit(2000, 3, row, fd)
print(sum(places.take() for _ in range(1500)))
"""


def test_a_process_alone_takes_up_to_its_limit_and_again_what_was_given_back():
    places = CallLimit(2)
    assert [places.take(), places.take(), places.take()] == [True, True, False]
    places.give_back()
    assert (places.full, places.take(), places.full) == (False, True, True)


def test_three_processes_in_a_crowd_get_exactly_the_places_there_are():
    with CallLimit.shared(2000, 3) as places:
        crowd = [
            subprocess.Popen(
                [sys.executable, "-c", CROWD, str(places.fd), str(row)], pass_fds=[places.fd], stdout=subprocess.PIPE
            )
            for row in range(3)
        ]
        taken = [int(process.communicate(timeout=60)[0]) for process in crowd]
        assert sum(taken) == 2000
        assert places.full
        assert [places.clear(row) for row in range(3)] == taken
        assert places.held == 0


def three(*held: int) -> list[CallLimit]:
    """Workers of one machine that hold so many calls each."""
    with CallLimit.shared(100, len(held)) as shared:
        workers = [CallLimit(100, len(held), row, shared.fd) for row in range(len(held))]
        for worker, calls in zip(workers, held, strict=True):
            worker.join()
            assert all(worker.take() for _ in range(calls))
    return workers


def test_alone_a_process_takes_many_and_workers_take_few():
    assert CallLimit(10).room() == MANY
    assert [worker.room() for worker in three(0, 0, 0)] == [FEW] * 3


def test_who_holds_more_than_the_mean_takes_fewer_but_never_none():
    assert [worker.room() for worker in three(10, 7, 4)] == [FEW - 3, FEW, FEW]
    assert [worker.room() for worker in three(60, 0, 0)] == [1, FEW, FEW]


def test_who_takes_no_more_calls_leaves_connections_to_the_others_and_answers_them_when_all_do():
    workers = three(5, 5)
    workers[0].leave()
    assert [worker.room() for worker in workers] == [0, FEW]
    workers[1].leave()
    assert [worker.room() for worker in workers] == [FEW, FEW]


def test_the_row_of_a_dead_worker_counts_no_more():
    workers = three(9, 1, 1)
    assert workers[1].clear(0) == 9
    assert workers[1].held == 2
    assert workers[2].room() == FEW


def test_callers_are_counted_over_all_workers_and_those_of_a_dead_one_are_gone():
    with CallLimit.shared(100, 3) as shared:
        workers = [CallLimit(100, 3, row, shared.fd) for row in range(3)]
        for worker in workers:
            for address in ("192.0.2.1", "192.0.2.1", "2001:db8::1"):
                worker.callers.add(address)
        assert workers[1].callers.count("192.0.2.1") == 6
        assert shared.clear(0) == 0
        workers[2].callers.remove("192.0.2.1")
        assert [workers[1].callers.count(address) for address in ("192.0.2.1", "2001:db8::1", "192.0.2.9")] == [3, 2, 0]
        assert all(worker.held == 0 and not worker.full for worker in workers)


def test_more_callers_than_can_be_counted_are_refused_and_removing_them_does_no_harm():
    callers = CallLimit(1).callers
    for number in range(CELLS + 10):
        callers.add(f"10.0.{number >> 8}.{number & 255}")
    assert callers.count("192.0.2.1") == CELLS
    for number in reversed(range(CELLS + 10)):
        callers.remove(f"10.0.{number >> 8}.{number & 255}")
    assert callers.count("10.0.0.1") == 0
