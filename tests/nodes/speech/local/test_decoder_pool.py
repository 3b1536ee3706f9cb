"""The pool, with decoders that the tests hold, release and let die."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from flowcore import CannotStart
from flowcore.speech import Decoded, DecodeFailed, Decoder
from nodes.speech.local import decoder_pool
from nodes.speech.local.context import Context
from nodes.speech.local.decode_queue import DecodeJob, Outcome, Overloaded
from nodes.speech.local.decoder_pool import DecoderDied, DecoderPool

SOON = 60.0  # seconds; a test that waits so long has failed


class Held(Decoder):
    """Waits for ``go`` before each job; 13 samples are bad luck, 66 kill it, 99 kill it once."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens = opens
        self.go = threading.Semaphore(0)
        self.started = threading.Semaphore(0)
        self.opened = 0
        self.closed = 0
        self.spent: set[int] = set()

    def open(self) -> None:
        if not self.opens:
            raise CannotStart("no model", field="engine")
        self.opened += 1

    def decode(self, samples: np.ndarray) -> Decoded:
        self.started.release()
        assert self.go.acquire(timeout=SOON)
        if len(samples) == 13:
            raise ValueError("13")
        if len(samples) == 66 or (len(samples) == 99 and not self.spent):
            self.spent.add(99)
            raise DecoderDied("killed")
        return Decoded(f"{len(samples)} samples")

    def decode_interim(self, samples: np.ndarray) -> Decoded:
        return Decoded(f"so far {self.decode(samples).text}")

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A pool, and the outcomes of its jobs."""

    def __init__(self, *decoders: Held, max_wait: float = 60) -> None:
        self.decoders = decoders or (Held(),)
        self.results: list[tuple[str, str | DecodeFailed]] = []
        self.deaths: list[str] = []
        self.reported = threading.Semaphore(0)
        self.pool = DecoderPool(self.decoders, max_wait)

    def submit(
        self,
        name: str,
        samples: int = 1,
        *,
        party: object = None,
        final: bool = True,
        before: Context | None = None,
    ) -> bool:
        def done(outcome: Outcome) -> None:
            self.results.append((name, outcome.text if isinstance(outcome, Decoded) else outcome))
            self.reported.release()

        job = DecodeJob(
            "call", party or name, np.zeros(samples, np.int16), final, done, self.deaths.append, context=before
        )
        return self.pool.queue.put(job)

    def finish(self, jobs: int) -> dict[str, str | DecodeFailed]:
        for decoder in self.decoders:
            decoder.go.release(100)
        for _ in range(jobs):
            assert self.reported.acquire(timeout=SOON)
        return dict(self.results)

    def end(self) -> None:
        for decoder in self.decoders:
            decoder.go.release(1000)
        assert self.pool.close(SOON)


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    monkeypatch.setattr(decoder_pool, "MIN_RETRY_DELAY", 0.001)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.end()
    assert all(decoder.closed for decoder in rig.decoders)


def test_finals_go_before_an_interim_that_came_earlier(rig):
    rig.submit("first")
    assert rig.decoders[0].started.acquire(timeout=SOON)
    rig.submit("interim", final=False)
    rig.submit("final")
    rig.finish(3)
    assert [name for name, _ in rig.results] == ["first", "final", "interim"]


def test_an_engine_may_decode_interim_texts_in_another_way(rig):
    rig.submit("interim", final=False)
    rig.submit("final")
    assert rig.finish(2) == {"interim": "so far 1 samples", "final": "1 samples"}


def test_every_decoder_works(rig):
    one, other = Held(), Held()
    both = Rig(one, other)
    both.submit("a")
    both.submit("b")
    assert one.started.acquire(timeout=SOON)
    assert other.started.acquire(timeout=SOON)
    assert both.finish(2) == {"a": "1 samples", "b": "1 samples"}
    both.end()


def test_an_error_fails_its_job_and_the_thread_goes_on(rig):
    rig.submit("bad", 13)
    rig.submit("good", 4)
    results = rig.finish(2)
    assert isinstance(results["bad"], DecodeFailed)
    assert str(results["bad"]) == "ValueError: 13"
    assert results["good"] == "4 samples"
    assert rig.decoders[0].opened == 1


def test_the_job_of_a_dead_decoder_is_decoded_once_by_its_successor(rig):
    rig.submit("unlucky", 99)
    rig.submit("next", 2)
    assert rig.finish(2) == {"unlucky": "99 samples", "next": "2 samples"}
    assert len(rig.results) == 2
    assert rig.decoders[0].opened == 2
    assert rig.deaths == ["killed"]


def test_audio_that_kills_every_decoder_is_given_up_and_the_next_is_not(rig):
    rig.submit("poison", 66)
    rig.submit("next", 2)
    results = rig.finish(2)
    assert isinstance(results["poison"], DecodeFailed)
    assert str(results["poison"]) == "3 decoders in a row: killed"
    assert results["next"] == "2 samples"
    assert rig.deaths == ["killed"] * 3


def test_while_a_decoder_cannot_be_opened_again_another_takes_its_job():
    one, other = Held(), Held()
    rig = Rig(one, other)
    rig.submit("a", 66)
    rig.submit("b", 66)
    for decoder in (one, other):
        assert decoder.started.acquire(timeout=SOON)
    one.opens = False
    one.go.release()  # dies of its job, and stays dead
    other.go.release(8)
    results = rig.finish(2)
    assert {type(outcome) for outcome in results.values()} == {DecodeFailed}
    assert one.opened == 1
    rig.end()


def test_utterances_that_waited_too_long_are_refused_in_order():
    rig = Rig(max_wait=15)
    now = [0.0]
    rig.pool.queue._now = lambda: now[0]
    rig.submit("first", party="agent")
    assert rig.decoders[0].started.acquire(timeout=SOON)
    rig.submit("too long", 16000, party="agent")
    now[0] = 10.0
    rig.submit("waits", 16000, party="agent")
    now[0] = 20.0
    results = rig.finish(3)
    assert [name for name, _ in rig.results] == ["first", "too long", "waits"]
    assert [type(results[name]) for name in ("too long", "waits")] == [Overloaded, str]
    rig.end()


def test_a_model_that_cannot_be_loaded_is_an_error_at_once_and_leaves_nothing():
    good, bad = Held(), Held(opens=False)
    with pytest.raises(CannotStart, match="no model"):
        Rig(good, bad)
    assert good.closed
    assert bad.closed


def test_closing_fails_the_waiting_jobs():
    rig = Rig()
    rig.submit("first")
    assert rig.decoders[0].started.acquire(timeout=SOON)
    rig.submit("final")
    rig.submit("interim", final=False)
    assert not rig.pool.close(0)
    assert not rig.decoders[0].closed  # nothing is freed under a decode
    rig.end()
    assert {name for name, outcome in rig.results if isinstance(outcome, DecodeFailed)} == {"final", "interim"}
    with pytest.raises(DecodeFailed):
        rig.submit("late")


def said(text: str, samples: int) -> Context:
    return Context(np.zeros(samples, np.int16), text, samples)


def test_a_job_with_context_is_decoded_with_it_and_only_new_words_count(rig):
    rig.submit("known", 2, before=said("5", 3))
    assert rig.finish(1) == {"known": "Samples"}  # of "5 samples"
    rig.submit("other", 2, before=said("five", 3))
    assert rig.finish(1)["other"] == "2 samples"  # nobody knows which words are new: it is decoded alone


def test_while_other_jobs_wait_context_is_not_decoded(rig):
    rig.submit("first")
    assert rig.decoders[0].started.acquire(timeout=SOON)
    rig.submit("second", 2, before=said("5", 3))
    rig.submit("third", 3)
    assert rig.finish(3) == {"first": "1 samples", "second": "2 samples", "third": "3 samples"}


class Timed(Decoder):
    """Takes a second of the test's clock for each sample."""

    def __init__(self) -> None:
        self.time = 0.0

    def open(self) -> None: ...

    def decode(self, samples: np.ndarray) -> Decoded:
        self.time += len(samples)
        return Decoded(f"{len(samples)} samples")

    def close(self) -> None: ...


def test_the_load_is_the_time_that_final_texts_need(monkeypatch):
    decoder = Timed()
    monkeypatch.setattr(decoder_pool, "monotonic", lambda: decoder.time)
    rig = Rig(decoder)  # type: ignore[arg-type]
    try:
        rig.submit("final", 9)
        rig.submit("interim", 5, final=False)
        rig.submit("context", 2, before=said("5", 3))
        for _ in range(3):
            assert rig.reported.acquire(timeout=SOON)
        assert rig.pool.load == pytest.approx((9 + 2) / decoder_pool.FULL)
    finally:
        assert rig.pool.close(SOON)
