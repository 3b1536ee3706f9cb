from hypothesis import given
from hypothesis import strategies as st

from nodes.ringcx.rest.rate_limit import ARRIVAL_MARGIN, RateLimit

TWO_RULES = RateLimit("reports", ((3, 60.0), (9, 900.0)))


def test_every_rule_is_kept():
    times = [1000.0 + 100 * n for n in range(9)]
    assert TWO_RULES.wait(times[:8], 1800.0) == 0.0
    assert TWO_RULES.wait(times, 1800.0) == 1000.0 + 900 + ARRIVAL_MARGIN - 1800.0
    assert TWO_RULES.wait([1000.0, 1000.0, 1000.0], 1010.0) == 50.0 + ARRIVAL_MARGIN


def test_times_of_the_future_are_of_a_clock_that_was_set_back():
    assert TWO_RULES.recent([100.0, 1000.0, 5000.0], 1010.0) == [1000.0]


def test_a_limit_tells_what_is_allowed():
    assert str(TWO_RULES) == "3 reports in 60 s and 9 reports in 900 s"


@given(st.lists(st.floats(0, 200), min_size=1, max_size=40))
def test_whoever_waits_as_told_exceeds_no_rule(pauses):
    now, times = 1000.0, []
    for pause in pauses:
        now += pause
        now += TWO_RULES.wait(TWO_RULES.recent(times, now), now)
        times.append(now)
    for count, window in TWO_RULES.rules:
        for first, after in zip(times, times[count:], strict=False):
            assert after - first > window
