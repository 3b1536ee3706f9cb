"""Live calls through the API."""

import pytest

from flowcore.control import all_calls
from tests.support.asking import call
from tests.support.live import until


def test_calls_have_the_fields_of_the_command(live, control, served):
    call(live, "one")
    call(live, "two")
    listed, missing = all_calls(control)
    answer = served.get("/v1/calls").json()
    since = {one["flow"]: one.pop("since") for one in answer["calls"]}
    assert set(since) == {one["flow"] for one in listed}
    assert answer == {"calls": [{k: v for k, v in one.items() if k != "since"} for one in listed], "missing": missing}


def test_a_call_is_found_by_any_of_its_ids_and_by_the_beginning_of_one(live, served):
    phone = call(live, "first-call")
    flow = served.get("/v1/calls/newest").json()["flow"]
    for name in ("first-call", "FIRST", flow, flow[:10]):
        found = served.get(f"/v1/calls/{name}").json()
        assert (found["flow"], found["call_id"], found["worker"]) == (flow, "first-call", 1)
        assert "match" not in found
    phone.stop()
    phone.hang_up()
    until(lambda: not live.engine.flows)
    assert served.get("/v1/calls/first-call").status_code == 404


def test_a_name_of_several_calls_is_409_and_lists_their_flows(live, served):
    call(live, "call-1")
    call(live, "call-2")
    answer = served.get("/v1/calls/call")
    assert answer.status_code == 409
    assert all(flow in answer.json()["detail"] for flow in live.engine.flows)


@pytest.mark.parametrize("name", ["newest", "nobody", "%00", "%F0%9F%93%9E"])
def test_an_unknown_call_is_404_with_what_to_do(served, name):
    answer = served.get(f"/v1/calls/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["title"], problem["status"]) == ("Not Found", 404)
    assert "GET /v1/calls lists them" in problem["detail"]


def test_a_run_that_does_not_answer_is_503(tmp_path):
    from tests.support.admin_api import SECRET, api

    with api(tmp_path / "gone", SECRET) as opened:
        answer = opened.get("/v1/calls")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "no answer at" in answer.json()["detail"]
