"""With several workers, any of them may serve the page of another worker's call."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.watching import SPOKEN, Talk

pytestmark = pytest.mark.slow

PATIENCE = 60
GRAPH = f"""
flowcore: 1
import: [{SPOKEN.name}]
nodes:
  call: {{use: ringcx, with: {{port: 0}}}}
  words: {{use: spoken, from: call}}
  page: {{use: captions, from: words}}
"""


class Service:
    """``flowcore run --workers 2``; of its workers, one can be made to stand still, so that the other gets all."""

    def __init__(self, folder: Path) -> None:
        (folder / "graph.yaml").write_text(GRAPH)
        shutil.copy(SPOKEN, folder)
        flowcore = Path(sys.executable).with_name("flowcore")
        command = [flowcore, "run", folder / "graph.yaml", "--workers", "2", "--log-json", "--control", folder / "c"]
        self.process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
        self.pids: dict[int, int] = {}
        self.pages: list[str] = []
        self.url = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Service:
        self.until(lambda: len(self.pids) == 2)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        for pid in self.pids.values():
            self.send(pid, signal.SIGCONT)
        self.process.wait(PATIENCE)
        self._reader.join()
        self.process.stderr.close()

    def _read(self) -> None:
        for line in self.process.stderr:
            event = json.loads(line)
            with self._news:
                match event["event"]:
                    case "listener_opened":
                        self.url = event["address"]
                    case "page_opened":
                        self.pages.append(event["address"])
                    case "worker_started":
                        self.pids[event["worker"]] = event["pid"]
                self._news.notify_all()

    def until(self, condition) -> None:
        with self._news:
            assert self._news.wait_for(condition, PATIENCE)

    def send(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended, or been replaced
            os.kill(pid, number)

    def only(self, worker: int) -> ExitStack:
        """What connects meanwhile connects to this worker."""
        stack = ExitStack()
        for number, pid in self.pids.items():
            if number != worker:
                os.kill(pid, signal.SIGSTOP)
                stack.callback(self.send, pid, signal.SIGCONT)
        return stack


def read_until(feed, text: str) -> list[dict]:
    """The texts that the page has by then, in order of their coming."""
    heard = []
    while not heard or heard[-1]["text"] != text:
        message = json.loads(feed.recv(timeout=PATIENCE))
        if message["event"] == "text":
            heard.append(message)
    return heard


def test_a_page_shows_a_call_of_another_worker_and_a_new_worker_knows_what_was_said(tmp_path):
    with Service(tmp_path) as service, ExitStack() as stack:
        feed = service.url.rstrip("/") + "/client-ws?callId=one"
        assert len(service.pages) == 2  # each address once, not once a worker
        with service.only(1):
            talk = Talk(service.url, "one")
            here = stack.enter_context(connect(feed, proxy=None))
        talk.words("agent", 1.0, "taken by the first")
        read_until(here, "taken by the first")
        with service.only(2):
            there = stack.enter_context(connect(feed, proxy=None))
        assert read_until(there, "taken by the first")[0]["final"]
        talk.words("customer", 2.0, "still", final=False)
        talk.words("customer", 2.0, "still talking")
        assert read_until(there, "still talking")[-1] == read_until(here, "still talking")[-1]

        before = dict(service.pids)
        os.kill(before[2], signal.SIGKILL)
        service.until(lambda: service.pids[2] != before[2])
        with service.only(2):
            again = stack.enter_context(connect(feed, proxy=None))
        told = read_until(again, "still talking")
        assert [text["text"] for text in told] == ["taken by the first", "still talking"]

        os.kill(service.pids[1], signal.SIGKILL)  # with the call
        while json.loads(again.recv(timeout=PATIENCE)).get("state") != "ended":
            pass


def past(feed) -> list[dict]:
    """All that a page gets until it is told that it has the past."""
    heard = []
    while not heard or heard[-1]["event"] != "ready":
        heard.append(json.loads(feed.recv(timeout=PATIENCE)))
    return heard


@pytest.mark.fault(60)
def test_captions_of_a_dead_workers_calls_remain_on_every_connection(tmp_path):
    with Service(tmp_path) as service, ExitStack() as stack:
        feed = service.url.rstrip("/") + "/client-ws?callId=one"
        with service.only(1):
            talk = Talk(service.url, "one")
        talk.words("agent", 1.0, "taken by the first")
        with service.only(2):
            there = stack.enter_context(connect(feed, proxy=None))
        read_until(there, "taken by the first")
        before = service.pids[1]
        os.kill(before, signal.SIGKILL)
        service.until(lambda: service.pids[1] != before)
        for worker in (1, 1, 2):  # the first reaches the new worker at once
            with service.only(worker):
                page = stack.enter_context(connect(feed, proxy=None))
            heard = past(page)
            assert [one["text"] for one in heard if one["event"] == "text"] == ["taken by the first"]
            assert [one["state"] for one in heard if one["event"] == "state"][-1] == "ended"
