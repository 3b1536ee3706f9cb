"""A run with a control hub, and its admin API."""

import pytest

from tests.support.admin_api import SECRET, api
from tests.support.asking import hub
from tests.support.live import Live


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"]) as running:
        yield running


@pytest.fixture
def control(live):
    with hub(live, drain=lambda request: request["seconds"] > 0) as path:  # a real one would end the run
        yield path


@pytest.fixture
def served(control):
    with api(control, SECRET) as opened:
        yield opened
