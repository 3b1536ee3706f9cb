"""``flowcore run graphs/record.yaml`` as a service: what it logs, its calls, and its end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flowcore.control.client import ask
from tests.support.live import ROOT

RECORD = ROOT / "graphs" / "record.yaml"
FLOWCORE = Path(sys.executable).with_name("flowcore")
PATIENCE = 60


class Service:
    """``flowcore run graphs/record.yaml --workers 2``, which writes to ``folder``; its log is in ``events``."""

    def __init__(self, folder: Path, *options: str, workers: int = 2, graph: Path = RECORD) -> None:
        self._workers = workers
        self.control = folder / "control"
        settings = ["call.port=0"]
        settings += ["ordered.hold=collapse"]  # what a busy machine is late with is no pause of the callers
        settings += [f"wav.path={folder}/{{call_id}}.wav"] * (graph == RECORD)
        if "--finish" not in options:
            options = (*options, "--finish", "0s")  # a test ends its calls itself, or wants them ended
        set_ = [word for setting in settings for word in ("--set", setting)]
        command = [FLOWCORE, "run", graph, "--workers", str(workers), *set_, *options]
        self.process = subprocess.Popen(
            [*map(str, command), "--log-json", "--control", str(self.control)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Service:
        self.url = self.heard("listener_opened")[0]["address"]
        if self._workers > 1:
            self.heard("worker_started", self._workers)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                assert line.startswith("{"), line + self.process.stderr.read()
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def heard(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until ``count`` events of that name were logged."""
        with self._news:
            came = self._news.wait_for(lambda: len(self.named(name)) >= count or not self._reader.is_alive(), PATIENCE)
        assert came, self.events
        assert len(self.named(name)) >= count, self.events
        return self.named(name)

    def pids(self) -> list[int]:
        """The workers that were started last, by number."""
        return [
            pid for _, pid in sorted({event["worker"]: event["pid"] for event in self.named("worker_started")}.items())
        ]

    def calls(self) -> list[dict[str, Any]]:
        missing: list[int] | None = None
        while missing != []:  # a worker that gets no time for 2 s is named, and asked again
            answers, missing = ask(self.control, {"ask": "calls"})
        return [{**call, "worker": worker} for worker, calls in answers.items() for call in calls]

    def until(self, calls: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Ask for the live calls until they are as wanted."""
        while not calls(listed := self.calls()):
            assert self.process.poll() is None
        return listed

    def until_recorded(self, folder: Path, calls: int, size: int = 8000) -> list[dict[str, Any]]:
        """Ask until so many calls have recordings of so many bytes."""
        parts = folder.glob
        return self.until(lambda listed: sum(part.stat().st_size >= size for part in parts("*.part")) == calls)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        self._reader.join(PATIENCE)
        return self.process.wait(PATIENCE)


def gone(pids: list[int]) -> bool:
    """Wait until all these processes, which are no children of ours, have ended."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], PATIENCE)[0]:
                return False
        finally:
            os.close(handle)
    return True


def upgrade(url: str) -> bytes:
    """The status of an upgrade request, for a connection that is given up then."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as peer:
        peer.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        return peer.recv(4096).split()[1]
