"""Random calls with stalls, batches, holds, loss, reordering, repeats, skew and any numbers, through `reorder`."""

import pytest

from tests.support.hostile_calls import HostileCall


@pytest.mark.fault(67)
@pytest.mark.parametrize("seed", range(40))
def test_a_call_is_as_it_was_spoken(seed):
    call = HostileCall(seed)
    assert call.faults(call.play()) == []


@pytest.mark.slow
@pytest.mark.fault(67)
@pytest.mark.parametrize("first", range(1000, 1400, 50))
def test_fifty_calls_are_as_they_were_spoken(first):
    calls = {seed: HostileCall(seed) for seed in range(first, first + 50)}
    assert {seed: faults for seed, call in calls.items() if (faults := call.faults(call.play()))} == {}
