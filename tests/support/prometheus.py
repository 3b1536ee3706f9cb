"""Debian's Prometheus, which scrapes a running flowcore."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client.exposition import choose_encoder

from flowcore.control import ask
from tests.support.live import until
from tests.support.ports import free_port

CONFIG = """
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: flowcore
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def metrics_page(control: Path) -> Iterator[int]:
    """Serve what the control socket answers, at the yielded port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            accept = self.headers.get("Accept", "")
            text = ask(control, {"ask": "metrics", "accept": accept})[0][0]
            self.send_response(200)
            self.send_header("Content-Type", choose_encoder(accept)[1])
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


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
