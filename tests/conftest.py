"""Shared fixtures."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]  # so that tests share helpers by name, and use the tools


@pytest.fixture(autouse=True)
def _hung_up():
    yield
    phones = sys.modules.get("phone")
    while phones and phones.OPEN:
        phones.OPEN.pop().socket.close()
