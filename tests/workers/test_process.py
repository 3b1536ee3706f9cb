"""A worker process as its supervisor sees it."""

import asyncio
import signal
import sys
import time

import pytest

from flowcore.workers.call_limit import SharedCallLimit
from flowcore.workers.process import GROUP_SIGNALS, WorkerProcess, describe_exit

ECHO = """
import json, os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1])).makefile("rw")
job = json.loads(channel.readline())
for line in channel:
    request = json.loads(line)
    known = {"job": job["job"], "count": os.environ["FLOWCORE_WORKERS"], "row": job["call_limit"]["row"]}
    answer = {"answer": known[request["ask"]]} if request["ask"] in known else {}
    channel.write(json.dumps({"id": request["id"], **answer}) + "\\n")
    channel.flush()
"""


def with_worker(talk):
    """Run ``talk(worker)`` while the messages of an echoing worker are read; return its result and the exit code."""

    async def run():
        with SharedCallLimit.shared(10, 3) as limit:
            worker = await WorkerProcess.start(2, 1, [sys.executable, "-c", ECHO], {"graph": "x"}, limit, {})

            async def read():
                async for message in worker.channel.messages():
                    worker.answered(message)

            reading = asyncio.create_task(read())
            result = await talk(worker)
            worker.signal(signal.SIGKILL)
            await reading
            code = await worker.wait()
            worker.signal(signal.SIGTERM)  # to a process that has ended: nothing happens
            return result, code

    return asyncio.run(run())


def test_a_worker_gets_its_job_and_answers():
    async def talk(worker):
        assert worker.number == 2
        return [await worker.ask({"ask": ask}) for ask in ("job", "count", "row")]

    assert with_worker(talk) == ([{"graph": "x"}, "3", 1], -signal.SIGKILL)


def test_ctrl_c_does_not_end_a_worker_that_is_starting(monkeypatch):
    # A terminal sends SIGINT to the whole process group, also while a worker still imports its modules.
    monkeypatch.setattr("tests.workers.test_process.ECHO", "import os; os.kill(os.getpid(), 2)" + ECHO)

    async def talk(worker):
        return await worker.ask({"ask": "count"}), signal.pthread_sigmask(signal.SIG_BLOCK, ())

    (count, blocked), code = with_worker(talk)
    assert (count, code) == ("3", -signal.SIGKILL)
    assert not blocked & set(GROUP_SIGNALS)


def test_an_unknown_request_is_a_lookup_error():
    async def talk(worker):
        with pytest.raises(LookupError, match="weather"):
            await worker.ask({"ask": "weather"})

    with_worker(talk)


def test_a_late_answer_is_dropped_and_a_request_to_a_dead_worker_is_cancelled():
    async def talk(worker):
        worker.answered({"id": 99, "answer": "late"})
        worker.signal(signal.SIGSTOP)
        waiting = asyncio.create_task(worker.ask({"ask": "job"}))
        await asyncio.sleep(0)
        return waiting

    async def ended(waiting):
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def run(worker):
        waiting = await talk(worker)
        worker.signal(signal.SIGKILL)
        await worker.wait()
        await ended(waiting)

    with_worker(run)


def test_a_heartbeat_is_noted():
    async def talk(worker):
        before = time.monotonic()
        worker.beat()
        return before <= worker.alive_at <= time.monotonic()

    assert with_worker(talk)[0]


@pytest.mark.parametrize(
    ("code", "text"), [(-9, "SIGKILL"), (1, "exit code 1"), (0, "exit code 0"), (-99, "signal 99")]
)
def test_exit_codes_are_described(code, text):
    assert describe_exit(code) == text
