"""Strands and the pool that runs them: never in two threads at once, and never stuck behind one that hangs."""

import threading

from flowcore.engine.pool import InlinePool, Strand, ThreadPool
from tests.support.live import PATIENCE


class Stuck:
    """Work that hangs until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.done = threading.Event()

    def work(self) -> None:
        self.let_go.wait(PATIENCE)
        self.done.set()

    def has_work(self) -> bool:
        return False


def test_a_stuck_strand_delays_no_other():
    pool = ThreadPool()
    stuck, fine = Stuck(), Stuck()
    fine.let_go.set()
    hanging = Strand(pool, stuck)
    hanging.ready()
    pool.wake()
    while not hanging.thread:
        pass
    Strand(pool, fine).ready()
    while not fine.done.wait(0.01):
        pool.rebalance()  # what the slots do
    assert pool.threads == 2
    assert "let_go.wait" in hanging.stack()
    stuck.let_go.set()
    assert stuck.done.wait(PATIENCE)
    pool.close()


def test_a_system_that_gives_no_more_threads_ends_nothing():
    pool = ThreadPool()
    fine = Stuck()
    fine.let_go.set()
    usual = threading.stack_size(1 << 46)  # more than any machine has
    try:
        Strand(pool, fine).ready()
        pool.rebalance()
        assert pool.threads == 0
    finally:
        threading.stack_size(usual)
    pool.rebalance()
    assert fine.done.wait(PATIENCE)
    pool.close()


class Counter:
    """Work that notes when two threads are in it at once."""

    def __init__(self) -> None:
        self.todo = 0
        self.inside = 0
        self.collisions = 0
        self.ran = 0

    def work(self) -> None:
        self.inside += 1
        self.collisions += self.inside > 1
        self.ran += 1
        self.inside -= 1

    def has_work(self) -> bool:
        return False


def test_a_strand_is_never_in_two_threads_at_once():
    pool = ThreadPool()
    work = Counter()
    strand = Strand(pool, work)

    def hammer() -> None:
        for _ in range(3000):
            strand.ready()
            pool.wake()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert work.collisions == 0
    assert work.ran > 0
    pool.close()


def test_strands_of_one_kind_leave_threads_for_the_others():
    pool = ThreadPool(max_threads=4)  # one of which may work for a kind
    stuck, parked, other = Stuck(), Stuck(), Stuck()
    for work in (parked, other):
        work.let_go.set()
    hanging = Strand(pool, stuck, "disk")
    hanging.ready()
    pool.wake()
    while not hanging.thread:
        pass
    Strand(pool, parked, "disk").ready()
    Strand(pool, other, "model").ready()
    while not other.done.wait(0.01):
        pool.rebalance()
    assert not parked.done.is_set()
    stuck.let_go.set()
    while not parked.done.wait(0.01):
        pool.rebalance()
    pool.close()


def test_a_detached_strand_runs_nothing():
    pool, work = InlinePool(), Counter()
    strand = Strand(pool, work)
    strand.detach()
    strand.ready()
    pool.rebalance()
    assert (work.ran, strand.stack()) == (0, "")
