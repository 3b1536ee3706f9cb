"""The admin process beside a run: one for all workers, replaced when it dies, and gone with its run."""

import json
import signal

import httpx
import numpy as np
import psutil
import pytest

from flowcore.admin.settings import TOKEN
from flowcore.control import ask
from tests.support.admin_api import SECRET
from tests.support.live import PATIENCE, ROOT, until
from tests.support.phone import Phone, said, stereo
from tests.support.service import Service, gone

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)


def client(service, token=SECRET):
    address = service.heard("admin_opened")[0]["address"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=address, headers=headers, timeout=PATIENCE, trust_env=False)


def admin_pid(service):
    """The admin process of a run."""
    children = psutil.Process(service.process.pid).children()
    (found,) = [child.pid for child in children if "flowcore.admin.server" in child.cmdline()]
    return found


def talk(service, names):
    phones = [Phone(service.url, name) for name in names]
    for phone in phones:
        phone.start()
        phone.talk(7, 0.4)
    service.until(lambda calls: len(calls) == len(names))
    return phones


@pytest.mark.parametrize("workers", [1, 2])
def test_one_port_answers_for_all_workers_up_to_the_end_of_the_last_call(tmp_path, workers):
    with (
        Service(tmp_path, "--admin", "0", "--finish", "2h", workers=workers) as service,
        client(service) as api,
        api.stream("GET", "/v1/events") as events,
    ):
        lines = events.iter_lines()
        assert next(lines) == ": connected"
        names = [f"call{number}" for number in range(4)]
        phones = talk(service, names)
        listed = api.get("/v1/calls").json()
        assert listed["missing"] == []
        assert {one["call_id"] for one in listed["calls"]} == set(names)
        assert {one["worker"] for one in listed["calls"]} <= set(range(1, workers + 1))
        assert (api.get("/healthz").text, api.get("/readyz").text) == ("ok\n", "ok\n")
        metrics = api.get("/metrics")
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'flowcore_calls{state="running"} 4.0' in metrics.text.splitlines()
        metrics = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert metrics.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert metrics.text.endswith("# EOF\n")
        service.process.send_signal(signal.SIGTERM)
        until(lambda: api.get("/readyz").text == "stopping\n")
        assert api.get("/healthz").text == "ok\n"
        assert len(api.get("/v1/calls").json()["calls"]) == 4
        for phone in phones:
            phone.stop()
            phone.hang_up()
        seen = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        assert service.ended() == 0
    for name in ("flow_opened", "file_finished", "flow_closed"):
        logged = {one["flow"]: one | {"timestamp": ""} for one in service.named(name)}
        told = {one["flow"]: one | {"timestamp": ""} for one in seen if one["event"] == name}
        assert told == logged
        assert len(told) == 4


def test_a_killed_admin_process_is_replaced_and_no_call_notices(tmp_path):
    with Service(tmp_path, "--admin", "0", workers=1) as service, client(service) as api:
        assert api.get("/v1/calls").json()["calls"] == []
        (phone,) = talk(service, ["one"])
        psutil.Process(admin_pid(service)).kill()
        assert service.heard("admin_died")[0]["how"] == "SIGKILL"
        assert api.get("/v1/calls/one").json()["call_id"] == "one"  # the port was bound meanwhile: the client waited
        phone.talk(7, 0.4)
        phone.stop()
        phone.hang_up()
        service.heard("flow_closed")
        assert service.stop() == 0
    assert np.array_equal(stereo(tmp_path / "one.wav"), np.concatenate([said(7, 0.4)] * 2))


def test_the_admin_process_ends_with_a_killed_run(tmp_path):
    with Service(tmp_path, "--admin", "0", workers=1) as service, client(service) as api:
        assert api.get("/healthz").status_code == 200
        pid = admin_pid(service)
        service.process.kill()
        assert gone([pid])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_command_reaches_the_worker_that_holds_the_call_and_the_log_says_who_gave_it(tmp_path, workers):
    with Service(tmp_path, "--admin", "0", "--finish", "2h", workers=workers) as service, client(service) as api:
        phones = talk(service, ["one", "two", "three"])
        flows = {one["call_id"]: one["flow"] for one in service.calls()}
        assert api.post("/v1/calls/two/mute?party=agent").json()["muted"] == ["agent"]
        assert api.post("/v1/calls/one/end").json() == {
            "flow": flows["one"],
            "changed": True,
            "paused": False,
            "muted": [],
            "parties": ["agent", "customer"],
        }
        assert [one["call_id"] for one in service.heard("flow_closed")] == ["one"]
        assert api.post("/v1/drain").json() == {"changed": True}
        assert api.post("/v1/drain").json() == {"changed": False}
        until(lambda: api.get("/readyz").text == "stopping\n")
        for phone in phones[1:]:
            phone.stop()
            phone.hang_up()
        assert service.ended() == 0
    told = [
        (one["operation"], one.get("flow", ""), one["token"], one["address"]) for one in service.named("admin_command")
    ]
    who = ("admin", "127.0.0.1")
    assert told == [("mute", flows["two"], *who), ("end", flows["one"], *who), ("drain", "", *who), ("drain", "", *who)]


@pytest.mark.fault(20, 81)
def test_no_token_gets_into_the_log(tmp_path):
    with Service(tmp_path, "--admin", "0", workers=1) as service, client(service, "wr0ng-MARKER-0815") as stranger:
        assert stranger.get(f"/v1/calls?token={SECRET}").status_code == 401
        rejected = service.heard("admin_rejected")[0]
        assert (rejected["reason"], rejected["address"]) == ("wrong_token", "127.0.0.1")
        assert service.stop() == 0
    told = json.dumps(service.events)
    assert SECRET not in told
    assert "wr0ng-MARKER-0815" not in told


def test_the_version_shown_is_that_of_what_was_set_for_all_calls(tmp_path):
    graph = tmp_path / "my.yaml"
    text = (ROOT / "graphs" / "record.yaml").read_text()
    graph.write_text(
        text.replace("  wav:", "  loud: {use: volume, from: voices}\n  wav:").replace(
            "wav_file, from: voices", "wav_file, from: loud"
        )
    )
    with Service(tmp_path, "--admin", "0", workers=2, graph=graph) as service, client(service) as api:
        before = api.get("/v1/version").json()["graph_sha256"]
        assert api.post("/v1/set", json={"settings": ["loud.level=1dB"]}).json()["missing"] == []
        until(lambda: api.get("/v1/version").json()["graph_sha256"] != before)
        assert api.post("/v1/reload").json()["version"].startswith("2-")
        until(lambda: api.get("/v1/version").json()["graph_sha256"] == before)


def test_the_graph_that_a_reload_brought_is_shown(tmp_path):
    graph = tmp_path / "my.yaml"
    graph.write_text((ROOT / "graphs" / "record.yaml").read_text())
    with Service(tmp_path, "--admin", "0", workers=1, graph=graph) as service, client(service) as api:
        before = api.get("/v1/version").json()["graph_sha256"]
        graph.write_text(graph.read_text() + "# changed\n")
        assert ask(service.control, {"ask": "reload"})[0][0]["changed"]
        until(lambda: api.get("/v1/version").json()["graph_sha256"] != before)
        assert api.get("/v1/graph").json()["text"].endswith("# changed\n")
