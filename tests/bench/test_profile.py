"""The profile puts CPU time down to what spent it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowcore.bench.profile import ENGINE, Profile
from flowcore.bench.trial import Cores, trial
from tests.bench.calls import LOAD_GENERATOR, RECORD

BUSY = """
import threading, time
from flowcore.bench.profile import Profile

burned = {}

def burn(part, seconds):
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass
    seen = sum(profile._spent.values())
    while sum(profile._spent.values()) == seen:  # on a busy machine the next sample may be 0.2 s away
        pass
    burned[part] = time.thread_time() - began

def module(name):
    space = {"__name__": name, "burn": burn}
    exec("def work(*how):\\n    burn(*how)", space)
    return space["work"]

profile = Profile({"one": "first", "two.deep": "second"})
profile.start()
module("one")("first", 0.6)
thread = threading.Thread(target=module("two.deep.er"), args=("second", 0.3))
thread.start()
while thread.is_alive():
    thread.join(0.005)  # the engine, too, wakes up often
profile.stop()
print((profile.spent(), burned))
"""


@pytest.mark.slow
def test_time_goes_to_the_module_that_spent_it_in_any_thread() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=True)
    spent, burned = eval(done.stdout)
    total = sum(spent.values())
    for part in ("first", "second"):
        assert spent[part] / total == pytest.approx(burned[part] / sum(burned.values()), abs=0.1)


def test_a_stack_without_a_named_part_belongs_to_the_engine() -> None:
    assert Profile({})._part(sys._getframe()) == ENGINE


@pytest.mark.slow
def test_the_profile_names_listener_stages_and_nodes(tmp_path: Path) -> None:
    settings = ["call.port=0", f"wav.path={tmp_path}/{{call_id}}.wav"]
    done = trial(RECORD, settings, LOAD_GENERATOR, 200, 5.0, Cores.share(1), probe=False, profile=True)
    assert {"socket", "frame", "JSON", "ordered", "wav", "engine"} <= set(done.profile)
    assert sum(done.profile.values()) == pytest.approx(done.cpu, rel=0.2)
    assert done.ages == []
