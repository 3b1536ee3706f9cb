"""The fuzzer itself: a few thousand inputs, and it notices what it is there for."""

import random

import pytest

from tests.fuzz import __main__ as fuzz

pytestmark = pytest.mark.slow


@pytest.mark.fault(7)
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_few_thousand_damaged_inputs_bring_out_documented_exceptions_only(name):
    assert fuzz.randomly(name, 2000 if name != "graphs" else 300, seed=7) in (2000, 300)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_good_inputs_are_good(name):
    target, good = fuzz.TARGETS[name]()
    for data in good:
        target(data)


def test_an_exception_that_is_not_documented_ends_the_run_and_keeps_the_input(tmp_path, monkeypatch):
    def target(data):
        if b"\xff" in data:
            raise KeyError("a bug")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(fuzz.TARGETS, "messages", lambda: (target, [b"good"]))
    with pytest.raises(KeyError):
        fuzz.randomly("messages", 10_000, seed=1)
    (crash,) = tmp_path.iterdir()
    assert b"\xff" in crash.read_bytes()


def test_mutations_are_many_and_repeatable():
    def some():
        picks = random.Random(3)
        return [fuzz.mutated([b"abcdefgh" * 10], picks) for _ in range(1000)]

    assert some() == some()
    assert len(set(some())) > 900
