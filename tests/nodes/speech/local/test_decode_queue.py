"""The line: who is decoded next, who gives way, who is refused."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.speech.local.decode_queue import Job, Line, Outcome
from nodes.speech.local.decoder import RATE, DecodeFailed

SOON = 60.0  # seconds; a test that waits so long has failed


def job(
    name: str, party: object = "agent", *, owner: object = "call", final: bool = True, seconds: float = 1, heard=None
) -> Job:
    def done(outcome: Outcome) -> None:
        if heard is not None:
            heard.append((name, outcome))

    made = Job(owner, party, np.zeros(round(seconds * RATE), np.int16), final, done)
    made.name = name
    return made


def drain(line: Line, jobs: int) -> list[str]:
    """Take and finish so many jobs, one after another."""
    names = []
    for _ in range(jobs):
        taken = line.take()
        names.append(taken.name)
        line.finished(taken)
    return names


def test_finals_go_before_interims_that_came_earlier():
    line = Line(60)
    line.put(job("interim", 1, final=False))
    line.put(job("final", 2))
    assert drain(line, 2) == ["final", "interim"]


def test_a_newer_interim_takes_the_place_of_the_one_that_waits():
    line = Line(60)
    assert not line.put(job("agent 1", "agent", final=False))
    assert not line.put(job("customer 1", "customer", final=False))
    assert line.put(job("agent 2", "agent", final=False))
    assert drain(line, 2) == ["agent 2", "customer 1"]


def test_a_final_takes_its_interim_out_of_the_line():
    line = Line(60)
    line.put(job("interim", final=False))
    assert line.put(job("final"))
    assert not line.put(job("other", "customer", final=False))
    assert drain(line, 2) == ["final", "other"]


def test_a_party_is_decoded_once_at_a_time_so_that_its_texts_come_in_order():
    line = Line(60)
    for each in (job("a 1", "a"), job("a 2", "a"), job("b 1", "b"), job("a 3", "a", final=False)):
        line.put(each)
    first, second = line.take(), line.take()
    assert (first.name, second.name) == ("a 1", "b 1")
    line.finished(second)
    line.finished(first)
    assert drain(line, 2) == ["a 2", "a 3"]


def test_one_who_waits_is_woken_when_the_party_is_free_again():
    line, taken = Line(60), []
    line.put(job("1"))
    line.put(job("2"))
    first = line.take()
    other = threading.Thread(target=lambda: taken.append(line.take()))
    other.start()
    line.finished(first)
    other.join(SOON)
    assert [each.name for each in taken] == ["2"]


def test_what_exceeds_the_backlog_is_refused_in_its_place_and_holds_no_audio():
    line = Line(5)
    jobs = [job(str(number), number, seconds=2) for number in range(4)]
    for each in jobs:
        line.put(each)
    assert [each.refused for each in jobs] == [False, False, True, True]
    assert [len(each.samples) for each in jobs] == [2 * RATE, 2 * RATE, 0, 0]
    assert line.waiting == 4
    assert drain(line, 1) == ["0"]
    later = job("later", "x", seconds=2)
    line.put(later)
    assert not later.refused
    assert drain(line, 4) == ["1", "2", "3", "later"]
    assert line.waiting == 0


def test_an_utterance_longer_than_the_backlog_is_taken_when_nothing_waits():
    line = Line(5)
    long = job("long", seconds=12)
    line.put(long)
    assert not long.refused


def test_what_is_given_back_goes_first():
    line = Line(60)
    line.put(job("1", 1))
    line.put(job("2", 2))
    line.give_back(line.take())
    assert line.waiting == 2
    assert drain(line, 2) == ["1", "2"]


def test_an_interim_that_is_given_back_gives_way_to_a_newer_one():
    line = Line(60)
    line.put(job("old", final=False))
    old = line.take()
    line.put(job("new", final=False))
    line.give_back(old)
    assert drain(line, 1) == ["new"]


def test_forgotten_jobs_are_gone():
    line = Line(5)
    line.put(job("gone final", 1, owner="ended", seconds=4))
    line.put(job("gone interim", 2, owner="ended", final=False))
    line.put(job("stays", 3, seconds=1))
    line.forget("ended")
    assert line.waiting == 1
    assert drain(line, 1) == ["stays"]


def test_at_the_end_everybody_is_told_once():
    heard: list = []
    line = Line(60)
    line.put(job("taken", 0, heard=heard))
    taken = line.take()
    line.put(job("final", 1, heard=heard))
    line.put(job("interim", 2, final=False, heard=heard))
    line.close()
    line.give_back(taken)
    assert sorted(name for name, _ in heard) == ["final", "interim", "taken"]
    assert all(isinstance(outcome, DecodeFailed) for _, outcome in heard)
    assert line.take() is None
    with pytest.raises(DecodeFailed):
        line.put(job("late"))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 4)), max_size=40),
    st.lists(st.sampled_from("tfg")),
)
def test_every_final_comes_out_once_and_in_the_order_of_its_party(puts, moves):
    """``t``: take a job, ``f``: finish the oldest taken, ``g``: give it back; then all that is left."""
    line, taken, out = Line(10), [], []

    def finish() -> None:
        first = taken.pop(0)
        line.finished(first)
        if first.final:
            out.append(first.name)

    put = []
    for number, (party, final, seconds) in enumerate(puts):
        each = job(number, party, final=final, seconds=seconds / 100)
        put += [number] if final else []
        line.put(each)
        for move in moves[number : number + 2]:
            available = line._next is not None and any(
                other.party not in line._decoding for other in (*line._finals, *line._interims.values())
            )
            if move == "t" and available:
                taken.append(line.take())
            elif move == "f" and taken:
                finish()
            elif move == "g" and taken:
                line.give_back(taken.pop(0))
    while taken or line._finals:
        if taken:
            finish()
        else:
            taken.append(line.take())
    assert sorted(out) == put
    for party in range(4):
        assert [n for n in out if puts[n][0] == party] == [n for n in put if puts[n][0] == party]


def test_an_interim_job_that_becomes_final_is_in_line_once_and_before_other_interims():
    line = Line(60)
    early, other = job("early", "agent", final=False, seconds=2), job("other", "customer", final=False)
    line.put(other)
    line.put(early)
    assert line.make_final(early)
    assert line.waiting == 2
    assert line.take() is early
    assert line.take() is other
    assert not line._interims
    line.finished(early)
    assert not line.make_final(early)  # its outcome is out


def test_what_becomes_final_while_it_is_decoded_is_not_lost_with_its_decoder():
    line = Line(60)
    early, later = job("early", "agent", final=False), job("later", "agent", final=False)
    line.put(early)
    assert line.take() is early
    line.put(later)
    assert line.make_final(early)
    line.give_back(early)
    assert line.take() is early


def test_what_gave_way_to_a_newer_one_cannot_become_final():
    line = Line(60)
    old = job("old", "agent", final=False)
    line.put(old)
    line.put(job("new", "agent", final=False))
    assert not line.make_final(old)


def test_what_becomes_final_may_be_refused_like_any_other():
    line = Line(3)
    early = job("early", "agent", final=False, seconds=2)
    line.put(job("final", "customer", seconds=2))
    line.put(early)
    assert line.make_final(early)
    assert early.refused
    assert not len(early.samples)
