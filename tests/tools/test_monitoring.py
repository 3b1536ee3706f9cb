"""The alert rules and the dashboard, with Debian's Prometheus: it scrapes a real run, and every query has an answer."""

import json
import re
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest

from tests.support.collector import collector
from tests.support.live import ROOT, until
from tests.support.phone import Phone
from tests.support.prometheus import metrics_text, prometheus
from tests.support.service import Service

RULES = ROOT / "tools" / "deploy" / "prometheus" / "alerts.yml"
PANELS = json.loads((ROOT / "tools" / "deploy" / "grafana" / "flowcore.json").read_text())["panels"]
QUERIES = [
    target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
    for panel in PANELS
    for target in panel["targets"]
]


def promtool(*arguments, given=None):
    program = shutil.which("promtool")
    assert program, "run  make debs"
    command = [program, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)


def admin_port(service):
    return urlsplit(service.heard("admin_opened")[0]["address"]).port


@pytest.mark.slow
def test_each_alert_is_raised_by_its_fault_and_by_nothing_else():
    tested = promtool("test", "rules", RULES.with_name("alerts_test.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.slow
def test_prometheus_counts_the_calls_of_a_run_and_each_panel_of_the_dashboard_has_data(tmp_path):
    with Service(tmp_path, "--admin", "0", workers=1) as service:
        checked = promtool("check", "metrics", given=metrics_text(service.control))
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        with prometheus(tmp_path, RULES, admin_port(service)) as running:
            phones = [Phone(service.url, f"call{number}") for number in range(3)]
            for phone in phones:
                phone.start()
                phone.talk(7, 0.5)
            running.until('flowcore_calls{state="running"}', lambda values: values == [3])
            for phone in phones:
                phone.stop()
                phone.hang_up()
            running.until('flowcore_calls_ended_total{reason="stop"}', lambda values: values == [3])
            assert running.query("sum(flowcore_calls)") == [0]
            for query in QUERIES:
                if "flowcore_speech" not in query:
                    running.until(query, bool)
            rules = len(re.findall(r"- (?:alert|record):", RULES.read_text()))
            until(lambda: [rule["health"] for rule in running.rules()] == ["ok"] * rules)
            assert not [rule["name"] for rule in running.rules() if rule.get("state", "inactive") != "inactive"]
        service.stop()


@pytest.mark.slow
def test_prometheus_stores_the_traces_of_calls_that_waited_or_lost_audio(tmp_path, monkeypatch):
    with collector() as traces:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url)
        with (
            Service(tmp_path, "--admin", "0", workers=1) as service,
            prometheus(tmp_path, RULES, admin_port(service)) as running,
        ):
            phone = Phone(service.url, "one")
            phone.start()
            phone.talk(7, 0.5)
            for track in ("agent", "customer") * 5:
                phone.sender.media(track, bytes(160))  # is never sent
            phone.talk(8, 0.5)
            phone.stop()
            phone.hang_up()
            service.heard("flow_closed")
            (lost,) = running.until_exemplars('flowcore_audio_lost_seconds_total{node="ordered"}')
            waited = running.until_exemplars('flowcore_queue_wait_seconds_bucket{node="wav"}')
            service.stop()
    (span,) = traces.spans
    assert lost["labels"] == {"trace_id": span.trace_id.hex()}
    assert float(lost["value"]) == pytest.approx(0.2)  # five packets of each party
    assert {found["labels"]["trace_id"] for found in waited} == {span.trace_id.hex()}


def test_the_speech_panels_name_metrics_that_nodes_declare():
    from nodes.transforms.transcribe import Transcribe

    wanted = {metric.name for metric in Transcribe.metrics}
    assert all(any(name in query for query in QUERIES) for name in wanted)
