"""`flowcore capture`: the command line; tests/nodes/ringcx/capture has the captures, tests/faults its workers."""

from __future__ import annotations

import pytest

from tests.support.captured_calls import Calls
from tests.support.live import until


@pytest.fixture
def hub(monkeypatch):
    """The requests of the command are answered by a live engine of this process."""

    def connect(running: Calls) -> None:
        from nodes.ringcx.capture import command

        monkeypatch.setattr(command, "ask", lambda path, request: ({0: running.ask(**request)}, []))
        monkeypatch.setattr(command, "only_running", lambda paths: "hub")
        flow = {"flow": "?", "call_id": "one"}
        monkeypatch.setattr(command, "find_call", lambda path, name: flow)

    return connect


def test_the_next_call_from_a_number_is_captured_and_a_live_one_until_it_is_stopped(tmp_path, flowcore, hub):
    path = f"{tmp_path}/captures/one.capture"
    with Calls(tmp_path, "websocket") as running:
        hub(running)
        waiting = flowcore("capture", "next", "--from", "+14155550100", "--within", "5min")
        assert waiting.out.strip() == "the next call from +14155550100 within 5min will be captured"
        assert flowcore("capture", "next", "--stop").out.strip() == "waited for 1 call; for none any more"
        phone = running.phone("one", ani="+14155550100")
        phone.talk(1, 0.2)
        until(lambda: running.running("one"))
        assert flowcore("capture", "one", "--stop").out.strip() == "it was not captured"
        assert flowcore("capture", "one").out.strip() == path
        assert flowcore("capture", "one", "--stop").out.strip() == path
        running.hang_up(phone, "one")


def test_a_call_that_has_just_ended_is_one_line(tmp_path, flowcore, hub):
    with Calls(tmp_path, "websocket") as running:
        hub(running)
        done = flowcore("capture", "one")
    assert (done.code, done.err.strip()) == (2, "error: the call has ended")


def test_a_call_is_waited_for_a_day_at_most(flowcore, tmp_path):
    done = flowcore("capture", "next", "--within", "25h", "--control", tmp_path / "none")
    assert (done.code, "give at most 24h" in done.err) == (2, True)


def test_from_is_for_the_next_call(flowcore, tmp_path):
    done = flowcore("capture", "newest", "--from", "7", "--control", tmp_path / "none")
    assert (done.code, "flowcore capture next --from 7" in done.err) == (2, True)
