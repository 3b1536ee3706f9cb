"""Live data through the API: that of the hub, with the types of the document."""

import pytest

from flowcore.admin.live import Live, LiveCall
from flowcore.control import ask
from tests.support.asking import call
from tests.support.live import until

pytestmark = pytest.mark.slow


def test_a_page_is_that_of_the_hub(live, control, served):
    for name in ("one", "two"):
        call(live, name).talk(1, 1.0)
    until(lambda: all(flow.parties for flow in live.engine.flows.values()))
    answer = served.get("/v1/live?sort=newest&limit=1&nodes=true&events=5").json()
    told = ask(control, {"ask": "live", "sort": "newest", "limit": 1, "nodes": True, "events": 5})[0][0]
    assert answer.keys() == told.keys()
    assert [one["call_id"] for one in answer["calls"]] == ["two"]
    assert answer["calls"][0].keys() == told["calls"][0].keys()
    assert (answer["matched"], answer["run"]["calls"]) == (2, 2)
    assert [node["name"] for node in answer["nodes"]] == list(live.plan.nodes)
    assert {"event", "level", "timestamp", "flow", "worker"} <= answer["events"][-1].keys()


def test_one_call_is_that_of_the_hub(live, control, served):
    call(live, "one").talk(1, 1.0)
    flow = next(iter(live.engine.flows))
    until(lambda: served.get("/v1/live/one").json()["nodes"][-1]["in"]["ms"] == 1000)
    answer = served.get("/v1/live/newest").json()
    told = ask(control, {"ask": "live_call", "flow": flow})[0][0]
    assert answer.keys() == told.keys()
    assert answer["nodes"][-1].keys() == told["nodes"][-1].keys()
    assert answer["nodes"][0]["out"] == {"chunks": 100, "ms": 2000.0}
    assert answer["timeline"].keys() == told["timeline"].keys()


def test_the_types_know_every_field(live, control):
    call(live, "one").talk(1, 1.0)
    page = ask(control, {"ask": "live", "nodes": True})[0][0]
    one = ask(control, {"ask": "live_call", "flow": page["calls"][0]["flow"]})[0][0]

    def unknown(model):
        extra = set(model.model_extra or ())
        for value in vars(model).values():
            for item in value if isinstance(value, list) else [value]:
                extra |= unknown(item) if hasattr(item, "model_extra") else set()
        return extra

    assert unknown(Live.model_validate(page)) == unknown(LiveCall.model_validate(one)) == set()


@pytest.mark.parametrize(
    "query", ["limit=201", "limit=x", "offset=-1", "sort=wrong", "events=101", "match=" + 257 * "a", "sorted=id"]
)
def test_a_wrong_parameter_is_422(served, query):
    answer = served.get(f"/v1/live?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(query.partition("=")[0])


def test_an_unknown_call_is_404(served):
    assert served.get("/v1/live/nobody").status_code == 404
