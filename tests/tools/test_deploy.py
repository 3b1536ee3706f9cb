"""The files of tools/deploy, read by the tools that they are for, and compared with what the program does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowcore.engine.engine import STOP_TIMEOUT
from nodes.net.site import ALIVE, READY
from tests.support.live import ROOT

DEPLOY = ROOT / "tools" / "deploy"
BIN = Path(sys.executable).parent
FINISH = 2 * 3600
"""Seconds of ``--finish``; `test_the_default_of_finish_is_the_one_of_these_files` holds it."""


def passes(*command: str | Path, **environ: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pod() -> Any:
    """The template of the pods."""
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    return deployment["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text()


def test_the_dockerfile_passes_its_linter():
    passes(BIN / "hadolint", "--failure-threshold", "info", DEPLOY / "Dockerfile")


def test_the_manifests_follow_the_schemas_of_kubernetes():
    passes(BIN / "kubernetes-validate", "--strict", DEPLOY / "kubernetes.yaml")


def test_the_autoscaler_follows_the_schemas_and_the_metric_that_the_adapter_makes_of_a_rule(pod):
    path = DEPLOY / "kubernetes-autoscaling.yaml"
    passes(BIN / "kubernetes-validate", "--strict", path)
    scaler = yaml.safe_load(path.read_text())["spec"]
    deployments = [
        one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()) if one["spec"].get("template")
    ]
    assert [one["metadata"]["name"] for one in deployments] == [scaler["scaleTargetRef"]["name"]]
    (rule,) = yaml.safe_load((DEPLOY / "prometheus" / "adapter.yaml").read_text())["rules"]["external"]
    assert [one["external"]["metric"]["name"] for one in scaler["metrics"]] == [rule["name"]["as"]]
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    assert rule["seriesQuery"] in [one.get("record") for group in groups for one in group["rules"]]


def test_the_graph_is_valid_with_its_secret():
    passes(BIN / "flowcore", "check", DEPLOY / "graph.yaml", RINGCX_SECRET="a-secret-of-a-test")


def test_the_default_of_finish_is_the_one_of_these_files():
    shown = subprocess.run([BIN / "flowcore", "run", "--help"], capture_output=True, text=True).stdout
    assert re.search(r"SIGTERM; 0s ends.*?\[default:\s+2h\]", shown, re.DOTALL)


def test_a_pod_may_end_as_slowly_as_its_calls(pod):
    (container,) = pod["containers"]
    _, delay = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] >= FINISH + int(delay) + STOP_TIMEOUT


def test_the_probes_ask_for_paths_that_the_port_answers(pod, dockerfile):
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == READY
    assert container["livenessProbe"]["httpGet"]["path"] == ALIVE
    assert f":3333{ALIVE}'" in dockerfile


def test_all_files_mean_the_same_port_and_user(pod, dockerfile):
    (container,) = pod["containers"]
    graph = yaml.safe_load((DEPLOY / "graph.yaml").read_text())
    port = graph["nodes"]["call"]["with"]["port"]
    assert container["ports"][0]["containerPort"] == port
    assert f"EXPOSE {port}" in dockerfile
    assert f"USER {pod['securityContext']['runAsUser']}" in dockerfile


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prometheus.yml", "kubernetes.yml"])
def test_prometheus_accepts_its_configuration(name):
    program = shutil.which("promtool")
    assert program, "run  make debs"
    passes(program, "check", "config", "--syntax-only", DEPLOY / "prometheus" / name)


def test_prometheus_asks_the_port_on_which_pods_serve_metrics(pod):
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert f"--admin=0.0.0.0:{ports['admin']}" in container["args"]
    config = yaml.safe_load((DEPLOY / "prometheus" / "kubernetes.yml").read_text())
    (found,) = config["scrape_configs"][0]["dns_sd_configs"]
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    headless = [one["metadata"]["name"] for one in documents if one["spec"].get("clusterIP") == "None"]
    assert (found["names"], found["port"]) == (headless, ports["admin"])


def test_the_compose_file_serves_the_admin_port_that_prometheus_asks(dockerfile):
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = scraped[0]["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    assert name in services
    assert f"--admin=0.0.0.0:{port}" in services[name]["command"]
    assert scraped[0]["job_name"] == "flowcore"  # as the alert rules expect
    for volume in (volume for service in services.values() for volume in service["volumes"]):
        source = volume.partition(":")[0]
        assert not source.startswith(".") or (DEPLOY / source).exists()


def test_the_image_has_the_extras_of_its_options(dockerfile):
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", dockerfile, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert "admin" in extras.split(",")


def test_the_image_is_built_from_files_that_exist_and_are_sent(dockerfile):
    sent = set(re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in sent)
