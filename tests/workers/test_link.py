"""The worker's side of the channel, with the test in the place of the supervisor."""

import asyncio
import json
import os
import socket

import pytest

from flowcore.engine.engine import Engine
from flowcore.errors import UsageError
from flowcore.workers import link as link_module
from flowcore.workers.call_limit import SharedCallLimit
from flowcore.workers.channel import Channel
from flowcore.workers.link import WorkerLink
from tests.engine.nodes import Keep, Tones, plan, step


def test_a_worker_without_a_supervisor_says_how_one_is_started():
    ours, theirs = socket.socketpair()
    ours.close()
    with pytest.raises(UsageError, match="started by `flowcore run --workers`"):
        WorkerLink(os.dup(theirs.fileno()))
    theirs.close()


def test_a_worker_runs_its_job_reports_and_answers(monkeypatch):
    monkeypatch.setattr(link_module, "_exit_after_hang_up", os.close)
    ours, theirs = socket.socketpair()

    async def run(limit):
        job = {"number": 2, "sockets": [], "job": {"graph": "x"}}
        job["call_limit"] = {"limit": 10, "rows": 2, "row": 1, "fd": limit.fd}
        ours.sendall(json.dumps(job).encode() + b'\n{"id": 7, "ask": "calls"}\n{"id": 8, "ask": "weather"}\n')
        link = WorkerLink(os.dup(theirs.fileno()))
        theirs.close()
        assert (link.number, link.job) == (2, {"graph": "x"})
        engine = Engine(
            plan(step("call", Tones, length="300ms", pace=True), step("end", Keep, "call")),
            bus=link.bus,
            call_limit=link.call_limit,
            messages=link.messages,
            recover=False,
        )
        here = await Channel.open(ours)
        running = asyncio.create_task(link.run(engine, observed=True))
        here.send({"from": 1, "messages": None})
        heard = [message async for message in here.messages()]
        await running
        here.close()
        return heard

    with SharedCallLimit.shared(10, 2) as limit:
        heard = asyncio.run(run(limit))
        assert limit.held == 0
    answers = {message["id"]: message for message in heard if "id" in message}
    assert isinstance(answers[7]["answer"], list)
    assert answers[8] == {"id": 8}
    assert [message["event"]["name"] for message in heard if "event" in message][-1] == "flow_closed"
    observed = [message["observed"]["event"] for message in heard if "observed" in message]
    assert {"flow_opened", "flow_closed"} <= set(observed)
    assert "listener_opened" not in observed
    assert heard[-1]["totals"]["flows"] == 1
