"""The live calls of several processes: sorted together, page by page, whichever of them is silent or has ended."""

import asyncio
from types import SimpleNamespace

import pytest

from flowcore.control.run_live import RunLive
from flowcore.engine.losses import Losses
from flowcore.engine.totals import Totals
from tests.engine.nodes import Keep, Tones, plan, step

RUNNER = SimpleNamespace(plan=plan(step("call", Tones), step("wav", Keep, "call")), draining=False)


class Worker:
    """A process with calls of these ranks, whose flows are named by them."""

    def __init__(self, *ranks, lost_ms=0):
        self.ranks = list(ranks)
        self.lost_ms = lost_ms
        self.asked = []

    async def __call__(self, request):
        self.asked.append(request)
        if request["ask"] == "live_rows":
            return {flow: {"flow": flow} for flow in request["flows"] if flow != "ended"}
        if request["ask"] == "live_call":
            known = request["flow"] in [flow for _, flow in self.ranks]
            return {"call": {"flow": request["flow"]}, "events": [{"event": "x"}]} if known else None
        counts = {"started": len(self.ranks) + 1, "ended": 1, "failed": 0, "refused": 2}
        node = {"name": "wav", "use": "keep", "in": {"chunks": 3, "ms": 60.0}}
        return {
            "at": 5.0,
            "process": {"calls": len(self.ranks), "version": "1-aa"},
            "totals": counts,
            "lost_ms": self.lost_ms,
            "versions": {"1-aa": len(self.ranks)},
            "matched": len(self.ranks),
            "ranks": sorted(self.ranks)[: request["offset"] + request["limit"]],
            "nodes": [node | {"queue": {"ms": 20, "worst_ms": 20, "limit_ms": 500}}],
            "events": [{"event": f"e{self.lost_ms}", "timestamp": str(self.lost_ms)}],
        }


async def silent(request):
    await asyncio.Event().wait()


def page(handlers, ended=Totals, **request):
    return asyncio.run(RunLive(RUNNER, handlers, 2000, ended).page(request))


def test_calls_of_all_processes_are_sorted_together_and_each_row_is_asked_for_once():
    first, second = Worker([-3, "a"], [-1, "c"], [0, "d"]), Worker([-2, "b"], [0, "e"])
    answer = page({1: first, 2: second}, limit=3)
    assert [(call["flow"], call["worker"]) for call in answer["calls"]] == [("a", 1), ("b", 2), ("c", 1)]
    assert answer["matched"] == 5
    assert [request.get("flows") for request in first.asked + second.asked] == [None, ["a", "c"], None, ["b"]]
    answer = page({1: first, 2: second}, limit=3, offset=3)
    assert [call["flow"] for call in answer["calls"]] == ["d", "e"]


def test_a_call_that_ends_meanwhile_is_left_out():
    answer = page({1: Worker([0, "a"], [1, "ended"], [2, "b"])})
    assert [call["flow"] for call in answer["calls"]] == ["a", "b"]


def test_counters_of_processes_that_have_ended_stay_in_the_sum():
    lost = Losses()
    lost.count("wav", "lost", 1, 0.04)
    ended = Totals(flows=7, failed=1, reasons={"stop": 7}, lost=lost)
    run = page({1: Worker([0, "a"], lost_ms=20), 2: Worker(lost_ms=5)}, lambda: ended)["run"]
    assert (run["started"], run["ended"], run["failed"], run["refused"], run["lost_ms"]) == (10, 9, 1, 4, 65)
    assert (run["calls"], run["version"], run["versions"]) == (1, "1-aa", {"1-aa": 1})


def test_nodes_and_events_of_all_processes_are_one_list():
    answer = page({1: Worker(lost_ms=2), 2: Worker(lost_ms=1)}, nodes=True, events=1)
    (node,) = answer["nodes"]
    assert node["in"] == {"chunks": 6, "ms": 120.0}
    assert node["queue"] == {"ms": 40, "worst_ms": 20, "limit_ms": 500}
    assert [(event["event"], event["worker"]) for event in answer["events"]] == [("e1", 2), ("e2", 1)]


def test_a_process_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("flowcore.control.handler.ANSWER_TIMEOUT", 0.05)
    answer = page({1: Worker([0, "a"]), 2: silent})
    assert (answer["missing"], [call["flow"] for call in answer["calls"]]) == ([2], ["a"])
    assert [process["worker"] for process in answer["processes"]] == [1]
    answer = page({2: silent})
    assert (answer["missing"], answer["calls"], answer["run"]["calls"]) == ([2], [], 0)


@pytest.mark.parametrize(("flow", "worker"), [("a", 1), ("b", 2)])
def test_one_call_is_found_in_the_process_that_has_it(flow, worker):
    run = RunLive(RUNNER, {1: Worker([0, "a"]), 2: Worker([0, "b"])}, 2000)
    found = asyncio.run(run.call({"ask": "live_call", "flow": flow}))
    assert found == {"call": {"flow": flow, "worker": worker}, "events": [{"event": "x", "worker": worker}]}
    assert asyncio.run(run.call({"ask": "live_call", "flow": "c"})) is None
