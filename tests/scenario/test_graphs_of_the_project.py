"""The tests of this project's own graphs, which stand in graphs/tests."""

from pathlib import Path

import pytest

from flowcore.scenario.load import load
from flowcore.scenario.run import recorded, run

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "graphs" / "tests").glob("*.yaml"))
SCENARIOS = [scenario for path in FILES for scenario in load(path)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.path.stem}-{scenario.name}")
def test_graph(scenario):
    assert run(scenario, recorded(scenario.path).get(scenario.name)).differences == ()


def test_a_test_has_one_outcome():
    one, other = (run(SCENARIOS[0]).outcome for _ in range(2))
    assert one == other
