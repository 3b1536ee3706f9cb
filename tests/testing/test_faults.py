"""Trouble comes when it is ordered, to whom it is ordered, and in virtual time."""

import sys
import threading

import pytest

from flowcore.engine.clock import VirtualClock
from flowcore.testing import Fail, Slow, Stuck, VirtualPool, inject, run_plan
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step
from tests.support.kills import kill_at_random
from tests.support.live import until


@pytest.fixture(autouse=True)
def fresh():
    Keep.kept.clear()


def starts(flow=1):
    return [item.start for name, kept in Keep.kept.items() for item in kept[1:-2] if name.endswith(f"flow{flow}")]


ALL = [160 * n for n in range(50)]


def test_a_failure_comes_at_its_chunk_in_its_flow_only():
    graph = plan(step("call", Tones, sessions=3), step("end", Keep, "call"))
    result = run_plan(inject(graph, "end", Fail(at=10, error=ZeroDivisionError), lambda flow: flow.endswith("flow2")))
    flows = sorted(result.flows, key=lambda flow: flow.id)
    assert [[str(failure) for failure in flow.failures] for flow in flows] == [[], ["end: injected failure at 10"], []]
    assert (starts(1), starts(3)) == (ALL, ALL)
    assert flows[1].stats["end"].dropped["node_failed"].chunks == 40


@pytest.mark.parametrize("at", ["open", "flush", "close"])
def test_a_failure_may_come_at_the_other_calls(at):
    result = run_plan(inject(plan(step("call", Tones), step("end", Keep, "call")), "end", Fail(at)))
    assert [failure.node for failure in result.flows[0].failures] == ["end"]


def test_a_slow_node_takes_virtual_time_and_is_waited_for():
    graph = inject(plan(step("call", Tones, pace=True), step("end", KeepInThread, "call")), "end", Slow(factor=3.0))
    result = run_plan(graph, pool=VirtualPool())
    assert 3.0 <= result.seconds < 3.1
    assert starts() == ALL
    stats = result.flows[0].stats["end"]
    assert 0.3 < stats.waits.mean < 2.0


def test_a_slow_node_in_the_event_loop_holds_up_all():
    graph = inject(plan(step("call", Tones, sessions=2), step("end", Keep, "call")), "end", Slow(each=0.1))
    result = run_plan(graph)
    assert result.seconds == pytest.approx(2 * 50 * 0.1, abs=0.1)


def test_a_stuck_node_holds_up_only_itself_and_is_left_behind():
    graph = plan(step("call", Tones, sessions=3), step("end", KeepInThread, "call"))
    threads = threading.active_count()
    graph = inject(graph, "end", Stuck(at=5, seconds=float("inf")), lambda flow: flow.endswith("flow2"))
    result = run_plan(graph, pool=VirtualPool())
    assert (starts(1), starts(3)) == (ALL, ALL)
    assert {flow.id[-5:]: flow.reason for flow in result.flows} == {
        "flow1": "done",
        "flow2": "drain_deadline",
        "flow3": "done",
    }
    assert result.flows[-1].stats["end"].dropped["drain_deadline"].chunks == 44
    until(lambda: threading.active_count() <= threads)  # those of other tests may have ended


def test_a_really_stuck_thread_is_released():
    stuck = Stuck(at=0)
    thread = threading.Thread(target=lambda: stuck(0, None))
    thread.start()
    assert stuck.reached.wait(30)
    assert thread.is_alive()
    stuck.release()
    thread.join(30)
    assert not thread.is_alive()


def test_the_same_fault_twice_has_the_same_outcome():
    def once():
        graph = plan(step("call", Tones, sessions=5, pace=True), step("end", KeepInThread, "call"))
        graph = inject(graph, "end", Slow(factor=1.7))
        result = run_plan(graph, pool=VirtualPool())
        return [(event.name, event.flow) for event in result.events], result.seconds

    assert once() == once()


def test_time_spent_in_the_loop_is_on_the_clock():
    clock = VirtualClock()
    clock.advance(5.0)
    assert clock.now() == 1005.0
    assert clock.wall().second == 10


ENDLESS = "import itertools\nfor n in itertools.count(): print(n, flush=True)"


def test_killed_after_the_line_that_the_seed_picks_or_soon_after():
    heard = [kill_at_random([sys.executable, "-c", ENDLESS], seed, lines=(1, 50)) for seed in (1, 2)]
    for killed in heard:
        assert not killed.survived
        assert killed.lines == tuple(b"%d" % n for n in range(len(killed.lines)))
    assert len(heard[0].lines) != len(heard[1].lines)


def test_a_process_that_ends_first_was_not_killed():
    killed = kill_at_random([sys.executable, "-c", "print('all')"], 1, lines=(5, 9))
    assert killed == type(killed)((b"all",), survived=True)
