"""The decode queue: order, replaced jobs, refused jobs."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore.metrics import bucket_of
from flowcore.speech import DECODER_RATE, DecodeFailed
from nodes.speech.local.decode_queue import DecodeJob, DecodeQueue, Outcome

SOON = 60.0  # seconds; a test that waits so long has failed


def job(
    name: str, party: object = "agent", *, owner: object = "call", final: bool = True, seconds: float = 1, heard=None
) -> DecodeJob:
    def done(outcome: Outcome) -> None:
        if heard is not None:
            heard.append((name, outcome))

    made = DecodeJob(owner, party, np.zeros(round(seconds * DECODER_RATE), np.int16), final, done)
    made.name = name
    return made


def drain(queue: DecodeQueue, jobs: int) -> list[str]:
    """Take and finish so many jobs, one after another."""
    names = []
    for _ in range(jobs):
        taken = queue.take()
        names.append(taken.name)
        queue.finished(taken)
    return names


def test_finals_go_before_interims_that_came_earlier():
    queue = DecodeQueue(60)
    queue.put(job("interim", 1, final=False))
    queue.put(job("final", 2))
    assert drain(queue, 2) == ["final", "interim"]


def test_a_newer_interim_replaces_the_one_that_waits():
    queue = DecodeQueue(60)
    assert not queue.put(job("agent 1", "agent", final=False))
    assert not queue.put(job("customer 1", "customer", final=False))
    assert queue.put(job("agent 2", "agent", final=False))
    assert drain(queue, 2) == ["agent 2", "customer 1"]


def test_a_final_removes_its_interim_from_the_queue():
    queue = DecodeQueue(60)
    queue.put(job("interim", final=False))
    assert queue.put(job("final"))
    assert not queue.put(job("other", "customer", final=False))
    assert drain(queue, 2) == ["final", "other"]


def test_one_job_of_a_track_is_decoded_at_a_time_so_that_texts_come_in_order():
    queue = DecodeQueue(60)
    for each in (job("a 1", "a"), job("a 2", "a"), job("b 1", "b"), job("a 3", "a", final=False)):
        queue.put(each)
    first, second = queue.take(), queue.take()
    assert (first.name, second.name) == ("a 1", "b 1")
    queue.finished(second)
    queue.finished(first)
    assert drain(queue, 2) == ["a 2", "a 3"]


def test_a_waiting_decoder_is_woken_when_the_track_is_free_again():
    queue, taken = DecodeQueue(60), []
    queue.put(job("1"))
    queue.put(job("2"))
    first = queue.take()
    other = threading.Thread(target=lambda: taken.append(queue.take()))
    other.start()
    queue.finished(first)
    other.join(SOON)
    assert [each.name for each in taken] == ["2"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_lost_while_the_wait_is_below_the_bound_however_much_waits():
    clock = Clock()
    queue = DecodeQueue(15, clock)
    jobs = [job(str(number), number, seconds=100) for number in range(30)]
    for each in jobs:
        queue.put(each)
    clock.now = 14.9
    assert drain(queue, 30) == [str(number) for number in range(30)]
    assert not any(each.refused for each in jobs)


@pytest.mark.fault(59)
def test_a_job_that_waited_too_long_is_refused_in_its_place_and_holds_no_audio():
    clock, refused = Clock(), []
    queue = DecodeQueue(15, clock)
    jobs = [job(str(number), number % 2) for number in range(4)]
    for each in jobs:
        each.on_refused = lambda name=each.name: refused.append(name)
        queue.put(each)
        clock.now += 5
        if each is jobs[0]:
            assert queue.take() is each
    clock.now = 21
    queue.put(job("late", "x"))
    assert [each.refused for each in jobs] == [False, True, False, False]
    assert [len(each.samples) for each in jobs] == [DECODER_RATE, 0, DECODER_RATE, DECODER_RATE]
    assert refused == ["1"]
    assert drain(queue, 3) == ["1", "3", "late"]  # "2" waits for "0", of the same track


@pytest.mark.fault(59)
def test_under_a_lasting_overload_interims_go_first_and_each_call_loses_the_same_share():
    clock = Clock()
    queue = DecodeQueue(15, clock)
    put = {"loud": 0, "quiet": 0}
    lost, interims, worst = {"loud": 0, "quiet": 0}, 0, 0.0
    decoding, until = None, 0.0
    for step in range(6000):  # ten minutes
        clock.now = step / 10
        if step % 5 == 0:
            queue.put(job("interim", "loud", final=False))
        for call, every in (("loud", 10), ("quiet", 30)):
            if step % every == 0:
                put[call] += 1
                queue.put(job((call, clock.now), call, owner=call))
        if decoding is not None and clock.now >= until:
            queue.finished(decoding)
            decoding = None
        while decoding is None and (queue._finals or queue._interims):
            decoding = queue.take()
            until = clock.now + 1.5  # half of what it takes
            interims += not decoding.final
            if decoding.refused:
                call, _ = decoding.name
                lost[call] += 1
                queue.finished(decoding)
                decoding = None
            elif decoding.final:
                worst = max(worst, clock.now - decoding.name[1])
    assert interims <= 1
    assert worst <= 15
    assert lost["loud"] / put["loud"] == pytest.approx(lost["quiet"] / put["quiet"], abs=0.05)


def test_calls_that_have_ended_go_first_and_sources_that_can_wait_last():
    clock = Clock()
    queue = DecodeQueue(15, clock)
    file, live, ended = job("file", 1, owner="file"), job("live", 2), job("ended", 3, owner="ended")
    file.patient = True
    for each in (file, live, ended):
        queue.put(each)
    queue.hurry("ended")
    assert queue.owners == 3
    clock.now = 10
    assert queue.take() is ended
    clock.now = 1000
    assert drain(queue, 2) == ["live", "file"]
    assert (live.refused, file.refused) == (True, False)


def test_a_job_that_is_given_back_goes_first():
    queue = DecodeQueue(60)
    queue.put(job("1", 1))
    queue.put(job("2", 2))
    queue.give_back(queue.take())
    assert queue.finals == 2
    assert drain(queue, 2) == ["1", "2"]


def test_a_newer_interim_replaces_one_that_is_given_back():
    queue = DecodeQueue(60)
    queue.put(job("old", final=False))
    old = queue.take()
    queue.put(job("new", final=False))
    queue.give_back(old)
    assert drain(queue, 1) == ["new"]


def test_discarded_jobs_are_gone():
    queue = DecodeQueue(5)
    queue.put(job("gone final", 1, owner="ended", seconds=4))
    queue.put(job("gone interim", 2, owner="ended", final=False))
    queue.put(job("stays", 3, seconds=1))
    queue.discard("ended")
    assert queue.finals == 1
    assert drain(queue, 1) == ["stays"]


def test_a_job_of_a_discarded_owner_is_not_decoded_again_and_leaves_nothing():
    heard: list = []
    queue = DecodeQueue(5)
    queue.put(job("ended", owner="ended", heard=heard))
    taken = queue.take()
    queue.discard("ended")
    queue.give_back(taken)
    assert [name for name, _ in heard] == ["ended"]
    assert not queue.finals
    assert not queue._outcomes


def test_closing_reports_to_each_job_once():
    heard: list = []
    queue = DecodeQueue(60)
    queue.put(job("taken", 0, heard=heard))
    taken = queue.take()
    queue.put(job("final", 1, heard=heard))
    queue.put(job("interim", 2, final=False, heard=heard))
    queue.close()
    queue.give_back(taken)
    assert sorted(name for name, _ in heard) == ["final", "interim", "taken"]
    assert all(isinstance(outcome, DecodeFailed) for _, outcome in heard)
    assert queue.take() is None
    with pytest.raises(DecodeFailed):
        queue.put(job("late"))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 4)), max_size=40),
    st.lists(st.sampled_from("tfg")),
)
def test_every_final_comes_out_once_and_in_the_order_of_its_track(puts, moves):
    """``t``: take a job, ``f``: finish the oldest taken, ``g``: give it back; then all that is left."""
    queue, taken, out = DecodeQueue(10), [], []

    def finish() -> None:
        first = taken.pop(0)
        queue.finished(first)
        if first.final:
            out.append(first.name)

    put = []
    for number, (party, final, seconds) in enumerate(puts):
        each = job(number, party, final=final, seconds=seconds / 100)
        put += [number] if final else []
        queue.put(each)
        for move in moves[number : number + 2]:
            available = queue._next is not None and any(
                other.track not in queue._decoding for other in (*queue._finals, *queue._interims.values())
            )
            if move == "t" and available:
                taken.append(queue.take())
            elif move == "f" and taken:
                finish()
            elif move == "g" and taken:
                queue.give_back(taken.pop(0))
    while taken or queue._finals:
        if taken:
            finish()
        else:
            taken.append(queue.take())
    assert sorted(out) == put
    for party in range(4):
        assert [n for n in out if puts[n][0] == party] == [n for n in put if puts[n][0] == party]


def test_it_is_idle_when_no_job_waits_or_is_decoded():
    queue = DecodeQueue(60)
    assert queue.idle
    for each in (job("final"), job("interim", final=False)):
        queue.put(each)
        assert not queue.idle
        taken = queue.take()
        assert not queue.idle
        queue.finished(taken)
        assert queue.idle


def test_a_wait_is_known_with_the_flow_of_its_call():
    time = [0.0]
    queue = DecodeQueue(60, lambda: time[0])
    waiting = job("final")
    waiting.flow = "20261224T181500-1f0c9a2e"
    queue.put(waiting)
    time[0] = 3.0
    assert drain(queue, 1) == ["final"]
    assert queue.waits.flows == {bucket_of(3.0): (waiting.flow, 3.0)}
