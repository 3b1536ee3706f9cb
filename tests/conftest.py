"""Shared fixtures."""

import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent

settings.register_profile("any-machine", deadline=None)  # an example may take long where others have the processor
settings.load_profile("any-machine")


@pytest.fixture(autouse=True)
def _hung_up():
    yield
    phones = sys.modules.get("tests.support.phone")
    while phones and phones.OPEN:
        phones.OPEN.pop().socket.close()


WHOLE = (
    "faults/",
    "samples/",
    "fuzz/",
    "nodes/ringcx/test_chaos.py",
    "nodes/sinks/test_monitor.py",
    "cli/test_tap.py",
    "nodes/speech/engines/test_google",
    "nodes/speech/local/test_process.py",
    "nodes/sources/test_ringcx_grpc.py",
    "tools/test_load.py",
    "workers/test_supervisor.py",
    "docs/test_speech_engines.py",
    "nodes/captions/",
    "cli/test_commands.py",
    "cli/test_monitor.py",
)
"""Where real engines, processes, cards and servers are: each takes its time, and all together take minutes."""


def pytest_itemcollected(item):
    """What is whole is slow."""
    if item.path.relative_to(HERE).as_posix().startswith(WHOLE):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items):
    """In the order that FLOWCORE_TEST_ORDER seeds: see `make again`."""
    seed = os.environ.get("FLOWCORE_TEST_ORDER")
    if seed:
        random.Random(seed).shuffle(items)


def pytest_terminal_summary(terminalreporter):
    """Figures that tests recorded, also those of xdist's workers, whose own output nobody sees."""
    for report in terminalreporter.stats.get("passed", []):
        for name, figure in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(figure)
