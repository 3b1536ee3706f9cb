"""Probes, versions, the graph and its picture."""

import hashlib

import pytest

from tests.support.admin_api import RECORD, SECRET, api
from tests.support.asking import call
from tests.support.live import until

pytestmark = pytest.mark.slow


def test_a_run_that_takes_calls_is_alive_and_ready(served):
    for path in ("/healthz", "/readyz"):
        answer = served.get(path)
        assert (answer.status_code, answer.text) == (200, "ok\n")


def test_a_run_that_takes_no_more_calls_is_alive_and_not_ready(live, served):
    call(live, "one")
    live.call(lambda: live.engine.finish(3600))
    assert (served.get("/healthz").status_code, served.get("/readyz").status_code) == (200, 503)
    assert served.get("/readyz").text == "stopping\n"
    assert len(served.get("/v1/calls").json()["calls"]) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_run_that_does_not_answer_is_neither_alive_nor_ready(tmp_path, path):
    with api(tmp_path / "gone", SECRET) as opened:
        answer = opened.get(path)
        assert (answer.status_code, answer.text) == (503, "no_answer\n")


def test_the_capacity_is_the_sum_of_the_processes_and_names_what_is_full_first(live, served):
    call(live, "one")
    found = served.get("/v1/capacity").json()
    (worker,) = found["workers"]
    assert (found["calls"], worker["calls"], worker["worker"]) == (1, 1, 1)
    assert found["until_full"] == worker["until_full"] == min(worker["room"].values())
    assert worker["room"][found["limited_by"]] == found["until_full"]
    assert worker["room"]["call_limit"] == 1999


def test_a_run_that_drains_has_no_room(live, served):
    call(live, "one")
    live.call(lambda: live.engine.finish(3600))
    found = served.get("/v1/capacity").json()
    assert (found["until_full"], found["limited_by"]) == (0, "stopping")


def test_the_version_is_that_of_the_call_log(served):
    version = served.get("/v1/version").json()
    assert version["graph_sha256"] == hashlib.sha256(RECORD.read_bytes()).hexdigest()
    assert version["graph"].endswith("record.yaml")


def test_the_graph_is_shown_as_text_plan_and_picture(served):
    graph = served.get("/v1/graph").json()
    assert graph["text"] == RECORD.read_text()
    assert graph["plan"]["chains"][0]["nodes"][0]["name"] == "call"
    picture = served.get("/v1/graph/picture")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.startswith("<svg")


def test_a_new_graph_is_shown_in_place_of_the_old_one(served):
    version = served.get("/v1/version").json()
    served.send(graph=version | {"graph": "other.yaml", "text": "", "plan": {}, "picture": "<svg/>"})
    until(lambda: served.get("/v1/version").json()["graph"] == "other.yaml")
    assert served.get("/v1/graph/picture").text == "<svg/>"
