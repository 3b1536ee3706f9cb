"""Debian's Prometheus, which scrapes a running flowcore."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flowcore.control import ask
from flowcore.telemetry.exposition import text_of
from tests.support.live import until
from tests.support.ports import free_port

CONFIG = """
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: flowcore
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def metrics_text(control: Path, accept: str = "") -> str:
    """The metrics of the run whose hub is at ``control``, as a scraper with this ``Accept`` header reads them."""
    return text_of(ask(control, {"ask": "metrics"})[0][0], accept)[0].decode()


class Prometheus:
    """A running Prometheus and its HTTP API."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[float]:
        """Return the values of an instant query, one for each series."""
        return [float(found["value"][1]) for found in self.get("query", query=expression)["result"]]

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Return the exemplars of the series of an expression."""
        found = self.get("query_exemplars", query=expression, start="0", end=str(time.time() + 60))
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def until_exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Wait until a series of an expression has exemplars, and return them."""
        until(lambda: self.exemplars(expression))
        return self.exemplars(expression)

    def rules(self) -> list[dict[str, Any]]:
        """Return the state of each alert rule."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def until(self, expression: str, values: Callable[[list[float]], bool]) -> None:
        """Wait until a query has such values."""
        until(lambda: values(self.query(expression)))


@contextmanager
def prometheus(folder: Path, rules: Path, scraped: int) -> Iterator[Prometheus]:
    """Run Prometheus with its data in ``folder`` and these alert rules; it scrapes the port ``scraped``."""
    program = shutil.which("prometheus")
    assert program, "run  make debs"
    (folder / "prometheus.yml").write_text(CONFIG.format(rules=rules, port=scraped))
    port = free_port()
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command.append("--enable-feature=exemplar-storage")
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    running = Prometheus(port)

    def answers() -> bool:
        assert process.poll() is None
        with suppress(OSError):
            return running.query("up") == [1]
        return False

    try:
        until(answers)
        yield running
    finally:
        process.kill()
        process.wait()
