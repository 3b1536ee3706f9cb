"""The alert rules and the dashboard, with Debian's Prometheus: it scrapes a real run, and every query has an answer."""

import json
import shutil
import subprocess

import pytest

from flowcore.control import ask
from tests.support.live import ROOT, until
from tests.support.phone import Phone
from tests.support.prometheus import metrics_page, prometheus
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


@pytest.mark.slow
def test_each_alert_is_raised_by_its_fault_and_by_nothing_else():
    tested = promtool("test", "rules", RULES.with_name("alerts_test.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.slow
def test_prometheus_counts_the_calls_of_a_run_and_each_panel_of_the_dashboard_has_data(tmp_path):
    with Service(tmp_path, workers=1) as service, metrics_page(service.control) as page:
        text = ask(service.control, {"ask": "metrics"})[0][0]
        checked = promtool("check", "metrics", given=text)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        with prometheus(tmp_path, RULES, page) as running:
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
            alerts = RULES.read_text().count("- alert:")
            until(lambda: [rule["health"] for rule in running.rules()] == ["ok"] * alerts)
            assert not [rule["name"] for rule in running.rules() if rule["state"] != "inactive"]
        service.stop()


def test_the_speech_panels_name_metrics_that_nodes_declare():
    from nodes.transforms.transcribe import Transcribe

    wanted = {metric.name for metric in Transcribe.metrics}
    assert all(any(name in query for query in QUERIES) for name in wanted)
