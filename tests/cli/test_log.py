"""What the log writes for people and for machines."""

import io
import json
import sys
from pathlib import Path

import pytest

from flowcore.cli.log import ERASE_LINE, Log
from flowcore.engine.bus import Event
from flowcore.engine.totals import Totals
from flowcore.errors import FlowcoreError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def logged(monkeypatch, stream, event, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    log = Log(**options)
    log.event(event)
    log.close(Totals())
    return stream.getvalue()


def ended(**data):
    return Event("flow_closed", "f-1", "", {"reason": "stop", "failed": [], **data})


def test_a_line_in_a_file_is_plain_and_says_nothing_empty(monkeypatch):
    line = logged(monkeypatch, io.StringIO(), ended())
    assert line[9:] == "[info] flow_closed flow=f-1 reason=stop\n"


def test_a_line_on_a_terminal_erases_what_stands_behind_its_end(monkeypatch):
    line = logged(monkeypatch, Terminal(), ended())
    assert line.endswith(f" {ERASE_LINE}\n")
    assert "\x1b[36m" in line


@pytest.mark.parametrize(("name", "value", "erases"), [("NO_COLOR", "1", True), ("TERM", "dumb", False)])
def test_colours_can_be_refused(monkeypatch, name, value, erases):
    monkeypatch.setenv(name, value)
    line = logged(monkeypatch, Terminal(), ended())
    assert "mflow_closed" not in line
    assert line.count("\x1b") == int(erases)


def test_a_stack_is_one_line_and_names_places(monkeypatch):
    stack = '  File "/a/flow.py", line 7, in step\n    go()\n  File "/a/my_node.py", line 12, in process\n    wait()\n'
    event = Event("loop_blocked", "f-1", "node", {"seconds": 0.2000004, "track": "", "stack": stack}, "error")
    line = logged(monkeypatch, io.StringIO(), event)
    assert line[9:] == "[error] loop_blocked flow=f-1 node=node seconds=0.2 where='flow.py:7 > my_node.py:12'\n"


def test_machines_get_all_fields(monkeypatch):
    line = logged(monkeypatch, io.StringIO(), ended(), as_json=True)
    assert json.loads(line)["failed"] == []


def test_the_systems_word_for_an_error_comes_without_its_number(monkeypatch):
    full = OSError(28, "No space left on device", "/data/a.wav")
    line = logged(monkeypatch, io.StringIO(), Event("node_failed", "f-1", "wav", {"cause": full}, "error"))
    assert line[9:] == "[error] node_failed flow=f-1 node=wav cause='No space left on device: /data/a.wav'\n"


def test_what_the_engine_says_of_a_node_looks_like_no_mistake_in_code(monkeypatch):
    told = OverflowError("its queue is full")
    line = logged(monkeypatch, io.StringIO(), Event("node_failed", "f-1", "wav", {"cause": told}, "error"))
    assert line[9:] == "[error] node_failed flow=f-1 node=wav cause='its queue is full'\n"


def test_an_error_whose_text_cannot_be_had_is_told_by_its_name(monkeypatch):
    class Speechless(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    try:
        raise Speechless
    except Speechless as error:
        line = logged(monkeypatch, io.StringIO(), Event("node_failed", "f-1", "wav", {"cause": error}))
    assert "cause='Speechless: ' where=test_log.py:" in line


def test_counters_that_cannot_be_written_cost_nothing_else_of_the_summary(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    log = Log(stats=Path("/dev/full"))
    log.wrote("a.wav")
    with pytest.raises(FlowcoreError, match="cannot write the counters to /dev/full: No space left on device"):
        log.close(Totals())
    assert capsys.readouterr().out == "a.wav\n"
