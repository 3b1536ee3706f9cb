"""Commands of operators through the API, with a real call."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.support.admin_api import SECRET, api
from tests.support.asking import call, hub
from tests.support.live import PATIENCE, ROOT, Live, until

pytestmark = pytest.mark.slow

READ_SECRET = "r3ad-MARKER-4711-of-32-characters"
WHO = {"token": "admin", "address": "127.0.0.1"}


def talking(live, name):
    """A call in which both parties have said something."""
    phone = call(live, name)
    phone.talk(7, 0.2)
    until(lambda: any(len(flow.parties) == 2 for flow in tuple(live.engine.flows.values())))
    return phone


def shown(served, flow):
    """What is paused and muted of a call, as the API shows it."""
    answer = served.get(f"/v1/calls/{flow}").json()
    return answer["paused"], answer["muted"]


def test_a_call_is_paused_resumed_muted_and_ended_and_each_command_is_reported(live, served):
    talking(live, "one")
    (flow,) = live.engine.flows
    state = {"flow": flow, "parties": ["agent", "customer"]}
    for path, party, changed, paused, muted in [
        ("pause", "", True, True, []),
        ("pause", "", False, True, []),
        ("mute", "customer", True, True, ["customer"]),
        ("resume", "", True, False, ["customer"]),
        ("unmute", "customer", True, False, []),
    ]:
        answer = served.post(f"/v1/calls/one/{path}", params={"party": party} if party else {})
        assert (answer.status_code, answer.json()) == (
            200,
            {**state, "changed": changed, "paused": paused, "muted": muted},
        )
        assert served.reported() == {
            "command": {"operation": path, "status": 200, "flow": flow, "party": party, "changed": changed, **WHO}
        }
        until(lambda: shown(served, flow) == (paused, muted))  # noqa: B023  # at once
    assert served.post("/v1/calls/newest/end").json()["changed"]
    until(lambda: not live.engine.flows)
    assert live.named("flow_closed")[0].data["reason"] == "operator"
    assert served.post("/v1/calls/newest/end").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/calls/nobody/end", 404, "there is no live call 'nobody': GET /v1/calls lists them"),
        ("/v1/calls/call/pause", 409, "2 live calls match 'call': give the flow of one: "),
        ("/v1/calls/call-1/mute?party=bot", 404, "none of its parties has sent audio yet"),
        ("/v1/calls/call-1/mute", 422, "party: Field required"),
        ("/v1/calls/call-1/pause?party=agent", 422, "party is no parameter: it has none"),
        ("/v1/drain?finish=60", 422, "finish is no parameter: its parameters are seconds"),
        ("/v1/drain?seconds=-1", 422, "seconds: Input should be greater than or equal to 0"),
        ("/v1/drain?seconds=nan", 422, "seconds: "),
    ],
)
def test_a_command_that_is_not_possible_says_why_in_one_line(live, served, path, status, text):
    call(live, "call-1")
    call(live, "call-2")
    answer = served.post(path)
    assert answer.status_code == status
    assert text in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert not any(flow.ended or flow.silencing.active for flow in live.engine.flows.values())


def test_the_run_drains_and_reloads(served):
    assert served.post("/v1/drain").json() == {"changed": True}
    assert served.post("/v1/drain", params={"seconds": 0}).json() == {"changed": False}
    answer = served.post("/v1/reload").json()
    assert answer == {"version": answer["version"], "changed": False}
    assert answer["version"].startswith("1-")
    assert [served.reported()["command"]["operation"] for _ in range(3)] == ["drain", "drain", "reload"]


def test_a_wrong_graph_is_409_with_its_problems(control, live, served):
    live.settings = ["wav.pth=x.wav"]
    answer = served.post("/v1/reload")
    assert answer.status_code == 409
    problem = answer.json()
    assert "\n" not in problem["detail"]
    assert problem["detail"] in problem["problems"][0]
    assert "unknown-field" in problem["detail"]
    assert served.reported()["command"]["status"] == 409


def test_a_token_that_only_reads_controls_and_hears_nothing(live, control):
    call(live, "one")
    with api(control, READ_SECRET, tokens={"admin": SECRET, "read": READ_SECRET}) as reader:
        assert reader.get("/v1/access").json() == {"token": "read", "scopes": ["read"]}
        assert reader.get("/v1/calls/one").status_code == 200
        for answer in (reader.post("/v1/calls/one/end"), reader.post("/v1/drain"), reader.get("/v1/calls/one/tap")):
            assert answer.status_code == 403
            assert answer.json()["detail"].startswith("this token only reads: ")
    assert not any(flow.ended for flow in live.engine.flows.values())


def test_without_a_token_nobody_controls(live, control):
    call(live, "one")
    with api(control) as anyone:
        assert anyone.get("/v1/access").json() == {"token": "", "scopes": ["read"]}
        answer = anyone.post("/v1/calls/one/end")
        assert (answer.status_code, "set FLOWCORE_ADMIN_TOKEN" in answer.json()["detail"]) == (403, True)
    assert not any(flow.ended for flow in live.engine.flows.values())


@pytest.mark.fault(81)
def test_a_page_of_another_site_ends_no_call_even_with_the_token(live, served):
    call(live, "one")
    answer = served.post("/v1/calls/one/end", headers={"Origin": "https://attacker.example"})
    assert answer.status_code == 403
    assert served.reported() == {"rejected": ["foreign_page", "127.0.0.1", 1]}
    assert not any(flow.ended for flow in live.engine.flows.values())


@pytest.mark.fault(88)
def test_a_client_that_leaves_takes_its_command_not_back_and_it_is_carried_out_once(live, served):
    talking(live, "one")
    address = urlsplit(served.url)
    head = f"POST /v1/calls/one/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 0\r\n"
    with socket.create_connection((address.hostname, address.port), PATIENCE) as client:
        client.sendall(f"{head}\r\n".encode())
    report = served.reported()["command"]
    assert (report["operation"], report["changed"]) == ("pause", True)
    (flow,) = live.engine.flows.values()
    assert flow.silencing.paused
    until(lambda: len(live.named("call_silenced")) == 1)


@pytest.fixture
def mixing(tmp_path, monkeypatch):
    """A run of a graph with a live field."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    graph = (ROOT / "graphs" / "record.yaml").read_text()
    graph = graph.replace("  wav:", "  both: {use: mix, from: voices}\n  wav:").replace(
        "wav_file, from: voices", "wav_file, from: both"
    )
    (tmp_path / "mixing.yaml").write_text(graph)
    with Live(str(tmp_path / "mixing"), [f"wav.path={tmp_path}/{{call_id}}.wav"]) as running:
        yield running


