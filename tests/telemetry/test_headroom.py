"""The estimate of "calls until full": right for a known cost of calls, smooth, and fit to steer an autoscaler."""

import random
from itertools import pairwise
from math import ceil, sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore.telemetry.headroom import MIN_CALL_SECONDS, Headroom

COST = 0.001
"""Share of the resource that a call uses: a thousand calls fill it."""


def after(seconds, calls, cost=COST, headroom=None):
    headroom = headroom or Headroom()
    for _ in range(seconds):
        headroom.sample({"loop": min(1.0, calls * cost)}, calls, 1.0)
    return headroom


def capacity(headroom):
    return headroom.capacities()["loop"]


@pytest.mark.parametrize("calls", [1, 10, 250, 500, 1000])
def test_the_capacity_follows_from_what_a_call_uses(calls):
    assert capacity(after(20, calls)) == pytest.approx(1000)


def test_a_full_resource_has_no_room_however_many_calls_there_are():
    assert capacity(after(20, 1300)) == pytest.approx(1300)


def test_little_evidence_is_no_estimate():
    assert not after(int(MIN_CALL_SECONDS) - 1, 1).capacities()
    assert after(int(MIN_CALL_SECONDS) + 1, 1).capacities()


def test_what_calls_do_not_use_is_no_limit():
    assert "loop" not in after(20, 100, cost=0.0).capacities()


def test_an_idle_process_remembers_what_its_calls_used():
    headroom = after(60, 100)
    assert capacity(after(3600, 0, headroom=headroom)) == pytest.approx(1000)


def test_calls_that_come_and_go_change_no_estimate():
    headroom = after(20, 100)
    for second in range(600):
        calls = round(300 + 250 * sin(second / 40))
        headroom.sample({"loop": calls * COST}, calls, 1.0)
        assert capacity(headroom) == pytest.approx(1000)


def test_a_new_cost_is_reached_steadily_and_never_overshot():
    headroom = after(300, 100)
    seen = []
    for _ in range(300):
        headroom.sample({"loop": 100 * 2 * COST}, 100, 1.0)
        seen.append(capacity(headroom))
    assert all(earlier >= later for earlier, later in pairwise(seen))
    assert seen[-1] == pytest.approx(500, rel=0.01)
    assert min(seen) >= 500


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.01, 0.5))
def test_noise_in_the_cost_moves_the_estimate_by_a_small_part_of_it(seed, noise):
    rng, headroom, seen = random.Random(seed), after(20, 200), []
    for _ in range(600):
        cost = COST * (1 + rng.uniform(-noise, noise))
        headroom.sample({"loop": 200 * cost}, 200, 1.0)
        seen.append(capacity(headroom))
    assert max(abs(later - earlier) for earlier, later in pairwise(seen)) <= 0.05 * 1000
    assert max(seen) - min(seen) <= noise * 1000


def simulate_autoscaler(calls_at, minutes, target=0.7, cost=COST, noise=0.1, seed=1):
    """Kubernetes' rule each 15 s (10 % tolerance, 5 minutes of stabilisation downwards); returns the replicas.

    New calls go to the pod with the fewest; a pod that goes takes its calls along, which come again elsewhere.
    """
    rng, pods, history, replicas = random.Random(seed), [Headroom()], [], []
    for second in range(minutes * 60):
        share = calls_at(second) // len(pods)
        for pod in pods:
            pod.sample({"loop": min(1.0, share * cost * (1 + rng.uniform(-noise, noise)))}, share, 1.0)
        if second % 15:
            continue
        known = [pod.capacities().get("loop", 2000.0) for pod in pods]  # --max-calls until the first calls
        used = share * len(pods) / sum(max(one, share) for one in known)
        wanted = len(pods) if abs(used / target - 1) <= 0.1 else ceil(len(pods) * used / target)
        history = [*history[-19:], max(1, wanted)]
        wanted = max(history) if wanted < len(pods) else wanted
        pods = [*pods[: max(1, wanted)], *(Headroom() for _ in range(wanted - len(pods)))]
        replicas.append(len(pods))
    return replicas


def changes(replicas):
    return [later - earlier for earlier, later in pairwise(replicas) if later != earlier]


@pytest.mark.parametrize("seed", range(5))
def test_an_autoscaler_settles_under_a_constant_load_and_changes_nothing_any_more(seed):
    replicas = simulate_autoscaler(lambda second: 3000, 60, seed=seed)
    assert len(set(replicas[-120:])) == 1  # for half an hour
    assert 3000 / 1000 < replicas[-1] <= ceil(3000 / 1000 / 0.7) + 1


@pytest.mark.parametrize("seed", range(5))
def test_an_autoscaler_follows_a_working_day_without_turning_back(seed):
    def day(second):
        return round(200 + 3000 * max(0.0, sin(second / 36000 * 3.14159)))

    replicas = simulate_autoscaler(day, 600, seed=seed)
    directions = [change > 0 for change in changes(replicas)]
    assert sum(before != then for before, then in pairwise(directions)) <= 1  # up in the morning, down in the evening
    assert max(replicas) <= ceil(3200 / 1000 / 0.7) + 1
