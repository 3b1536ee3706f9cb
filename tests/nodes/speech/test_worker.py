"""The decoding thread, with decoders that the tests hold and release."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from nodes.speech.decoder import DecodeFailed
from nodes.speech.worker import Job, Worker

SOON = 5.0  # seconds; a test that waits so long has failed


class Desk:
    """A worker whose decoder waits for ``go`` before each job, and notes what it was given and what came back."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.started = threading.Semaphore(0)
        self.reported = threading.Semaphore(0)
        self.cleaned = threading.Event()
        self.results: list[tuple[str, str | Exception]] = []
        self.worker = Worker(self.decode, self.cleaned.set)

    def decode(self, samples: np.ndarray) -> str:
        self.started.release()
        assert self.go.acquire(timeout=SOON)
        if len(samples) == 13:
            raise ValueError("13")
        return f"{len(samples)} samples"

    def submit(
        self, name: str, *, party: object = "agent", owner: object = "call", final: bool = True, samples: int = 1
    ) -> bool:
        def done(outcome: str | Exception) -> None:
            self.results.append((name, outcome))
            self.reported.release()

        return self.worker.submit(Job(owner, party, np.zeros(samples, np.int16), final, done))

    def busy(self) -> None:
        """Occupy the worker with a first job."""
        self.submit("first", party="other", owner="other")
        assert self.started.acquire(timeout=SOON)

    def finish(self, jobs: int) -> list[str]:
        for _ in range(jobs):
            self.go.release()
        for _ in range(jobs):
            assert self.reported.acquire(timeout=SOON)
        return [name for name, _ in self.results]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.go.release(1000)
    assert desk.worker.close(SOON)
    assert desk.cleaned.is_set()


def test_finals_go_before_interims_that_came_earlier(desk):
    desk.busy()
    desk.submit("interim", party=1, final=False)
    desk.submit("final", party=2)
    assert desk.finish(3) == ["first", "final", "interim"]


def test_finals_keep_their_order(desk):
    desk.busy()
    for name in ("a", "b", "c"):
        desk.submit(name)
    assert desk.finish(4) == ["first", "a", "b", "c"]


def test_a_newer_interim_takes_the_place_of_the_one_that_waits(desk):
    desk.busy()
    assert not desk.submit("agent 1", party="agent", final=False)
    assert not desk.submit("customer 1", party="customer", final=False)
    assert desk.submit("agent 2", party="agent", final=False)
    assert desk.finish(3) == ["first", "agent 2", "customer 1"]


def test_a_final_takes_its_interim_out_of_the_line(desk):
    desk.busy()
    desk.submit("interim", final=False)
    assert desk.submit("final")
    assert desk.finish(2) == ["first", "final"]


def test_forgotten_jobs_are_never_decoded(desk):
    desk.busy()
    desk.submit("gone final", owner="ended")
    desk.submit("gone interim", owner="ended", party=7, final=False)
    desk.submit("stays")
    desk.worker.forget("ended")
    assert desk.finish(2) == ["first", "stays"]


def test_an_error_goes_to_the_one_who_asked_and_the_thread_goes_on(desk):
    desk.submit("bad", samples=13)
    desk.submit("good", samples=4)
    desk.finish(2)
    (_, error), (_, text) = desk.results
    assert isinstance(error, ValueError)
    assert text == "4 samples"


def test_who_still_waits_at_the_end_is_told():
    desk = Desk()
    desk.busy()
    desk.submit("final")
    desk.submit("interim", party=2, final=False)
    assert not desk.worker.close(0)
    desk.finish(1)
    assert desk.cleaned.wait(SOON)
    assert [type(outcome) for name, outcome in desk.results if name != "first"] == [DecodeFailed, DecodeFailed]
    with pytest.raises(DecodeFailed):
        desk.submit("late")


def test_close_gives_up_on_a_decoder_that_hangs_but_frees_nothing_under_it(desk):
    desk.busy()
    assert not desk.worker.close(0.01)
    assert not desk.cleaned.is_set()
