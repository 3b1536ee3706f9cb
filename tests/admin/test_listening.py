"""Audio of a call for a browser: a token for one call, and what it opens once."""

import json

import numpy as np
import pytest

from tests.support.admin_api import SECRET, api
from tests.support.asking import call
from tests.support.phone import said

pytestmark = pytest.mark.slow

READ = "r3ad-MARKER-4711-of-32-characters"


def opened(served, name, **query):
    answer = served.post(f"/v1/calls/{name}/listen", params=query)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def chunks(data):
    """The descriptions in a stream with their samples, and the last line."""
    found = []
    while data:
        line, _, data = data.partition(b"\n")
        head = json.loads(line)
        size = head.get("bytes", 0)
        found.append((head, np.frombuffer(data[:size], "<i2")))
        data = data[size:]
    return found[:-1], found[-1][0]


def test_both_parties_are_heard_sample_by_sample_until_the_call_ends(live, served):
    phone = call(live, "one")
    headers = opened(served, "one")
    with served.client.stream("GET", "/v1/audio", headers=headers) as answer:
        assert answer.headers["content-type"] == "application/x-flowcore-audio"
        assert answer.headers["cache-control"] == "no-store"
        phone.talk(7, 1.0)
        phone.stop()
        phone.hang_up()
        found, end = chunks(answer.read())
    assert end == {"end": "stop"}
    for channel, track in enumerate(("agent", "customer")):
        of_track = [(head, samples) for head, samples in found if head["track"] == track]
        assert of_track[0][0]["start"] == 0
        assert (np.concatenate([samples for _, samples in of_track]) == said(7, 1.0)[:, channel]).all()


@pytest.mark.fault(95)
def test_a_token_opens_the_audio_once_and_nothing_else(live, served):
    call(live, "one")
    headers = opened(served, "one")
    assert served.get("/v1/calls", headers=headers).status_code == 401
    with served.client.stream("GET", "/v1/audio", headers=headers) as answer:
        assert answer.status_code == 200
        again = served.get("/v1/audio", headers=headers)
        assert (again.status_code, again.headers["www-authenticate"]) == (401, "Bearer")


def test_the_log_says_who_listens_to_which_call(live, served):
    call(live, "one")
    opened(served, "one")
    [flow] = live.engine.flows
    said = served.reported()["command"]
    assert (said["operation"], said["flow"], said["token"], said["status"]) == ("listen", flow, "admin", 200)


@pytest.mark.parametrize("token", [READ, ""])
def test_only_a_token_that_may_listen_gets_one(live, control, token):
    call(live, "one")
    tokens = {"admin": SECRET, "read": READ} if token else {}
    with api(control, token, tokens=tokens) as served:
        assert served.post("/v1/calls/one/listen").status_code == 403


def test_a_node_without_audio_is_400_and_a_call_that_is_not_there_404(live, served):
    call(live, "one")
    answer = served.get("/v1/audio", headers=opened(served, "one", node="nope"))
    assert answer.status_code == 400
    assert "there is no node 'nope'" in answer.json()["detail"]
    assert served.post("/v1/calls/two/listen").status_code == 404