@pytest.fixture
def api_of_mixing(mixing):
    with hub(mixing) as control, api(control, SECRET) as opened:
        yield opened


def test_live_fields_of_a_call_and_of_all_calls_are_set(mixing, api_of_mixing):
    for name in ("one", "two"):
        call(mixing, name)
    flows = {flow.call_id: flow for flow in mixing.engine.flows.values()}
    halve = {"settings": ["both.halve=true"]}
    answer = api_of_mixing.post("/v1/calls/one/set", json=halve)
    assert answer.json() == {"flow": flows["one"].id, "changed": True}
    assert api_of_mixing.post("/v1/calls/one/set", json=halve).json()["changed"] is False
    answer = api_of_mixing.post("/v1/set", json=halve).json()
    assert answer == {"took": [flows["two"].id], "same": [flows["one"].id], "refused": {}, "missing": []}
    assert all(flow.runs["both"].config.halve for flow in flows.values())
    assert mixing.engine.plan.nodes["both"].config.halve
    report = api_of_mixing.reported()["command"]
    assert (report["operation"], report["flow"], report["changed"]) == ("set", flows["one"].id, True)
    assert "halve" not in str(report)


@pytest.mark.fault(92)
@pytest.mark.parametrize("path", ["/v1/calls/one/set", "/v1/set"])
@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"settings": ["both.halve=maybe"]}, 409, "both (mix): halve"),
        ({"settings": ["ordered.window=1s"]}, 409, "window of ordered (reorder) stays as it is during a call"),
        ({"settings": []}, 422, "settings: List should have at least 1 item"),
        ({"settings": "both.halve=true"}, 422, "settings: Input should be a valid"),
        ({"settings": [7]}, 422, "settings.0: Input should be a valid string"),
        ({"setting": ["both.halve=true"]}, 422, "settings: Field required"),
        ({"settings": ["x" * 10_000]}, 413, "the settings have more than 10000 bytes"),
    ],
)
def test_settings_that_cannot_be_are_named_and_change_nothing(mixing, api_of_mixing, path, body, status, text):
    call(mixing, "one")
    answer = api_of_mixing.post(path, json=body)
    assert (answer.status_code, text in answer.json()["detail"]) == (status, True), answer.text
    assert not any(flow.runs["both"].config.halve for flow in mixing.engine.flows.values())


def test_a_body_of_another_type_is_415_and_of_a_stranger_is_not_read(mixing, api_of_mixing):
    call(mixing, "one")
    text = api_of_mixing.post(
        "/v1/set", content='{"settings": ["both.halve=true"]}', headers={"Content-Type": "text/plain"}
    )
    assert text.status_code == 415
    address = urlsplit(api_of_mixing.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE) as stranger:
        stranger.sendall(
            b"POST /v1/set HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )
        assert stranger.recv(4096).startswith(b"HTTP/1.1 401 ")
