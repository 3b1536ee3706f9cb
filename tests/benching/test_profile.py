"""The profile puts CPU time down to what spent it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flowcore.bench.profile import ENGINE, Profile

BUSY = """
import threading, time
from flowcore.bench.profile import Profile

def burn(seconds):
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass

def module(name):
    space = {"__name__": name, "burn": burn}
    exec("def work(seconds):\\n    burn(seconds)", space)
    return space["work"]

profile = Profile({"one": "first", "two.deep": "second"})
profile.start()
module("one")(0.6)
thread = threading.Thread(target=module("two.deep.er"), args=(0.3,))
thread.start()
while thread.is_alive():
    thread.join(0.005)  # the engine, too, wakes up often
profile.stop()
print(profile.spent())
"""


def test_time_goes_to_the_module_that_spent_it_in_any_thread() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=True)
    spent = eval(done.stdout)
    total = sum(spent.values())
    assert spent["first"] / total == pytest.approx(2 / 3, abs=0.1)
    assert spent["second"] / total == pytest.approx(1 / 3, abs=0.1)


def test_what_has_no_name_is_the_engines() -> None:
    assert Profile({})._part(sys._getframe()) == ENGINE
