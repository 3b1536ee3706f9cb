"""Row 55: a process whose limit of open files is near, because of strangers or of many calls."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.support.live import ROOT
from tests.support.phone import Phone, knock, said, stereo

pytestmark = pytest.mark.slow

STRANGERS = 1100


@pytest.fixture
def enough_files():
    """Let the test itself open more files than the process that it tests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def start(tmp_path, enough_files):
    """Start ``flowcore run`` of a recording graph with a hard limit of open files."""
    settings = ["call.port=0", f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse", "wav.fsync=always"]
    command = [str(Path(sys.executable).with_name("flowcore")), "run", str(ROOT / "graphs" / "record.yaml")]
    command += [f"--set={setting}" for setting in settings]
    processes = []

    def start(limit):
        limited = ["prlimit", f"--nofile={limit}:{limit}", *command, "--log-json"]
        processes.append(subprocess.Popen(limited, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def until(process, event, log):
    for line in process.stderr:
        log.append(json.loads(line))
        if log[-1]["event"] == event:
            return log[-1]
    raise AssertionError(f"the process ended without {event}: {log[-3:]}")


def stop(process, log):
    process.terminate()
    log += [json.loads(line) for line in process.communicate(timeout=60)[1].splitlines()]
    assert process.returncode == 0
    assert not {"file_damaged", "file_unfinished", "recording_suspended"} & {line["event"] for line in log}


@pytest.mark.fault(55)
def test_1100_strangers_cost_a_recorded_call_nothing_and_a_new_caller_is_let_in(start, tmp_path):
    limited, log = start(1024), []
    url = until(limited, "listener_opened", log)["address"]
    (warned,) = [line for line in log if line["event"] == "open_files_limited"]
    assert warned["limit"] == 1024
    assert 200 < warned["calls"] < 1024 // 3
    assert "--max-calls" in warned["advice"]
    first = Phone(url, "first")
    first.start()
    first.talk(1, 1.0)
    address = urlsplit(url)
    strangers = [socket.create_connection((address.hostname, address.port), timeout=30) for _ in range(STRANGERS)]
    assert until(limited, "caller_rejected", log)["reason"] == "open_files"
    first.talk(1, 1.0)
    second = Phone(url, "second")
    second.start()
    second.talk(2, 1.0)
    for phone in (first, second):
        phone.stop()
        phone.hang_up()
        until(limited, "file_finished", log)
    for stranger in strangers:
        stranger.close()
    stop(limited, log)
    once = said(1, 1.0)
    assert (stereo(tmp_path / "first.wav") == np.concatenate([once, once])).all()
    assert (stereo(tmp_path / "second.wav") == said(2, 1.0)).all()
    assert all(json.loads((tmp_path / f"{name}.wav.json").read_text())["complete"] for name in ("first", "second"))


@pytest.mark.fault(55)
def test_more_calls_than_files_are_refused_in_time_and_the_others_are_whole(start, tmp_path):
    limited, log = start(256), []
    url = until(limited, "listener_opened", log)["address"]
    phones = []
    while b" 101 " in (answer := asked(url)):
        phones.append(Phone(url, f"call{len(phones)}"))
        phones[-1].start()
        phones[-1].talk(len(phones), 0.4)
        until(limited, "flow_opened", log)
    assert 40 < len(phones) < 256 // 3
    assert b" 503 " in answer
    assert until(limited, "session_refused", log)["reason"] == "open_files"
    for phone in phones:
        phone.stop()
        phone.hang_up()
    stop(limited, log)
    for number in range(len(phones)):
        assert (stereo(tmp_path / f"call{number}.wav") == said(number + 1, 0.4)).all()


def asked(url):
    connection, answer = knock(url)
    connection.close()
    return answer
