"""The tests of this project's own graphs, which stand in graphs/tests."""

from pathlib import Path

import pytest

from flowcore.scenario.load import load
from flowcore.scenario.run import recorded, run
from tools import voices

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "graphs" / "tests"
FILES = sorted(path for path in TESTS.glob("*.yaml") if path.name != "transcribe.yaml")
SCENARIOS = [scenario for path in FILES for scenario in load(path)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.path.stem}-{scenario.name}")
def test_graph(scenario):
    assert run(scenario, recorded(scenario.path).get(scenario.name)).differences == ()


@pytest.mark.model
def test_transcribe_hears_the_caller_and_nobody_else(tmp_path, monkeypatch):
    voices.main(str(tmp_path))
    monkeypatch.setenv("VOICES", str(tmp_path))
    for scenario in load(TESTS / "transcribe.yaml"):
        assert run(scenario).differences == ()


def test_every_graph_of_the_project_has_tests():
    assert {path.name for path in (ROOT / "graphs").glob("*.yaml")} == {path.name for path in TESTS.glob("*.yaml")}


def test_a_test_has_one_outcome():
    one, other = (run(SCENARIOS[0]).outcome for _ in range(2))
    assert one == other
