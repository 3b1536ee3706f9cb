"""The search for the most calls finds the limit, whatever it is, and is not fooled by one hiccup."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore.bench.search import GENERATOR_LATE, SEARCH_TOLERANCE, Search, verdict
from flowcore.bench.trial import Outcome


@given(st.integers(1, 5000))
def test_any_limit_is_found_from_below(limit: int) -> None:
    search = Search(lambda calls: "" if calls <= limit else "too many", start=25)
    held = search.run()
    assert held <= limit < search.failed
    assert search.failed - held <= max(10, search.failed * SEARCH_TOLERANCE + 10)
    assert search.why == "too many"
    assert len(search.tried) < 20


def test_one_hiccup_is_tried_again() -> None:
    hiccups = iter(["hiccup"])
    search = Search(lambda calls: next(hiccups, ""), start=50, limit=200)
    assert search.run() == 200
    assert not search.failed


def test_nothing_is_held() -> None:
    search = Search(lambda calls: "broken", start=25)
    assert (search.run(), search.failed, search.next) == (0, 1, 0)


def test_a_late_generator_limits_the_search() -> None:
    search = Search(lambda calls: "" if calls <= 137 else GENERATOR_LATE, start=50)
    held = search.run()
    assert 120 < held <= 137 < search.failed <= 150
    assert search.why == GENERATOR_LATE


def test_a_generator_that_is_late_at_once_ends_the_search() -> None:
    search = Search(lambda calls: GENERATOR_LATE, start=50)
    assert (search.run(), search.failed, search.next) == (0, 50, 0)


def test_no_more_than_the_limit_is_tried() -> None:
    tried: list[int] = []
    Search(lambda calls: tried.append(calls) or "", start=25, limit=60).run()  # type: ignore[func-returns-value]
    assert tried == [25, 50, 60]


def result(**changes: Any) -> Outcome:
    """Ten calls of one message each, all of it as it should be but for ``changes``."""
    load = {"messages": 10, "refused": 0, "closed": 0, "blocked": 0, "unclosed": 0, "in_time": True}
    report = {"packets": 10, "dropped": {}, "lost": 0.0, "failed": 0, "events": {}}
    ages = changes.pop("ages", [0.01] * 100)
    for name, value in changes.items():
        (load if name in load else report)[name] = value
    return Outcome(10, load, report, ages=ages)


def test_all_is_well() -> None:
    assert verdict(result(), 40) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"refused": 2}, "2 calls refused"),
        ({"closed": 1}, "1 calls cut"),
        ({"blocked": 3}, "held up"),
        ({"unclosed": 1}, "not closed in order"),
        ({"packets": 9}, "1 messages never came"),
        ({"dropped": {"wav: queue_full": 4}}, "4 chunks dropped, wav: queue_full"),
        ({"lost": 0.02}, "0.02 s of audio replaced"),
        ({"failed": 1}, "1 flows failed"),
        ({"events": {"hold_ended": 1}}, "1 pauses detected"),
        ({"ages": [0.01] * 98 + [0.2, 0.2]}, "p99 200 ms"),
        ({"in_time": False, "refused": 2}, GENERATOR_LATE),
    ],
    ids=str,
)
def test_every_loss_is_described(change: dict[str, Any], said: str) -> None:
    assert said in verdict(result(**change), 40)
