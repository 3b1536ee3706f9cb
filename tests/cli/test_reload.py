"""`flowcore reload`, SIGHUP and --watch: new calls get the new graph, running ones keep theirs, or nothing changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.live import ROOT
from tests.support.phone import Phone, said, stereo
from tests.support.service import FLOWCORE, Service

pytestmark = pytest.mark.slow

RECORD = (ROOT / "graphs" / "record.yaml").read_text()


def command(name: str, service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    given = [str(FLOWCORE), name, "--control", str(service.control), *options]
    return subprocess.run(given, capture_output=True, text=True, timeout=60)


def graph_in(folder: Path, text: str = "") -> Path:
    """A graph that records to ``folder``, each call under its name."""
    path = folder / "my.yaml"
    path.write_text(text or graph_text(folder, "first"))
    return path


def graph_text(folder: Path, prefix: str) -> str:
    return RECORD.replace("recordings/{started:%Y-%m-%d}/{flow}", f"{folder}/{prefix}-{{call_id}}")


def running(folder: Path, *options: str, workers: int = 1) -> Service:
    return Service(folder, *options, workers=workers, graph=graph_in(folder))


def begin(service: Service, name: str) -> Phone:
    phone = Phone(service.url, name)
    phone.start()
    phone.talk(7, 0.4)
    service.until(lambda calls: name in {call["call_id"] for call in calls})
    return phone


def end(phone: Phone) -> None:
    phone.talk(7, 0.4)
    phone.stop()
    phone.hang_up()


@pytest.mark.fault(83)
@pytest.mark.parametrize("workers", [1, 2])
def test_new_calls_get_the_new_graph_and_a_running_call_finishes_with_its_own(tmp_path, workers):
    with running(tmp_path, workers=workers) as service:
        old = begin(service, "old")
        (tmp_path / "my.yaml").write_text(graph_text(tmp_path, "second"))
        done = command("reload", service)
        version = service.heard("graph_reloaded")[0]["version"]
        assert (done.returncode, done.stdout) == (0, f"new calls get version {version}; 1 running on older ones\n")
        new = [begin(service, f"new{number}") for number in range(4)]
        listed = json.loads(command("calls", service, "--json").stdout)
        assert {call["version"] for call in listed if call["call_id"] != "old"} == {version}
        assert f"4 of version {version}" in command("calls", service).stdout
        for phone in (old, *new):
            end(phone)
        assert service.stop() == 0
    expected = np.concatenate([said(7, 0.4)] * 2)
    for name in ("first-old", *(f"second-new{number}" for number in range(4))):
        assert np.array_equal(stereo(tmp_path / f"{name}.wav"), expected)
    assert len(service.named("graph_reloaded")) == 1
    ended = {event["call_id"]: event["version"] for event in service.named("flow_closed")}
    assert ended.pop("old").startswith("1-")
    assert set(ended.values()) == {version}


@pytest.mark.fault(84)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_graph_changes_nothing_and_is_explained_as_check_explains_it(tmp_path, workers):
    with running(tmp_path, workers=workers) as service:
        graph = tmp_path / "my.yaml"
        graph.write_text(graph_text(tmp_path, "second").replace("window: 120ms", "window: 120"))
        done = command("reload", service)
        checked = subprocess.run([FLOWCORE, "check", graph], capture_output=True, text=True, timeout=60).stderr
        assert done.returncode == 2
        assert done.stderr
        assert checked.startswith(done.stderr)
        (failed,) = service.heard("reload_failed")
        assert failed["problems"] == [done.stderr.partition("\n")[0]]
        end(begin(service, "after"))
        assert service.stop() == 0
    assert (tmp_path / "first-after.wav").exists()


@pytest.mark.fault(84)
def test_what_needs_a_restart_is_named_with_its_place_and_changes_nothing(tmp_path):
    with running(tmp_path) as service:
        graph = tmp_path / "my.yaml"
        graph.write_text(graph_text(tmp_path, "second").replace("{port: 3333}", "{idle: 2h}"))
        done = command("reload", service)
        line = next(n for n, text in enumerate(graph.read_text().splitlines(), 1) if "idle" in text)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{graph}:{line}:36: error[needs-restart]: idle of call stays as it is")
        end(begin(service, "after"))
        assert service.stop() == 0
    assert (tmp_path / "first-after.wav").exists()


@pytest.mark.fault(84)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_version_whose_files_cannot_be_written_is_not_begun(tmp_path, workers):
    with running(tmp_path, workers=workers) as service:
        (tmp_path / "my.yaml").write_text(graph_text(Path("/proc/none"), "second"))
        done = command("reload", service)
        assert (done.returncode, done.stderr.partition(";")[0]) == (
            1,
            "error: wav.path: cannot write to /proc/none: No such file or directory",
        )
        end(begin(service, "after"))
        assert service.stop() == 0
    assert (tmp_path / "first-after.wav").exists()


def test_a_changed_python_file_of_the_graph_is_another_version(tmp_path):
    nodes = tmp_path / "mine.py"
    nodes.write_text(QUIETER.replace("FACTOR", "1"))
    text = graph_text(tmp_path, "my").replace("nodes:\n", "import: [mine.py]\nnodes:\n", 1)
    text = text.replace("from: voices,", "from: quiet,") + "  quiet: {use: quieter, from: voices}\n"
    graph = graph_in(tmp_path, text)
    with Service(tmp_path, workers=1, graph=graph) as service:
        end(begin(service, "loud"))
        service.heard("flow_closed")
        nodes.write_text(QUIETER.replace("FACTOR", "0"))
        assert command("reload", service).returncode == 0
        end(begin(service, "silent"))
        assert service.stop() == 0
    assert stereo(tmp_path / "my-loud.wav").any()
    assert not stereo(tmp_path / "my-silent.wav").any()


QUIETER = '''
from flowcore import ANY_AUDIO, Audio, Transform, node

@node("quieter")
class Quieter(Transform[Audio, Audio]):
    """Multiply samples."""

    caps = (ANY_AUDIO,)

    def process(self, chunk, emit):
        emit(chunk.replace(samples=chunk.samples * FACTOR))
'''


def test_sighup_reloads_and_an_unchanged_graph_stays_the_same_version(tmp_path):
    with running(tmp_path) as service:
        done = command("reload", service)
        assert done.stdout.startswith("the graph has not changed: version 1-")
        (tmp_path / "my.yaml").write_text(graph_text(tmp_path, "second"))
        os.kill(service.process.pid, signal.SIGHUP)
        service.heard("graph_reloaded")
        end(begin(service, "after"))
        assert service.stop() == 0
    assert (tmp_path / "second-after.wav").exists()


def test_a_watched_graph_is_reloaded_when_a_file_changes_and_again_once_it_is_mended(tmp_path):
    with running(tmp_path, "--watch") as service:
        graph = tmp_path / "my.yaml"
        graph.write_text("flowcore: 1\nnodes: nonsense\n")
        service.heard("reload_failed")
        graph.write_text(graph_text(tmp_path, "second"))
        service.heard("graph_reloaded")
        end(begin(service, "after"))
        assert service.stop() == 0
    assert (tmp_path / "second-after.wav").exists()


def test_a_worker_that_is_replaced_after_a_reload_has_the_new_version(tmp_path):
    with running(tmp_path, workers=2) as service:
        (tmp_path / "my.yaml").write_text(graph_text(tmp_path, "second"))
        assert command("reload", service).returncode == 0
        (tmp_path / "my.yaml").write_text("no graph at all")
        for pid in service.pids():
            os.kill(pid, signal.SIGKILL)
        service.heard("worker_started", 4)
        end(begin(service, "after"))
        assert service.stop() == 0
    assert (tmp_path / "second-after.wav").exists()
    assert service.named("flow_closed")[0]["version"].startswith("2-")
