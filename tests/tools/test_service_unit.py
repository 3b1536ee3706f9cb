"""tools/deploy/flowcore.service under a real systemd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.support.live import ROOT, until
from tests.support.systemd import Systemd, systemd

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.getuid() != 0, reason="only root can start a service manager")]

DEPLOY = ROOT / "tools" / "deploy"
UNIT = DEPLOY / "flowcore.service"
FLOWCORE = Path(sys.executable).with_name("flowcore")
SECRET = "a-secret-of-a-test"
RECORD = f"{ROOT}/graphs/record.yaml --set wav.path=recordings/{{call_id}}.wav --set ordered.hold=collapse"
PLACES = """[Service]
ExecStart=
ExecStart={flowcore} run {graph} --log-json --takeover
ExecReload=
ExecReload={flowcore} upgrade
Environment=RINGCX_SECRET={secret}
ProtectHome=tmpfs
BindReadOnlyPaths={seen}
StandardError=append:/run/test/log
{more}
"""


def service(folder: Path, graph: str, more: str = ""):
    """Return a systemd with the unit as it is, but for the places of the program, its graph and its log."""
    seen = " ".join(sorted({str(ROOT), sys.prefix, sys.base_prefix}))
    places = PLACES.format(flowcore=FLOWCORE, graph=graph.replace("%", "%%"), secret=SECRET, seen=seen, more=more)
    return systemd(folder, UNIT, places)


def call(manager: Systemd, seconds: float, name: str = "voice") -> subprocess.Popen[bytes]:
    """Begin a simulated call of so many seconds."""
    voice = manager.folder / f"{name}.wav"
    with wave.open(str(voice), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(1).integers(-9000, 9000, round(seconds * 8000), "<i2").tobytes())
    url = f"ws://127.0.0.1:3333/?secret={SECRET}"
    return subprocess.Popen(manager.beside(FLOWCORE, "simulate", "--quiet", "--agent", voice, "--caller", voice, url))


def pid(manager: Systemd) -> int:
    return int(manager.show("flowcore", "MainPID"))


def kill(manager: Systemd, number: signal.Signals) -> None:
    manager.run("kill", f"-{number}", str(pid(manager)))


def recordings(manager: Systemd) -> list[Path]:
    return sorted((manager.folder / "lib" / "private" / "flowcore" / "recordings").glob("*"))


def test_the_shipped_graph_starts_in_the_hardened_unit_and_root_finds_it(tmp_path):
    with service(tmp_path, str(DEPLOY / "graph.yaml")) as manager:
        manager.run("systemctl", "start", "flowcore")
        assert manager.show("flowcore", "ActiveState") == "active"
        assert manager.run(FLOWCORE, "calls") == "0 calls"
        manager.run("systemctl", "stop", "flowcore")
        assert manager.show("flowcore", "Result") == "success"


def test_stop_waits_for_a_live_call_longer_than_the_stop_timeout(tmp_path):
    with service(tmp_path, RECORD, "TimeoutStopSec=1") as manager:
        manager.run("systemctl", "start", "flowcore")
        with call(manager, seconds=4) as caller:
            manager.until_logged("flow_opened")
            manager.run("systemctl", "stop", "flowcore")
        assert caller.returncode == 0
        assert manager.show("flowcore", "Result") == "success"
        (closed,) = manager.until_logged("flow_closed")
        assert (closed["reason"], closed["lost_ms"]) == ("stop", 0)


def test_a_killed_service_starts_again_and_repairs_its_recording(tmp_path):
    with service(tmp_path, RECORD) as manager:
        manager.run("systemctl", "start", "flowcore")
        with call(manager, seconds=60) as caller:
            until(lambda: any(path.suffix == ".part" and path.stat().st_size > 16000 for path in recordings(manager)))
            kill(manager, signal.SIGKILL)
            (repaired,) = manager.until_logged("file_repaired")
            caller.terminate()
        assert Path(repaired["path"]).name in {path.name for path in recordings(manager)}
        assert manager.show("flowcore", "NRestarts") == "1"


def test_a_service_that_hangs_is_replaced(tmp_path):
    with service(tmp_path, RECORD, "WatchdogSec=2") as manager:
        manager.run("systemctl", "start", "flowcore")
        kill(manager, signal.SIGSTOP)
        manager.until_logged("listener_opened", 2)
        assert manager.show("flowcore", "NRestarts") == "1"


def test_reload_takes_over_without_cutting_or_refusing_a_call_and_the_new_process_is_the_main_one(tmp_path):
    with service(tmp_path, RECORD, "WatchdogSec=4\nTimeoutStopSec=1") as manager:
        manager.run("systemctl", "start", "flowcore")
        old = pid(manager)
        with call(manager, seconds=30, name="one") as first:
            manager.until_logged("flow_opened")
            manager.run("systemctl", "reload", "flowcore")
            new = pid(manager)
            assert new != old
            with call(manager, seconds=3, name="two") as second:
                manager.until_logged("flow_opened", 2)
                calls = json.loads(manager.run(FLOWCORE, "calls", "--json"))
                assert len({one["worker"] for one in calls}) == 2
                manager.run("systemctl", "stop", "flowcore")
        assert (first.returncode, second.returncode) == (0, 0)
        assert manager.show("flowcore", "Result") == "success"
        assert manager.show("flowcore", "NRestarts") == "0"
        assert [line["pid"] for line in manager.until_logged("taken_over")] == [old]
        assert [(line["reason"], line["lost_ms"]) for line in manager.until_logged("flow_closed", 2)] == [
            ("stop", 0)
        ] * 2


def test_the_process_of_a_reload_has_the_watchdog_and_is_replaced_when_it_dies(tmp_path):
    with service(tmp_path, RECORD, "WatchdogSec=4") as manager:
        manager.run("systemctl", "start", "flowcore")
        manager.run("systemctl", "reload", "flowcore")
        manager.until_logged("predecessor_ended")
        kill(manager, signal.SIGSTOP)
        manager.until_logged("listener_opened", 3)
        assert manager.show("flowcore", "NRestarts") == "1"


def test_a_reload_that_fails_changes_nothing(tmp_path):
    graph = tmp_path / "graph.yaml"
    tmp_path.chmod(0o711)
    with service(tmp_path, "/run/test/graph.yaml --set wav.path=recordings/{call_id}.wav") as manager:
        text = (ROOT / "graphs" / "record.yaml").read_text()
        graph.write_text(text)
        manager.run("systemctl", "start", "flowcore")
        old = pid(manager)
        graph.write_text(text.replace("use: ringcx", "use: ringxc"))
        done = subprocess.run(manager.beside("systemctl", "reload", "flowcore"), capture_output=True)
        assert done.returncode != 0
        assert pid(manager) == old
        assert manager.show("flowcore", "ActiveState") == "active"
        assert 'did you mean "ringcx"?' in (tmp_path / "log").read_text()


def test_a_wrong_graph_is_not_tried_again(tmp_path):
    with service(tmp_path, RECORD + " --set call.prot=1") as manager:
        done = subprocess.run(manager.beside("systemctl", "start", "flowcore"), capture_output=True)
        assert done.returncode != 0
        assert manager.show("flowcore", "ActiveState") == "failed"
        assert manager.show("flowcore", "NRestarts") == "0"
        assert 'did you mean "port"?' in (tmp_path / "log").read_text()


def test_the_unit_is_hardened():
    report = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT], capture_output=True, text=True
    )
    assert report.returncode == 0, report.stdout[-200:]
