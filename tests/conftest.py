"""Shared fixtures."""

import os
import random
import sys

import pytest
from hypothesis import settings

settings.register_profile("any-machine", deadline=None)  # an example may take long where others have the processor
settings.load_profile("any-machine")


@pytest.fixture(autouse=True)
def _hung_up():
    yield
    phones = sys.modules.get("tests.support.phone")
    while phones and phones.OPEN:
        phones.OPEN.pop().socket.close()


def pytest_collection_modifyitems(items):
    """Shuffle the tests with the seed FLOWCORE_TEST_ORDER: see `make again`."""
    seed = os.environ.get("FLOWCORE_TEST_ORDER")
    if seed:
        random.Random(seed).shuffle(items)


def pytest_terminal_summary(terminalreporter):
    """Print the figures that tests recorded, also those of xdist's workers, whose own output pytest hides."""
    for report in terminalreporter.stats.get("passed", []):
        for name, figure in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(figure)
