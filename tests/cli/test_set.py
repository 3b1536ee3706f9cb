"""`flowcore set`: live fields of running calls change, whichever worker holds them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_call import PIECE, talk
from tests.support.live import ROOT
from tests.support.phone import Phone, said, stereo
from tests.support.service import FLOWCORE, Service

pytestmark = pytest.mark.slow

RECORD = (ROOT / "graphs" / "record.yaml").read_text()
FRAMES = round(PIECE * 8000)
CHUNK = 800
"""Samples of a chunk of graphs/record.yaml at least."""


def command(service: Service, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(FLOWCORE), "set", *arguments, "--control", str(service.control)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "my.yaml"
    before, _, after = RECORD.partition("  wav:")
    wav = after.replace("from: voices", "from: loud").replace("recordings/{started:%Y-%m-%d}/{flow}", "{call_id}")
    assert "from: loud" in wav
    path.write_text(f"{before}  loud: {{use: volume, from: voices}}\n  wav:{wav}")
    return path


def has_level(samples: np.ndarray, db: float) -> bool:
    """Whether the samples are the end of a piece with this level."""
    wanted = np.rint(said(7, PIECE) * 10 ** (db / 20))[-len(samples) :]
    return np.array_equal(samples, wanted)


def begins_and_ends_with(path: Path, pieces: int, first: float, last: float) -> bool:
    """Whether the first chunks of a recording have one level, and its last piece another.

    Between them, the jitter buffer decides which audio was on its way when a command came.
    """
    heard = stereo(path)
    begin = np.array_equal(heard[:CHUNK], np.rint(said(7, PIECE)[:CHUNK] * 10 ** (first / 20)))
    return len(heard) == FRAMES * pieces and begin and has_level(heard[-FRAMES // 2 :], last)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_call_and_all_calls_change_and_new_ones_until_the_next_reload(tmp_path, monkeypatch, graph, workers):
    monkeypatch.chdir(tmp_path)
    with Service(tmp_path, workers=workers, graph=graph) as service:
        phones = [Phone(service.url, name) for name in ("one", "two", "three")]
        for phone in phones:
            phone.start()
            talk(phone)
        flows = {call["call_id"]: call["flow"] for call in service.calls()}
        assert command(service, "one", "loud.level=-6dB") == (0, f"{flows['one']} took it")
        assert command(service, "one", "loud.level=-6dB") == (0, "it was so already")
        for phone in phones:
            talk(phone)
        assert command(service, "all", "loud.level=-12dB") == (
            0,
            "3 calls took it; new calls get it until the next reload",
        )
        for phone in (*phones, *phones):
            talk(phone)
        new = Phone(service.url, "new")
        new.start()
        talk(new)
        assert len({call["version"] for call in service.calls()}) == 1
        code, told = command(service, "all", "loud.level=-12dB")
        assert (code, told) == (0, "0 calls took it, 4 had it already; new calls get it until the next reload")
        reloaded = subprocess.run([FLOWCORE, "reload", "--control", service.control], capture_output=True, text=True)
        assert reloaded.stdout.startswith("new calls get version 2-")
        last = Phone(service.url, "last")
        last.start()
        talk(last)
        for phone in (*phones, new, last):
            phone.stop()
            phone.hang_up()
        closed = {event["call_id"]: event for event in service.heard("flow_closed", 5)}
        assert service.stop() == 0
    assert all(begins_and_ends_with(tmp_path / f"{name}.wav", 4, 0, -12) for name in ("one", "two", "three"))
    assert begins_and_ends_with(tmp_path / "new.wav", 1, -12, -12)
    assert begins_and_ends_with(tmp_path / "last.wav", 1, 0, 0)
    changed = {name: [fields for _, fields in event["changed"]] for name, event in closed.items()}
    level = ["loud.level"]
    assert changed == {"one": [level, level], "two": [level], "three": [level], "new": [], "last": []}
    told = [event["fields"] for event in service.named("fields_changed")]
    assert told
    assert all(fields == level for fields in told)


def test_a_change_of_one_call_reaches_no_other(tmp_path, monkeypatch, graph):
    monkeypatch.chdir(tmp_path)
    with Service(tmp_path, workers=2, graph=graph) as service:
        phones = [Phone(service.url, name) for name in ("one", "two", "three")]
        for phone in phones:
            phone.start()
            talk(phone)
        assert command(service, "two", "loud.level=-6dB")[0] == 0
        for phone in (*phones, *phones):
            talk(phone)
        for phone in phones:
            phone.stop()
            phone.hang_up()
        service.heard("flow_closed", 3)
        assert service.stop() == 0
    for name, level in (("one", 0), ("two", -6), ("three", 0)):
        about = json.loads((tmp_path / f"{name}.wav.json").read_text())
        assert [change["fields"] for change in about.get("changed", [])] == [["loud.level"]] * (name == "two")
        assert begins_and_ends_with(tmp_path / f"{name}.wav", 3, 0, level)


def test_a_worker_that_is_replaced_has_what_was_set_for_all(tmp_path, monkeypatch, graph):
    monkeypatch.chdir(tmp_path)
    with Service(tmp_path, workers=2, graph=graph) as service:
        assert command(service, "all", "loud.level=-6dB")[0] == 0
        for pid in service.pids():
            os.kill(pid, signal.SIGKILL)
        service.heard("worker_started", 4)
        phone = Phone(service.url, "one")
        phone.start()
        talk(phone)
        phone.stop()
        phone.hang_up()
        service.heard("flow_closed")
        service.stop()
    assert begins_and_ends_with(tmp_path / "one.wav", 1, -6, -6)


@pytest.mark.fault(92)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_wrong_changes_nothing_and_is_shown_as_check_shows_it(tmp_path, monkeypatch, graph, workers):
    monkeypatch.chdir(tmp_path)
    with Service(tmp_path, workers=workers, graph=graph) as service:
        phone = Phone(service.url, "one")
        phone.start()
        talk(phone)
        for call in ("one", "all"):
            for setting, text in [
                ("loud.level=loud", "error[bad-value]: loud (volume): level"),
                ("loud.lvl=1dB", 'did you mean "level"?'),
                ("lod.level=1dB", 'did you mean "loud"?'),
                ("ordered.window=1s", "error[needs-reload]: window of ordered (reorder) stays as it is during a call"),
            ]:
                code, told = command(service, call, "loud.level=-6dB", setting)
                assert code == 2
                assert text in told
        assert command(service, "nobody", "loud.level=1dB") == (
            2,
            "error: there is no live call 'nobody': `flowcore calls` lists them",
        )
        assert not service.named("fields_changed")
        talk(phone)
        phone.stop()
        phone.hang_up()
        service.heard("flow_closed")
        assert service.stop() == 0
    assert np.array_equal(stereo(tmp_path / "one.wav"), np.concatenate([said(7, PIECE)] * 2))


def test_a_call_whose_version_has_no_such_node_says_so_and_the_others_take_it(tmp_path, monkeypatch, graph):
    monkeypatch.chdir(tmp_path)
    text = graph.read_text()
    graph.write_text(text.replace("loud", "soft"))
    with Service(tmp_path, workers=2, graph=graph) as service:
        old = Phone(service.url, "old")
        old.start()
        talk(old)
        flow = service.calls()[0]["flow"]
        graph.write_text(text)
        assert subprocess.run([FLOWCORE, "reload", "--control", service.control], check=False).returncode == 0
        new = Phone(service.url, "new")
        new.start()
        talk(new)
        code, told = command(service, "all", "loud.level=-6dB")
        assert code == 1
        assert told.splitlines()[0] == "1 call took it; new calls get it until the next reload"
        assert f'{flow} did not take it: --set: error[unknown-node]: there is no node "loud"' in told
        assert command(service, "old", "soft.level=-6dB") == (0, f"{flow} took it")
        for phone in (old, new):
            phone.stop()
            phone.hang_up()
        service.heard("flow_closed", 2)
        assert service.stop() == 0
