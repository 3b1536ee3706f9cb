import asyncio
import io
import json
import signal
import threading

import pytest
from rich.console import Console

from flowcore.cli.calls import _screen
from flowcore.control.address import directory
from flowcore.control.hub import Hub
from tests.support.asking import ended_by_sigterm


def call(flow, since="2026-01-02T03:04:05+00:00", **more):
    fields = {"flow": flow, "call_id": f"id-{flow}", "since": since, "state": "running", "version": "1-3fa9c1d2"}
    fields |= {"parties": ["agent"], "paused": False, "muted": []}
    return {**fields, "lost_ms": 0, "queue_ms": 100, **more}


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A hub whose workers hold the given calls, where `flowcore calls` looks for one; no worker hangs for long."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("flowcore.control.handler.ANSWER_TIMEOUT", 0.05)
    ends = []

    def start(*workers, name="1.sock"):
        ready, stop = threading.Event(), threading.Event()

        def handler(held):
            async def answer(request):
                assert request == {"ask": "calls"}
                if held is None:
                    await asyncio.Event().wait()
                return held

            return answer

        async def serve():
            hub = Hub(directory() / name)
            hub.handlers = {number: handler(held) for number, held in enumerate(workers, 1)}
            await hub.open()
            ready.set()
            await asyncio.to_thread(stop.wait)
            await hub.close()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        ends.append((stop, thread))
        assert ready.wait(30)
        return directory() / name

    yield start
    for stop, thread in ends:
        stop.set()
        thread.join()


def test_calls_of_all_workers_the_oldest_first(running, flowcore):
    running([call("b", "2026-01-02T03:04:06+00:00")], [call("a"), call("c", lost_ms=40, call_id="c\x1b[2J")])
    done = flowcore("calls")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["flow", "call", "id", "worker", "since", "state", "lost", "queued"]
    assert lines[1].split() == ["a", "id-a", "2", "03:04:05", "running", "0", "ms", "100", "ms"]
    assert lines[2].split() == ["c", r"c\x1b[2J", "2", "03:04:05", "running", "40", "ms", "100", "ms"]
    assert lines[3].split()[:3] == ["b", "id-b", "1"]
    assert lines[4] == "3 calls: 3 of version 1-3fa9c1d2"


def test_after_a_reload_the_last_line_has_the_calls_of_each_version(running, flowcore):
    running([call("a"), call("b", version="2-7b41e09c"), call("c", version="2-7b41e09c")])
    assert flowcore("calls").out.splitlines()[-1] == "3 calls: 1 of version 1-3fa9c1d2 and 2 of version 2-7b41e09c"


def test_what_is_silenced_stands_beside_the_state(running, flowcore):
    running([call("a", paused=True), call("b", muted=["agent", "customer"])])
    lines = flowcore("calls").out.splitlines()
    assert "running, paused " in lines[1]
    assert "running, agent and customer muted " in lines[2]


def test_json_is_one_line(running, flowcore):
    running([call("a")], [])
    done = flowcore("calls", "--json")
    assert json.loads(done.out) == [{**call("a"), "worker": 1}]
    assert done.out.count("\n") == 1


def test_no_calls_is_an_answer(running, flowcore):
    running([])
    assert flowcore("calls").out == "0 calls\n"
    assert flowcore("calls", "--json").out == "[]\n"


def test_a_worker_that_does_not_answer_is_named(running, flowcore):
    running([call("a")], None)
    assert flowcore("calls").out.splitlines()[-2:] == ["1 call: 1 of version 1-3fa9c1d2", "no answer from worker 2"]


def test_watch_ends_when_the_process_does(running, flowcore, monkeypatch):
    path = running([call("a")])
    looks = []
    monkeypatch.setattr("time.sleep", lambda _: looks.append(1) or len(looks) < 2 or path.unlink())
    done = flowcore("calls", "--json", "--watch")
    assert done.out.count("\n") == 2
    assert (done.code, done.err) == (0, "the process has ended\n")


def test_watch_of_a_process_that_is_not_there_is_an_error(running, flowcore, tmp_path):
    done = flowcore("calls", "--watch", "--control", tmp_path / "none.sock")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        f"error: no answer at {tmp_path}/none.sock: No such file or directory",
    )


def test_a_long_call_id_is_whole_in_a_pipe(running, flowcore):
    running([call("20260102T030405-ab12cd34", call_id="x" * 60)])
    assert "x" * 60 in flowcore("calls").out


def test_watch_prints_whole_tables_into_a_pipe(running, flowcore, monkeypatch):
    path = running([call("20260102T030405-ab12cd34", call_id="x" * 60)])
    looks = []
    monkeypatch.setattr("time.sleep", lambda _: looks.append(1) or len(looks) < 2 or path.unlink())
    rows = [line.split() for line in flowcore("calls", "--watch").out.splitlines() if line.startswith("2026")]
    assert (
        rows
        == [
            ["20260102T030405-ab12cd34", "x" * 60, "1", "03:04:05", "running", "0", "ms", "100", "ms"],
        ]
        * 2
    )


@pytest.mark.parametrize("width", [130, 80, 60])
def test_watch_keeps_each_call_id_whole_on_a_screen(width):
    call_id = "0f2c7f54-7e2e-4bd5-9a94-c8c0fd3e2f11"
    console = Console(width=width, file=io.StringIO())
    live = {**call("20260102T030405-ab12cd34", call_id=call_id, lost_ms=123_456), "worker": 12}
    console.print(_screen(console, [live], [3]))
    shown = console.file.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= width
    assert "…" not in shown
    if width >= 80:
        assert call_id in shown.split()
    column = "".join(line.split(" ")[0] for line in shown.splitlines()[1:-2])
    assert (call_id in column) == (width <= 80)


@pytest.mark.slow
def test_sigterm_ends_a_watch_without_a_traceback(running):
    running([call("a")])
    assert ended_by_sigterm("calls", "--watch", "--json") == (128 + signal.SIGTERM, "")


def test_none_is_running(running, flowcore):
    done = flowcore("calls")
    assert done.code == 2
    assert done.err.startswith("error: no flowcore is running: start one with")


def test_one_of_several_has_to_be_chosen(running, flowcore):
    first, second = running([call("a")]), running([call("b")], name="2.sock")
    done = flowcore("calls")
    assert done.code == 2
    assert done.err == f"error: several are running: choose one with --control\n{first}\n{second}\n"
    assert "id-b" in flowcore("calls", "--control", second).out
